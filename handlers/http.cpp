#include "handlers/http.h"

#include <cassert>

#include "handlers/http_outcome.h"
#include "handlers/next_turn.h"
#include "platform/memory.h"

namespace hf {

HttpRunner::HttpRunner(uv_loop_t* loop, HttpClient& client, HttpOptions options, EndRun end_run)
    : loop_(loop),
      peer_(loop, client, std::move(options.target)),
      max_result_(options.max_result),
      on_status_(std::move(options.on_status)),
      end_run_(std::move(end_run)) {}

HttpRunner::~HttpRunner() {
  assert(running_.empty());
}

void HttpRunner::start(StartRun run) {
  const HttpDeadlines deadlines = peer_.deadlines(run.timeout_ms);
  for (RunJob& job : run.jobs) {
    const Fence fence = fence_of(job);
    Run& entry = running_[fence];
    entry.timeout_ms = run.timeout_ms;
    const bool begun = guarded([&] {
      HttpHeaders headers;
      headers.add("Idempotency-Key", job.key.text());
      headers.add("Holdfast-Job-Id", std::to_string(job.id));
      headers.add("Holdfast-Attempt", std::to_string(job.attempt));
      entry.request = peer_.send(headers, "application/json", std::move(job.bytes), deadlines, max_result_,
                                 [this, fence](HttpResult result) { answered(fence, std::move(result)); });
    });
    if (begun) continue;
    running_.erase(fence);
    throw std::bad_alloc();  // the run has not begun
  }
}

void HttpRunner::stop(JobId id, int attempt, StopReason reason) {
  const auto run = newest_run(running_, id, attempt);
  // Not cancelled: the answer is there already, and counts.
  if (run != running_.end() && peer_.cancel(run->second.request)) run->second.stopped = reason;
}

void HttpRunner::answered(const Fence& fence, HttpResult result) {
  const auto node = running_.extract(fence);
  const Run& run = node.mapped();
  RunEnded ended = run.stopped ? stopped_outcome(result, peer_.url(), *run.stopped, run.timeout_ms) : ended_without_memory();
  const int64_t wire_bytes = result.wire_bytes;
  if (!run.stopped) (void)guarded([&] {
    RunEnded told = http_outcome(result, peer_.url(), Asker::handler, on_status_);
    if (told.outcome == Outcome::done && result.response.body_cut)
      told = ended_too_long("the response of " + peer_.name(), max_result_);
    if (told.outcome == Outcome::done) told.result = std::move(result.response.body);
    ended = std::move(told);
  });
  ended.wire_bytes = wire_bytes;
  end_run_(with_fence(std::move(ended), fence));
  if (!running_.empty() || !closed_) return;
  peer_.release();
  std::exchange(closed_, nullptr)();
}

void HttpRunner::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  for (const auto& [fence, run] : running_) stop(fence.id, fence.attempt, StopReason::shutdown);
  if (!running_.empty()) return;
  peer_.release();
  on_next_turn(loop_, std::exchange(closed_, nullptr));
}

}  // namespace hf
