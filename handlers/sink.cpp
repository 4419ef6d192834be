#include "handlers/sink.h"

#include <algorithm>
#include <cassert>
#include <cinttypes>
#include <cstdio>
#include <iterator>

#include "handlers/http_outcome.h"
#include "handlers/ndjson.h"
#include "handlers/next_turn.h"

namespace hf {
namespace {

constexpr int64_t kMaxResponse = 4096;  // only its start is wanted, for an error text

// Of a batch: the same for the same jobs, whatever their attempts. FNV-1a, 64 bits.
std::string batch_key(const std::vector<RunJob>& jobs) {
  uint64_t hash = 14695981039346656037u;
  const auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u; };
  for (const RunJob& job : jobs) {
    for (const char c : job.key) add(c);
    add('\n');
  }
  char text[48];
  snprintf(text, sizeof text, "batch-%zu-%016" PRIx64, jobs.size(), hash);
  return text;
}

}  // namespace

SinkRunner::SinkRunner(uv_loop_t* loop, HttpClient& client, SinkOptions options, EndRun end_run)
    : loop_(loop), peer_(loop, client, std::move(options.target)), end_run_(std::move(end_run)) {}

SinkRunner::~SinkRunner() {
  assert(batches_.empty());
}

void SinkRunner::start(StartRun run) {
  if (run.jobs.empty()) return;
  Batch batch;
  batch.timeout_ms = run.timeout_ms;
  batch.parts.push_back(std::move(run.jobs));
  batches_.push_back(std::move(batch));
  send_next(std::prev(batches_.end()));
}

void SinkRunner::send_next(Position batch) {
  const Jobs& jobs = batch->parts.front();
  HttpHeaders headers;
  headers.add("Idempotency-Key", jobs.size() == 1 ? jobs[0].key : batch_key(jobs));
  headers.add("Holdfast-Batch", std::to_string(jobs.size()));
  std::string body;
  for (const RunJob& job : jobs) body += ndjson_line(job);
  batch->request =
      peer_.send(headers, "application/x-ndjson", std::move(body), peer_.deadlines(), kMaxResponse,
                 [this, batch](HttpResult result) { answered(batch, std::move(result)); });
}

void SinkRunner::answered(Position batch, HttpResult result) {
  Jobs& first = batch->parts.front();
  const bool stopped = batch->stopped.has_value();
  const bool broken_off = result.error.kind == NetErrorKind::kCanceled;
  const RunEnded how = stopped && broken_off ? ended_by_stop(*batch->stopped, batch->timeout_ms)
                                             : http_outcome(result, peer_.name());
  const bool refused = how.outcome == Outcome::dead && about_content(result);
  if (refused && !stopped && first.size() > 1) {
    const auto middle = first.begin() + static_cast<std::ptrdiff_t>((first.size() + 1) / 2);
    Jobs second(std::make_move_iterator(middle), std::make_move_iterator(first.end()));
    first.erase(middle, first.end());
    batch->parts.insert(std::next(batch->parts.begin()), std::move(second));
    leave_out_cancelled(*batch);
  } else {
    const bool lone_cancel = broken_off && is_cancelled(*batch, first[0]);
    end_first(*batch, how);
    if (stopped) {
      end_all(*batch, ended_by_stop(*batch->stopped, batch->timeout_ms));
    } else if (how.outcome != Outcome::done && !refused && !lone_cancel) {
      end_all(*batch, how);  // what befell this request would befall the next one too
    }
  }
  if (!batch->parts.empty()) return send_next(batch);
  batches_.erase(batch);
  if (!batches_.empty() || !closed_) return;
  peer_.release();
  std::exchange(closed_, nullptr)();
}

bool SinkRunner::is_cancelled(const Batch& batch, const RunJob& job) {
  return std::any_of(batch.cancelled.begin(), batch.cancelled.end(), [&](const auto& fence) {
    return job.id == fence.first && job.attempt == fence.second;
  });
}

void SinkRunner::end_first(Batch& batch, const RunEnded& how) {
  const Jobs jobs = std::move(batch.parts.front());
  batch.parts.pop_front();
  for (const RunJob& job : jobs) {
    const bool cancelled = how.outcome != Outcome::done && is_cancelled(batch, job);
    end(job, cancelled ? ended_by_stop(StopReason::cancel, batch.timeout_ms) : how);
  }
}

void SinkRunner::end_all(Batch& batch, const RunEnded& how) {
  while (!batch.parts.empty()) end_first(batch, how);
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
    for (size_t i = 0; i < batch.parts.size(); ++i) {
      Jobs& part = batch.parts[i];
      const auto job = std::find_if(part.begin(), part.end(), [&](const RunJob& candidate) {
        return candidate.id == id && candidate.attempt == attempt;
      });
      if (job == part.end()) continue;
      if (reason != StopReason::cancel) {
        if (!batch.stopped) batch.stopped = reason;
        peer_.cancel(batch.request);  // if the answer is there already, it counts
      } else if (i == 0) {
        batch.cancelled.emplace_back(id, attempt);
        if (part.size() == 1) peer_.cancel(batch.request);
      } else {
        end(*job, ended_by_stop(reason, batch.timeout_ms));
        part.erase(job);
        if (part.empty()) batch.parts.erase(batch.parts.begin() + static_cast<std::ptrdiff_t>(i));
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
