// Queues with limits, and what was given up.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/jobs.h"
#include "core/losses.h"
#include "engine_fixture.h"

namespace hf::test {

using Ids = std::vector<JobId>;

class QuotaFixture : public EngineFixture {
 public:
  void limit(int64_t max_pending, WhenFull when_full, const std::string& queue = "default") {
    QueueSettings s;
    s.max_pending = max_pending;
    s.when_full = when_full;
    ask<Done>(QueueSet{queue, s});
  }
  void limit_file(int64_t max_jobs, WhenFull when_full, int64_t max_bytes = 0) {
    Limits l;
    l.max_jobs = max_jobs;
    l.max_bytes = max_bytes;
    l.when_full = when_full;
    ask<Done>(SetLimits{l});
  }
  static JobSpec with_priority(int priority, const std::string& queue = "default") {
    JobSpec s = spec("t");
    s.queue = queue;
    s.priority = priority;
    return s;
  }
  JobId add_with(int priority, const std::string& queue = "default") { return add(with_priority(priority, queue)); }
  Ids add_many(size_t n, const JobSpec& like) { return ask<Ids>(Enqueue{std::vector<JobSpec>(n, like)}); }
  Error refused_job(const JobSpec& s) { return refused(Enqueue{{s}}); }
  // Enqueues these, and ends so.
  static Transact op(std::vector<JobSpec> specs, Status end = ok_status()) {
    return transaction([specs = std::move(specs), end = std::move(end)](Transaction& inside) -> Status {
      for (const JobSpec& s : specs) {
        if (Result<JobId> id = inside.enqueue(s); !id) return id.error();
      }
      return end;
    });
  }
  // Of the last turn, in the order of the feed.
  Ids displaced() const {
    Ids ids;
    for (const Transition& t : last.feed) {
      if (t.change == Change::displaced) ids.push_back(t.id);
    }
    return ids;
  }
  bool gone(JobId id) { return std::holds_alternative<Error>(tick({Get{id}}).front()); }
    Ids waiting(const std::string& queue = "") {
    ListQuery q;
    q.state = State::pending;
    q.queue = queue;
    q.limit = 1000;
    Ids ids;
    for (const JobInfo& job : ask<JobPage>(List{q}).jobs) {
      if (!job.delivering) ids.push_back(job.id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  int64_t pending(const std::string& queue = "default") { return ask<std::vector<QueueInfo>>(QueueList{queue}).at(0).pending; }
  int64_t lost(const std::string& queue = "default") {
    for (const Loss& loss : stats().losses) {
      if (loss.cause == LossCause::displaced && loss.queue == queue) return loss.total;
    }
    return 0;
  }
  static bool mentions(const Error& e, std::initializer_list<const char*> parts) {
    return std::all_of(parts.begin(), parts.end(), [&](const char* part) { return e.message.find(part) != std::string::npos; });
  }
  // A handler whose jobs fail at once and wait for an hour.
  void failing(int max_attempts = 5) {
    RunnerSpec r;
    r.policy.max_attempts = max_attempts;
    r.policy.backoff.kind = BackoffKind::fixed;
    r.policy.backoff.base_ms = 3600 * 1000;
    r.policy.backoff.jitter = Jitter::none;
    handler("t", r);
  }
};

}  // namespace hf::test
