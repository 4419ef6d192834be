// How fast jobs may come in, how many runs that failed are tried again, and dead letters that come back paced.
#include "core/intake.h"

#include <set>

#include "core/units.h"
#include "engine_fixture.h"
#include "fixed_policy.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::fixed_policy;

namespace {

constexpr int64_t kMinute = 60'000;

class IntakeFixture : public EngineFixture {
 public:
  void limit(const std::string& text, const std::string& of_key = "off", const std::string& queue = "default") {
    ask<Done>(SetQueueDefaults{queue, {.enqueue_limit = *parse_rate_limit(text), .key_enqueue_limit = *parse_rate_limit(of_key)}});
  }
  static JobSpec keyed(const std::string& key) {
    JobSpec s = spec("x");
    s.concurrency_key = key;
    return s;
  }
  static JobSpec unique(const std::string& key) {
    JobSpec s = spec("x");
    s.unique_key = key;
    return s;
  }
  static Op many(int n, const JobSpec& one = spec("x")) { return Enqueue{std::vector<JobSpec>(static_cast<size_t>(n), one)}; }
  int64_t lost(LossCause cause) {
    for (const Loss& l : stats().losses) {
      if (l.cause == cause) return l.total;
    }
    return 0;
  }
  int64_t pending() { return stats().by_state[static_cast<int>(State::pending)]; }
};

}  // namespace

TEST_CASE_FIXTURE(IntakeFixture, "a queue takes so many jobs in a time; one more is refused, and says when") {
  limit("3/1m");
  add(spec("x"));
  add(spec("x"));
  add(spec("x"));
  const Error error = refused(many(1));
  CHECK(error.code == HF_E_RATE);
  CHECK(error.message == "queue default takes 3/1m (enqueue_limit): room for the next one in 20s");
  JobSpec other = spec("x");
  other.queue = "other";
  add(other);
  pass(19'999);
  CHECK(refused(many(1)).code == HF_E_RATE);
  pass(1);
  add(spec("x"));
  CHECK(refused(many(1)).code == HF_E_RATE);
  CHECK(pending() == 5);
  CHECK(lost(LossCause::too_fast) == 0);  // who was refused knows
  limit("off");
  ask<std::vector<JobId>>(many(100));
}

TEST_CASE_FIXTURE(IntakeFixture, "never more than the bound in any stretch of time, and no less") {
  limit("10/1m burst 4");
  std::vector<int64_t> came;
  for (int64_t t = 0; t < 10 * kMinute; t += 500) {
    Reply reply = tick({many(1)}).front();
    if (!std::holds_alternative<Error>(reply)) came.push_back(now.boot_ms);
    pass(500);
  }
  CHECK(came.size() == 4 + 99);  // the bucket, and one each 6 s since
  for (size_t i = 0; i < came.size(); ++i) {
    for (size_t k = i; k < came.size(); ++k) CHECK(static_cast<int64_t>(k - i) + 1 <= 4 + (came[k] - came[i]) / 6000);
  }
}

TEST_CASE_FIXTURE(IntakeFixture, "each key has its own; a job without one knows the queue's alone") {
  limit("off", "2/1m");
  ask<std::vector<JobId>>(many(2, keyed("a")));
  const Error error = refused(many(1, keyed("a")));
  CHECK(error.code == HF_E_RATE);
  CHECK(error.message == "concurrency_key a of queue default takes 2/1m (key_enqueue_limit): room for the next one in 30s");
  ask<std::vector<JobId>>(many(2, keyed("b")));
  ask<std::vector<JobId>>(many(50));
  limit("3/1m", "2/1m");
  ask<std::vector<JobId>>(many(1, keyed("c")));  // what came in before does not count for the limit of now
  CHECK(refused(many(1, keyed("b"))).code == HF_E_RATE);
}

TEST_CASE_FIXTURE(IntakeFixture, "many at once: all or none, and what is refused does not count") {
  limit("5/1m", "3/1m");
  CHECK(refused(many(6)).message == "job 5: queue default takes 5/1m (enqueue_limit), and not more than 5 at once");
  CHECK(refused(many(6)).code == HF_E_TOO_LARGE);
  CHECK(refused(many(4, keyed("a"))).message == "job 3: concurrency_key a of queue default takes 3/1m (key_enqueue_limit), and not more than 3 at once");
  ask<std::vector<JobId>>(many(3, keyed("a")));
  const Error error = refused(many(3, keyed("b")));
  CHECK(error.code == HF_E_RATE);
  CHECK(error.message == "job 2: queue default takes 5/1m (enqueue_limit): room for 3 in 12s");
  ask<std::vector<JobId>>(many(2, keyed("b")));
  CHECK(pending() == 5);
}

TEST_CASE_FIXTURE(IntakeFixture, "a job that another one stands for does not come in") {
  limit("2/1m");
  const JobId first = add(unique("k"));
  for (int i = 0; i < 10; ++i) CHECK(add(unique("k")) == first);
  CHECK(ask<std::vector<JobId>>(many(5, unique("new"))).size() == 5);  // one job
  CHECK(add(unique("new")) == first + 1);
  CHECK(refused(many(1, unique("other"))).code == HF_E_RATE);
}

TEST_CASE_FIXTURE(IntakeFixture, "kept over the end of the process, if it takes a second or longer to come back") {
  limit("2/10m", "1/10m");
  add(keyed("a"));
  CHECK(refused(many(1, keyed("a"))).code == HF_E_RATE);
  crash();
  limit("2/10m", "1/10m");
  CHECK(refused(many(1, keyed("a"))).code == HF_E_RATE);
  add(keyed("b"));
  CHECK(refused(many(1, keyed("c"))).code == HF_E_RATE);
  pass(5 * kMinute);
  CHECK(refused(many(1, keyed("a"))).code == HF_E_RATE);
  add(keyed("c"));
}

TEST_CASE_FIXTURE(IntakeFixture, "an event's jobs: what is too fast for its queue is left out and counted, the others start") {
  for (const char* name : {"slow", "fast"}) {
    SubscriptionSpec s;
    s.name = name;
    s.event = "door";
    s.job = spec("x");
    s.job.queue = name;
    ask<Done>(SetSubscription{s});
  }
  limit("1/1m", "off", "slow");
  CHECK(ask<std::vector<JobId>>(Emit{"door", "1"}).size() == 2);
  const std::vector<JobId> ids = ask<std::vector<JobId>>(Emit{"door", "2"});
  REQUIRE(ids.size() == 1);
  CHECK(get(ids.front()).queue == "fast");
  CHECK(lost(LossCause::too_fast) == 1);
  CHECK(stats().losses.front().queue == "slow");
  pass(kMinute);
  CHECK(ask<std::vector<JobId>>(Emit{"door", "3"}).size() == 2);
}

TEST_CASE_FIXTURE(IntakeFixture, "a schedule's firing that is too fast is skipped and counted") {
  limit("1/1h");
  ScheduleSpec s;
  s.name = "often";
  s.cron = "@every 10m";
  s.overlap = Overlap::queue;
  s.job = spec("x");
  ask<Done>(SchedulePut{s});
  run_for(60 * kMinute);
  const ScheduleInfo info = ask<std::vector<ScheduleInfo>>(ScheduleList{"often"}).front();
  CHECK(info.fired == 1);
  CHECK(info.skipped == 5);
  CHECK(lost(LossCause::too_fast) == 5);
}

TEST_CASE_FIXTURE(IntakeFixture, "children are as a call of many: the run fails with what its queue says, and comes again") {
  handler("parent");
  JobSpec parent = spec("parent");
  parent.queue = "parents";
  const JobId id = add(parent);
  limit("1/1m");
  const RunJob run = take_started();
  RunEnded end = ended(run, Outcome::done);
  const std::vector<JobId> reserved = ask<std::vector<JobId>>(ReserveIds{2});
  end.children = {{reserved[0], spec("x")}, {reserved[1], spec("x")}};
  ask<Done>(std::move(end));
  CHECK(state(id) == State::dead);  // no wait would help
  CHECK(get(id).error == "hf_job_enqueue: queue default takes 1/1m (enqueue_limit), and not more than 1 at once");

  add(spec("x"));
  const JobId again = add(parent);
  end = ended(take_started(), Outcome::done);
  end.children = {{reserved[0], spec("x")}};
  ask<Done>(std::move(end));
  CHECK(state(again) == State::pending);
  CHECK(get(again).error == "hf_job_enqueue: queue default takes 1/1m (enqueue_limit): room for the next one in 1m");
  CHECK(pending() == 2);
}

TEST_CASE_FIXTURE(IntakeFixture, "retries beyond the budget of their queue wait for their turn, and none is refused") {
  handler("x");
  ask<Done>(SetQueueDefaults{"default", {.retry_budget = *parse_rate_limit("2/1m")}});
  JobSpec fixed = spec("x");
  fixed.policy = fixed_policy(1000);
  for (int i = 0; i < 5; ++i) add(fixed);
  std::vector<JobId> failed;
  for (int i = 0; i < 5; ++i) {
    const RunJob run = take_started();
    failed.push_back(run.id);
    end(run, Outcome::retry);
  }
  const int64_t begin_ms = now.wall_ms;
  CHECK(get(failed[0]).due_wall_ms == begin_ms + 1000);
  CHECK(get(failed[1]).due_wall_ms == begin_ms + 1000);
  CHECK(get(failed[2]).due_wall_ms == begin_ms + 30'000);
  CHECK(get(failed[3]).due_wall_ms == begin_ms + 60'000);
  CHECK(get(failed[4]).due_wall_ms == begin_ms + 90'000);
  CHECK(gates(failed[4]) == "due");
  const JobId fresh = add(fixed);  // a first run is none
  CHECK(started_ids() == std::vector<JobId>{fresh});
  SUBCASE("they run then") {
    run_for(90'000);
    CHECK(started_ids() == failed);
  }
  SUBCASE("what is booked is kept over the end of the process") {
    JobSpec other = fixed;
    other.policy.max_attempts = 2;
    crash();
    handler("x");
    ask<Done>(SetQueueDefaults{"default", {.retry_budget = *parse_rate_limit("2/1m")}});
    const RunJob run = take_started();  // the fresh one, which was running
    CHECK(run.id == fresh);
    end(run, Outcome::retry);
    CHECK(get(fresh).due_wall_ms == begin_ms + 120'000);
  }
  SUBCASE("a defer spends none, a permanent failure neither") {
    const JobId a = add(fixed);
    end(take_started(), Outcome::defer);
    CHECK(get(a).due_wall_ms == begin_ms + 5000);
    add(fixed);
    end(take_started(), Outcome::dead);
    add(fixed);
    const RunJob run = take_started();
    end(run, Outcome::retry);
    CHECK(get(run.id).due_wall_ms == begin_ms + 120'000);
  }
}

TEST_CASE_FIXTURE(IntakeFixture, "a retry is never put off by more than 30 days") {
  handler("x");
  ask<Done>(SetQueueDefaults{"default", {.retry_budget = *parse_rate_limit("1/20d")}});
  for (int i = 0; i < 4; ++i) add(spec("x"));
  const int64_t begin_ms = now.wall_ms;
  std::vector<int64_t> days;
  for (int i = 0; i < 4; ++i) {
    const RunJob run = take_started();
    end(run, Outcome::retry);
    days.push_back((get(run.id).due_wall_ms - begin_ms) / 86'400'000);
  }
  CHECK(days == std::vector<int64_t>{0, 20, 30, 30});
}

TEST_CASE_FIXTURE(IntakeFixture, "dead letters come back spread over a time, those of a queue or a type alone if it is said") {
  handler("x");
  handler("y");
  std::vector<JobId> dead;
  for (int i = 0; i < 8; ++i) {
    JobSpec s = spec(i % 2 == 0 ? "x" : "y");
    s.queue = i < 4 ? "a" : "b";
    dead.push_back(add(s));
    end(take_started(), Outcome::dead);
  }
  CHECK(refused(RetryAllDead{0}).message == "limit is 0; allowed is 1 to 10000");
  CHECK(refused(RetryAllDead{10001}).code == HF_E_INVALID);
  CHECK(refused(RetryAllDead{1, "no queue!"}).code == HF_E_INVALID);
  CHECK(refused(RetryAllDead{1, "", "", kBackoffMaxMs + 1}).code == HF_E_INVALID);
  CHECK(ask<int64_t>(RetryAllDead{1000, "nobody"}) == 0);
  CHECK(ask<int64_t>(RetryAllDead{1000, "a", "y"}) == 2);
  CHECK(started_ids() == std::vector<JobId>{dead[1], dead[3]});
  CHECK(ask<int64_t>(RetryAllDead{1, "b", "", 0}) == 1);  // the oldest
  CHECK(started_ids() == std::vector<JobId>{dead[4]});
  const int64_t begin_ms = now.wall_ms;
  CHECK(ask<int64_t>(RetryAllDead{1000, "", "", 50'000}) == 5);
  std::vector<int64_t> due;
  for (JobId id : {dead[2], dead[5], dead[6], dead[7]}) due.push_back(get(id).due_wall_ms - begin_ms);
  CHECK(due == std::vector<int64_t>{10'000, 20'000, 30'000, 40'000});
  CHECK(started_ids() == std::vector<JobId>{dead[0]});
  run_for(40'000);
  CHECK(started_ids() == std::vector<JobId>{dead[2], dead[5], dead[6], dead[7]});
}

TEST_CASE_FIXTURE(IntakeFixture, "dead letters whose key another job holds stay, and hold up none behind them") {
  handler("x");
  std::vector<JobId> dead;
  for (int i = 0; i < 3; ++i) {
    dead.push_back(add(unique("k")));
    end(take_started(), Outcome::dead);
  }
  const JobId other = add(spec("x"));
  end(take_started(), Outcome::dead);
  JobSpec later = unique("k");
  later.delay_ms = 1000;
  const JobId holds = add(later);
  CHECK(ask<int64_t>(RetryAllDead{2}) == 1);
  CHECK(started_ids() == std::vector<JobId>{other});
  ask<Done>(Cancel{holds});
  CHECK(ask<int64_t>(RetryAllDead{2}) == 1);  // one of those with the key
  CHECK(started_ids() == std::vector<JobId>{dead[0]});
}

TEST_CASE_FIXTURE(IntakeFixture, "a backfill comes in as a whole or not at all") {
  ScheduleSpec s;
  s.name = "hourly";
  s.cron = "0 * * * *";
  s.job = spec("x");
  ask<Done>(SchedulePut{s});
  limit("10/1m");
  const int64_t hour = 3600'000;
  const Error error = refused(ScheduleBackfill{"hourly", now.wall_ms - 24 * hour, now.wall_ms});
  CHECK(error.code == HF_E_TOO_LARGE);
  CHECK(pending() == 0);
  CHECK(ask<std::vector<JobId>>(ScheduleBackfill{"hourly", now.wall_ms - 8 * hour, now.wall_ms}).size() == 8);
  CHECK(refused(ScheduleBackfill{"hourly", now.wall_ms - 8 * hour, now.wall_ms}).code == HF_E_RATE);
}
