#include "handlers/sink.h"

#include <algorithm>
#include <cassert>
#include <cinttypes>
#include <cstdio>
#include <iterator>

#include "core/breaker.h"
#include "handlers/batch_answer.h"
#include "handlers/http_outcome.h"
#include "handlers/next_turn.h"
#include "platform/clock.h"
#include "platform/memory.h"

namespace hf {
namespace {

// Of a batch: the same for the same jobs, whatever their attempts. FNV-1a, 64 bits.
std::string batch_key(const std::vector<RunJob>& jobs) {
  uint64_t hash = 14695981039346656037u;
  const auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u; };
  for (const RunJob& job : jobs) {
    for (const char c : job.key.text()) add(c);
    add('\n');
  }
  char text[48];
  snprintf(text, sizeof text, "batch-%zu-%016" PRIx64, jobs.size(), hash);
  return text;
}

}  // namespace

SinkRunner::SinkRunner(uv_loop_t* loop, HttpClient& client, SinkOptions options, EndRun end_run)
    : loop_(loop),
      peer_(loop, client, std::move(options.target)),
      format_(options.format),
      encoding_(options.compress),
      name_(std::move(options.name)),
      log_(std::move(options.log)),
      on_status_(std::move(options.on_status)),
      end_run_(std::move(end_run)) {}

SinkRunner::~SinkRunner() {
  assert(batches_.empty());
}

void SinkRunner::start(StartRun run) {
  if (run.jobs.empty()) return;
  std::list<Batch> one(1);
  Batch& batch = one.front();
  batch.timeout_ms = run.timeout_ms;
  batch.cancelled.reserve(run.jobs.size());
  if (format_ == BatchFormat::raw) {  // also after a reload, when the engine had made a batch for another format
    for (RunJob& job : run.jobs) batch.parts.emplace_back().push_back(std::move(job));
  } else {
    batch.parts.push_back(std::move(run.jobs));
  }
  batches_.splice(batches_.end(), one);
  if (guarded([&] { send_next(std::prev(batches_.end())); })) return;
  batches_.pop_back();
  throw std::bad_alloc();  // the batch has not begun
}

bool SinkRunner::is_quiet() const {
  return boot_ms() < quiet_until_ms_;
}

// The engine hears of it, too, and starts nothing more; but it has started these already.
void SinkRunner::keep_quiet(const RunEnded& how) {
  asked_ = how;
  quiet_until_ms_ = boot_ms() + std::min(how.retry_after_ms, kBreakerAskedMaxMs);
  for (Batch& batch : batches_) batch.withdrawn = batch.withdrawn || peer_.withdraw(batch.request);
}

RunEnded SinkRunner::put_off() const {
  RunEnded ended = asked_;
  ended.retry_after_ms = std::max<int64_t>(quiet_until_ms_ - boot_ms(), 1);
  return ended;
}

void SinkRunner::send_next(Position batch) {
  batch->request = 0;
  batch->body = BatchBody(format_, batch->plain ? Encoding::none : encoding_);
  make_body(batch);
}

// Step by step, so that others have their turn between.
void SinkRunner::make_body(Position batch) {
  if (is_quiet()) {
    return on_next_turn(loop_, [this, batch] {
      if (!guarded([&] { end_all(*batch, put_off()); })) end_without_memory(*batch);
      leave(batch);
    });
  }
  if (batch->body.step(batch->parts.front())) return send(batch);
  on_next_turn(loop_, [this, batch] { make_more(batch); });
}

void SinkRunner::make_more(Position batch) {
  const bool cancelled = batch->parts.front().size() == 1 && is_cancelled(*batch, batch->parts.front()[0]);
  if (batch->stopped || cancelled) {
    HttpResult result;
    result.error.kind = NetErrorKind::kCanceled;
    return answered(batch, std::move(result));
  }
  if (guarded([&] { make_body(batch); })) return;
  end_without_memory(*batch);
  leave(batch);
}

void SinkRunner::send(Position batch) {
  const Jobs& jobs = batch->parts.front();
  HttpHeaders headers;
  headers.add("Idempotency-Key", jobs.size() == 1 ? jobs[0].key.text() : batch_key(jobs));
  headers.add("Holdfast-Batch", std::to_string(jobs.size()));
  batch->body.add_headers(jobs, &headers);
  batch->request = peer_.send(headers, std::string(batch->body.content_type()), batch->body.take(), peer_.deadlines(batch->timeout_ms),
                              batch_answer_limit(jobs.size()), [this, batch](HttpResult result) { answered(batch, std::move(result)); });
}

void SinkRunner::answered(Position batch, HttpResult result) {
  if (!guarded([&] { go_on(batch, result); })) end_without_memory(*batch);
  leave(batch);
}

void SinkRunner::leave(Position batch) {
  if (!batch->parts.empty()) return;
  batches_.erase(batch);
  if (!batches_.empty() || !closed_) return;
  peer_.release();
  std::exchange(closed_, nullptr)();
}

// ---- whether the server takes what is compressed

bool SinkRunner::doubts_encoding(const Batch& batch, const HttpResult& result) const {
  if (batch.body.encoding() == Encoding::none || !result.ok()) return false;
  const int status = result.response.status;
  return status == 415 || (!encoding_taken_ && (status == 400 || status == 422));
}

// Of an answer to the whole of what was sent.
void SinkRunner::learn_encoding(Batch& batch, bool taken) {
  if (taken && batch.body.encoding() != Encoding::none) encoding_taken_ = true;
  if (!std::exchange(batch.sent_again, false) || !taken || encoding_ == Encoding::none) return;
  const Encoding refused = std::exchange(encoding_, Encoding::none);
  log_.warn("sink_encoding_refused", {{"sink", name_}, {"encoding", encoding_name(refused)}, {"server", peer_.name()}, {"now", "uncompressed"}});
}

// Also if the server has them: they are sent again, with the same keys.
void SinkRunner::end_without_memory(Batch& batch) noexcept {
  for (; !batch.parts.empty(); batch.parts.pop_front())
    for (const RunJob& job : batch.parts.front())
      end(job, batch.stopped               ? ended_by_stop(*batch.stopped, batch.timeout_ms)
               : is_cancelled(batch, job) ? ended_by_stop(StopReason::cancel, batch.timeout_ms)
                                          : ended_without_memory());
}

void SinkRunner::go_on(Position batch, const HttpResult& result) {
  Jobs& first = batch->parts.front();
  batch->wire_bytes += result.wire_bytes;
  const bool stopped = batch->stopped.has_value();
  const bool broken_off = result.error.kind == NetErrorKind::kCanceled;
  const RunEnded how = stopped && broken_off            ? stopped_outcome(result, peer_.url(), *batch->stopped, batch->timeout_ms)
                       : batch->withdrawn && broken_off ? put_off()
                                                        : http_outcome(result, peer_.url(), Asker::sink, on_status_);
  if (how.park_runner && how.retry_after_ms > 0 && !batch->withdrawn) keep_quiet(how);
  const bool done = how.outcome == Outcome::done;
  const bool refused = how.outcome == Outcome::dead && about_content(result);
  learn_encoding(*batch, done && is_success(result));
  // Whatever the status is listed as: first it has to be about what was sent, and not about how.
  const bool doubted = !done && !how.park_runner && doubts_encoding(*batch, result);
  const bool of_some = refused && first.size() > 1;
  if (doubted && !stopped) {
    batch->plain = batch->sent_again = true;
  } else if (of_some && !stopped) {
    const auto middle = first.begin() + static_cast<std::ptrdiff_t>((first.size() + 1) / 2);
    std::list<Jobs> second(1);
    second.front().reserve(first.size());  // nothing is in two places, or in none, when this throws
    second.front().assign(std::make_move_iterator(middle), std::make_move_iterator(first.end()));
    first.erase(middle, first.end());
    batch->parts.splice(std::next(batch->parts.begin()), second);
    leave_out_cancelled(*batch);
  } else {
    const bool lone_cancel = broken_off && is_cancelled(*batch, first[0]);
    std::vector<RunEnded> each;
    if (done) each = batch_answer(result.response, first, peer_.name());
    // A stop leaves no time to find out what, or which of them, such an answer is about.
    const bool left_open = stopped && (doubted || of_some);
    if (each.empty()) each.assign(first.size(), left_open ? ended_by_stop(*batch->stopped, batch->timeout_ms) : how);
    end_first(*batch, std::move(each));
    if (stopped) {
      // The parts behind it were not sent.
      HttpResult waited;
      waited.error.phase = NetPhase::kQueue;
      end_all(*batch, how.park_runner ? how : stopped_outcome(waited, peer_.url(), *batch->stopped, batch->timeout_ms));
    } else if (!done && !refused && !lone_cancel) {
      end_all(*batch, how);  // what befell this request would befall the next one too
    }
  }
  if (!batch->parts.empty()) send_next(batch);
}

bool SinkRunner::is_cancelled(const Batch& batch, const RunJob& job) {
  return std::any_of(batch.cancelled.begin(), batch.cancelled.end(), [&](const auto& fence) {
    return job.id == fence.first && job.attempt == fence.second;
  });
}

// One end for each of its jobs.
void SinkRunner::end_first(Batch& batch, std::vector<RunEnded> ends) {
  for (size_t i = 0; i < ends.size(); ++i) {  // all of them, before the first is told
    const RunJob& job = batch.parts.front()[i];
    const bool cancelled = ends[i].outcome != Outcome::done && is_cancelled(batch, job);
    ends[i] = with_fence(cancelled ? ended_by_stop(StopReason::cancel, batch.timeout_ms) : std::move(ends[i]), fence_of(job));
    ends[i].wire_bytes = std::exchange(batch.wire_bytes, 0);
  }
  batch.parts.pop_front();
  for (RunEnded& ended : ends) end_run_(std::move(ended));
}

void SinkRunner::end_all(Batch& batch, const RunEnded& how) {
  while (!batch.parts.empty()) end_first(batch, std::vector<RunEnded>(batch.parts.front().size(), how));
}

void SinkRunner::leave_out_cancelled(Batch& batch) {
  for (auto part = batch.parts.begin(); part != batch.parts.end();) {
    std::erase_if(*part, [&](const RunJob& job) {
      if (!is_cancelled(batch, job)) return false;
      end(job, ended_by_stop(StopReason::cancel, batch.timeout_ms));
      return true;
    });
    part = part->empty() ? batch.parts.erase(part) : std::next(part);
  }
}

void SinkRunner::end(const RunJob& job, RunEnded how) {
  end_run_(with_fence(std::move(how), fence_of(job)));
}

void SinkRunner::stop(JobId id, int attempt, StopReason reason) {
  // The newest first: an older run of the job was handed back.
  for (auto at = batches_.rbegin(); at != batches_.rend(); ++at) {
    Batch& batch = *at;
    for (auto at_part = batch.parts.begin(); at_part != batch.parts.end(); ++at_part) {
      Jobs& part = *at_part;
      const auto job = std::find_if(part.begin(), part.end(), [&](const RunJob& candidate) {
        return candidate.id == id && candidate.attempt == attempt;
      });
      if (job == part.end()) continue;
      if (reason != StopReason::cancel) {
        if (!batch.stopped) batch.stopped = reason;
        peer_.cancel(batch.request);  // if the answer is there already, it counts
      } else if (at_part == batch.parts.begin()) {
        batch.cancelled.emplace_back(id, attempt);
        if (part.size() == 1) peer_.cancel(batch.request);
      } else {
        end(*job, ended_by_stop(reason, batch.timeout_ms));
        part.erase(job);
        if (part.empty()) batch.parts.erase(at_part);
      }
      return;
    }
  }
}

void SinkRunner::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  for (Batch& batch : batches_) {
    if (!batch.stopped) batch.stopped = StopReason::shutdown;
    peer_.cancel(batch.request);
  }
  if (!batches_.empty()) return;
  peer_.release();
  on_next_turn(loop_, std::exchange(closed_, nullptr));
}

}  // namespace hf
