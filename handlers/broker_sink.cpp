#include "handlers/broker_sink.h"

#include <cassert>
#include <utility>

#include "handlers/error_text.h"
#include "handlers/http_outcome.h"
#include "handlers/ndjson.h"
#include "handlers/next_turn.h"
#include "handlers/topic.h"
#include "platform/memory.h"

namespace hf {
namespace {

// Of a message on the wire, beside its topic, key and payload: its framing, and the answer.
constexpr size_t kFraming = 128;

}  // namespace

RunEnded broker_outcome(const PublishResult& result, const Url& broker) {
  if (!result.answer) {
    HttpResult none;
    none.error = result.error;
    none.sent = result.sent;
    return http_outcome(none, broker, Asker::sink);
  }
  RunEnded ended;
  switch (result.answer->verdict) {
    case Verdict::kStored: return ended;
    case Verdict::kRefused: ended.outcome = Outcome::dead; break;
    case Verdict::kTryAgain: ended.outcome = Outcome::retry; break;
    case Verdict::kBusy:
      ended.outcome = Outcome::defer;
      ended.park_runner = true;
      break;
  }
  ended.error = error_with_head(broker.host_port(), result.answer->text, false);
  return ended;
}

BrokerSinkRunner::BrokerSinkRunner(uv_loop_t* loop, BrokerSinkOptions options, EndRun end_run)
    : loop_(loop), options_(std::move(options)), end_run_(std::move(end_run)) {}

BrokerSinkRunner::~BrokerSinkRunner() {
  assert(running_.empty());
}

void BrokerSinkRunner::start(StartRun run) {
  if (!client_) client_ = std::make_unique<BrokerClient>(loop_, options_.broker);
  for (const RunJob& job : run.jobs) {
    const Fence fence = fence_of(job);
    Run& entry = running_[fence];
    entry.timeout_ms = run.timeout_ms;
    const bool begun = guarded([&] {
      BrokerMessage message;
      message.topic = topic_of(options_.topic, options_.device, job);
      message.key = job.key.text();
      message.payload = ndjson_line(job);
      message.payload.pop_back();  // the newline
      entry.wire_bytes = static_cast<int64_t>(message.topic.size() + message.key.size() + message.payload.size() + kFraming);
      entry.message = client_->publish(std::move(message), [this, fence](const PublishResult& result) { answered(fence, result); });
    });
    if (begun) continue;
    running_.erase(fence);
    throw std::bad_alloc();  // the run has not begun
  }
}

void BrokerSinkRunner::stop(JobId id, int attempt, StopReason reason) {
  const auto run = newest_run(running_, id, attempt);
  // Not cancelled: the answer is there already, and counts.
  if (run == running_.end() || !client_->cancel(run->second.message)) return;
  run->second.stopped = reason;
  run->second.connected = client_->connected();
}

void BrokerSinkRunner::answered(const Fence& fence, const PublishResult& result) {
  const auto node = running_.extract(fence);
  const Run& run = node.mapped();
  const bool cancelled = !result.answer && !result.error;
  HttpResult none;
  none.sent = result.sent;
  none.error.phase = run.connected ? NetPhase::kQueue : NetPhase::kConnect;  // the broker takes only so many without an answer
  RunEnded ended = cancelled ? stopped_outcome(none, options_.broker.url, run.stopped.value_or(StopReason::shutdown), run.timeout_ms)
                             : ended_without_memory();
  if (!cancelled) (void)guarded([&] { ended = broker_outcome(result, options_.broker.url); });
  ended.wire_bytes = result.answer || result.sent ? run.wire_bytes : 0;
  end_run_(with_fence(std::move(ended), fence));
}

void BrokerSinkRunner::shutdown(std::function<void()> closed) {
  if (!client_) return on_next_turn(loop_, std::move(closed));
  // Every message ends within this call. The client goes when nothing of it is left on the loop.
  client_->shutdown([this, closed = std::move(closed)] {
    on_next_turn(loop_, [this, closed] {
      client_.reset();
      closed();
    });
  });
}

}  // namespace hf
