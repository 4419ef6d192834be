// A sink is told how a job ended, by the transaction that ended it.
#include <algorithm>
#include <map>
#include <set>

#include "core/jobs.h"
#include "core/random.h"
#include "core/suspects.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class CallbackFixture : public EngineFixture {
 public:
  CallbackFixture() { setup(); }
  void setup() {
    RunnerSpec r;
    r.policy.max_attempts = 2;
    r.policy.backoff = steady();
    handler("x", r);
  }
  void sink(const std::string& name = "sink:ops", bool sequence = false) {
    RunnerSpec r;
    r.concurrency = 1;
    r.sequence = sequence;
    r.policy.max_attempts = 3;
    r.policy.backoff = steady();
    handler(name, r);
  }
  static BackoffSpec steady() {
    BackoffSpec b;
    b.kind = BackoffKind::fixed;
    b.base_ms = 1000;
    b.jitter = Jitter::none;
    return b;
  }
  static JobSpec telling() {
    JobSpec s = spec("x", "secret payload");
    s.callback = "ops";
    s.failure_callback = "alarm";
    return s;
  }
  // A job in whose runs the process ends until it is quarantined, at the opening.
  // `again`: the process that quarantined it ends before its first turn.
  JobId quarantine(bool again = false) {
    JobSpec s = telling();
    s.policy.max_attempts = 5;
    const JobId id = add(s);
    for (int i = 0; i < kCrashLimit; ++i) {
      CHECK(take_started().id == id);
      leave();
      if (again && i + 1 == kCrashLimit) {
        open_with(options());
        leave();
      }
      open();
      setup();
      run_for(60'000);
    }
    return id;
  }
  static std::string text_of(JobId id, const char* event) { return "{\"type\":\"" + std::string(event) + "\",\"data\":{\"id\":" + std::to_string(id) + "}}"; }
  // Nothing else is there than jobs that have ended.
  void check_nobody_is_told() {
    for (const JobInfo& job : ask<JobPage>(List{}).jobs) CHECK(job.type != kCallbackType);
  }
};

}  // namespace

TEST_CASE_FIXTURE(CallbackFixture, "a completed job tells its callback, once") {
  sink();
  const JobId id = add(telling());
  end(take_started(), Outcome::done, "value");
  const RunJob told = take_started();
  CHECK(told.id != id);
  CHECK(told.type == kCallbackType);
  CHECK(told.queue == kOwnQueue);
  CHECK(told.bytes == text_of(id, "job.completed"));
  end(told, Outcome::done);
  CHECK(state(told.id) == State::completed);
  CHECK(started.empty());
  const JobInfo info = get(id);
  CHECK(info.callback == "ops");
  CHECK(info.failure_callback == "alarm");
}

TEST_CASE_FIXTURE(CallbackFixture, "a dead job tells its failure_callback, when no attempt is left") {
  sink("sink:alarm");
  const JobId id = add(telling());
  end(take_started(), Outcome::retry, "no");
  CHECK(started.empty());
  pass(1000);
  end(take_started(), Outcome::retry, "no");
  CHECK(take_started().bytes == text_of(id, "job.failed"));
}

TEST_CASE_FIXTURE(CallbackFixture, "whichever way a job dies") {
  sink("sink:alarm");
  SUBCASE("by its ttl") {
    JobSpec s = telling();
    s.type = "nobody";
    s.ttl_ms = 10;
    const JobId id = add(s);
    pass(10);
    CHECK(take_started().bytes == text_of(id, "job.failed"));
  }
  SUBCASE("in a claim that finds its attempts used up") {
    RunnerSpec r;
    r.policy.max_attempts = 2;
    r.policy.backoff = steady();
    handler("x", r);
    const JobId id = add(telling());
    end(take_started(), Outcome::retry, "no");
    r.policy.max_attempts = 1;
    handler("x", r);
    pass(1000);  // in this very turn
    CHECK(take_started().bytes == text_of(id, "job.failed"));
    CHECK(state(id) == State::dead);
  }
  SUBCASE("in quarantine, at an opening") {
    const JobId id = quarantine();
    sink("sink:alarm");
    CHECK(state(id) == State::dead);
    CHECK(take_started().bytes == text_of(id, "job.failed"));
  }
  SUBCASE("as a delivery") {
    sink("sink:cloud");
    JobSpec s = telling();
    s.sink = "cloud";
    const JobId id = add(s);
    end(take_started(), Outcome::done, "value");
    end(take_started(), Outcome::dead, "refused");
    CHECK(take_started().bytes == text_of(id, "job.failed"));
  }
}

TEST_CASE_FIXTURE(CallbackFixture, "a job with a sink is completed when its result is delivered") {
  sink();
  sink("sink:cloud");
  JobSpec s = telling();
  s.sink = "cloud";
  const JobId id = add(s);
  end(take_started(), Outcome::done, "value");
  const RunJob delivery = take_started();
  CHECK(delivery.id == id);
  CHECK(started.empty());
  end(delivery, Outcome::done);
  CHECK(take_started().bytes == text_of(id, "job.completed"));
}

TEST_CASE_FIXTURE(CallbackFixture, "the handler's callbacks are for its jobs that name none, on both legs") {
  RunnerSpec r;
  r.sink = "cloud";
  r.callback = "ops";
  r.failure_callback = "ops";
  handler("x", r);
  sink();
  sink("sink:cloud");
  const JobId id = add(spec("x"));
  end(take_started(), Outcome::done, "value");
  CHECK(get(id).callback == "ops");
  end(take_started(), Outcome::done);
  RunJob told = take_started();
  CHECK(told.bytes == text_of(id, "job.completed"));
  end(told, Outcome::done);
  JobSpec own = spec("x");
  own.failure_callback = "alarm";
  const JobId other = add(own);
  end(take_started(), Outcome::dead, "no");
  CHECK(started.empty());
  sink("sink:alarm");
  CHECK(take_started().bytes == text_of(other, "job.failed"));
}

TEST_CASE_FIXTURE(CallbackFixture, "the handler's callbacks hold before a process has told of its handlers") {
  const auto set_again = [&](const char* whom) {
    RunnerSpec r;
    r.policy.max_attempts = 5;
    r.failure_callback = whom;
    handler("x", r);
  };
  set_again("alarm");
  SUBCASE("a job that is quarantined at the opening") {
    const JobId id = add(spec("x"));
    for (int i = 0; i < kCrashLimit; ++i) {
      CHECK(take_started().id == id);
      crash();
      if (i + 1 == kCrashLimit) break;
      set_again("alarm");
      run_for(60'000);
    }
    CHECK(state(id) == State::dead);
    sink("sink:alarm");
    CHECK(take_started().bytes == text_of(id, "job.failed"));
  }
  SUBCASE("a job that expires meanwhile") {
    JobSpec s = spec("x");
    s.delay_ms = 10;
    s.ttl_ms = 20;
    const JobId id = add(s);
    leave();
    now.boot_ms += 100;
    now.wall_ms += 100;
    open();
    CHECK(state(id) == State::dead);
    sink("sink:alarm");
    CHECK(take_started().bytes == text_of(id, "job.failed"));
  }
  SUBCASE("and a handler that has none any more has none") {
    set_again("");
    JobSpec s = spec("x");
    s.delay_ms = 10;
    s.ttl_ms = 20;
    add(s);
    leave();
    now.boot_ms += 100;
    now.wall_ms += 100;
    open();
    check_nobody_is_told();
  }
}

TEST_CASE_FIXTURE(CallbackFixture, "what is told is on the disk before") {
  sink();
  add(telling());
  const RunJob run = take_started();
  const int before = disk.syncs;
  end(run, Outcome::done, "value");
  CHECK(take_started().type == kCallbackType);
  CHECK(disk.syncs > before);
}

TEST_CASE_FIXTURE(CallbackFixture, "nobody is told of a cancelled job, nor of the end of a callback") {
  sink();
  const JobId waiting = add([] { JobSpec s = telling(); s.delay_ms = 1000; return s; }());
  ask<Done>(Cancel{waiting});
  const JobId running = add(telling());
  ask<Done>(Cancel{running});
  end(take_started(), Outcome::cancelled);
  check_nobody_is_told();
  add(telling());
  end(take_started(), Outcome::done);
  const RunJob told = take_started();
  end(told, Outcome::dead, "refused");
  CHECK(state(told.id) == State::dead);
  CHECK(started.empty());
  CHECK(ask<JobPage>(List{}).jobs.size() == 4);
}

TEST_CASE_FIXTURE(CallbackFixture, "a job that is deleted at once is told of all the same, and one retried by hand is told of again") {
  limits.keep_completed_ms = -1;
  ask<Done>(SetLimits{limits});
  sink();
  const JobId id = add(telling());
  end(take_started(), Outcome::done, "value");
  CHECK(refused(Get{id}).code == HF_E_NOT_FOUND);
  const RunJob told = take_started();
  CHECK(told.bytes == text_of(id, "job.completed"));
  const Stats s = stats();
  CHECK(s.by_state[static_cast<int>(State::running)] == 1);
  CHECK(s.by_state[static_cast<int>(State::completed)] == 0);
  end(told, Outcome::done);

  sink("sink:alarm");
  const JobId dead = add(telling());
  end(take_started(), Outcome::dead, "no");
  const RunJob first = take_started();
  end(first, Outcome::done);
  ask<Done>(Retry{dead});
  end(take_started(), Outcome::dead, "no");
  const RunJob second = take_started();
  CHECK(second.bytes == first.bytes);
  CHECK(second.key != first.key);
}

TEST_CASE_FIXTURE(CallbackFixture, "what is told has the result up to its limit, and never the payload") {
  sink();
  EngineOptions o = options();
  o.callback_text = [](const JobInfo& job) { return std::to_string(job.result.size()) + " of " + std::to_string(job.result_size) + ", " + std::to_string(job.payload.size()) + ", " + job.error; };
  leave();
  o.path = path;
  open_with(o);
  tick({SetDispatch{true}});
  setup();
  sink();
  sink("sink:alarm");
  for (const int64_t size : {int64_t{0}, int64_t{5}, kCallbackResultMax, kCallbackResultMax + 1}) {
    add(telling());
    end(take_started(), Outcome::done, std::string(static_cast<size_t>(size), 'r'));
    const RunJob told = take_started();
    CHECK(told.bytes == std::to_string(size > kCallbackResultMax ? 0 : size) + " of " + std::to_string(size) + ", 0, ");
    end(told, Outcome::done);
  }
  add(telling());
  end(take_started(), Outcome::dead, "why not");
  CHECK(take_started().bytes == "0 of 0, 0, why not");
}

TEST_CASE_FIXTURE(CallbackFixture, "a callback has its job's priority, and a number of a sink that numbers, also when a job was quarantined") {
  sink("sink:alarm", true);
  JobSpec s = telling();
  s.priority = 7;
  add(s);
  end(take_started(), Outcome::dead, "no");
  RunJob told = take_started();
  CHECK(told.sequence == 1);
  CHECK(get(told.id).priority == 7);
  end(told, Outcome::done);
  quarantine(true);  // the number was given at the opening, and is kept
  sink("sink:alarm", true);
  told = take_started();
  CHECK(told.sequence == 2);
  end(told, Outcome::done);
  setup();
  add(telling());
  end(take_started(), Outcome::dead, "no");
  CHECK(take_started().sequence == 3);
}

TEST_CASE_FIXTURE(CallbackFixture, "a claim that finds very many attempts used up ends few of them in one turn") {
  RunnerSpec r;
  r.policy.max_attempts = 2;
  r.policy.backoff = steady();
  r.policy.backoff.base_ms = 60'000;
  handler("x", r);
  constexpr size_t kJobs = 500;
  for (size_t i = 0; i < kJobs; ++i) {
    add(telling());
    end(take_started(), Outcome::retry, "no");
  }
  r.policy.max_attempts = 1;
  handler("x", r);
  pass(60'000);
  const auto died = [&] { return std::count_if(last.feed.begin(), last.feed.end(), [](const Transition& t) { return t.change == Change::died; }); };
  CHECK(died() == 200);
  CHECK(wake() == now.boot_ms);  // goes on at once
  tick();
  CHECK(died() == 200);
  tick();
  CHECK(died() == 100);
  CHECK(wake() > now.boot_ms);
  CHECK(started.empty());
  CHECK(stats().by_state[static_cast<size_t>(State::pending)] == kJobs);  // who is told: the sink is not there
}

TEST_CASE_FIXTURE(CallbackFixture, "on a full disk an end that somebody wants to be told of waits, and such a job does not expire") {
  const JobId id = add(telling());
  const RunJob run = take_started();
  JobSpec s = telling();
  s.type = "nobody";
  s.ttl_ms = 10;
  const JobId late = add(s);
  s.failure_callback.clear();
  s.ttl_ms = 5;
  const JobId early = add(s);
  const JobId silent = add(spec("x"));
  const RunJob quiet = take_started();
  const JobId again = add(telling());
  const RunJob tried = take_started();
  ask<Done>(SetRoom{Room::little});
  CHECK(refused(ended(run, Outcome::done, "value")).code == HF_E_FULL);
  end(quiet, Outcome::done, "value");
  CHECK(state(silent) == State::completed);
  end(tried, Outcome::retry, "not now");  // nobody is told of that
  CHECK(state(again) == State::pending);
  pass(20);
  CHECK(state(early) == State::dead);
  CHECK(state(late) == State::pending);
  CHECK(last.next_due_boot_ms > now.boot_ms);  // it is not asked in circles
  ask<Done>(SetRoom{Room::enough});
  CHECK(state(late) == State::dead);
  end(run, Outcome::done, "value");
  CHECK(state(id) == State::completed);
  int told = 0;
  for (const JobInfo& job : ask<JobPage>(List{}).jobs) told += job.type == kCallbackType;
  CHECK(told == 2);
}

TEST_CASE_FIXTURE(CallbackFixture, "bad names") {
  JobSpec s = spec("x");
  s.callback = "a b";
  CHECK(refused(Enqueue{{s}}).message.find("callback") != std::string::npos);
  s.callback = "";
  s.failure_callback = std::string(HF_NAME_MAX + 1, 'a');
  CHECK(refused(Enqueue{{s}}).message.find("failure_callback") != std::string::npos);
  s.failure_callback.pop_back();
  add(s);
  RunnerSpec r;
  r.name = "y";
  r.failure_callback = "?";
  CHECK(refused(SetRunner{r}).message.find("failure_callback") != std::string::npos);
}

// Jobs end in all ways, between crashes that take back what was not committed. Each end that is in the file has its one callback
// there, and no callback is of another end.
TEST_CASE_FIXTURE(CallbackFixture, "an end and its callback are never without each other") {
  Random random(7);
  std::map<JobId, bool> wanted;  // jobs that ended: whether it completed
  std::set<JobId> jobs;
  for (int i = 0; i < 400; ++i) {
    switch (random.below(6)) {
      case 0:
      case 1: jobs.insert(add(telling())); break;
      case 2:
      case 3:
        if (started.empty()) break;
        end(take_started(), random.below(3) == 0 ? Outcome::dead : random.below(2) == 0 ? Outcome::retry : Outcome::done, "text");
        break;
      case 4: pass(1000); break;
      default:
        if (random.below(4) != 0) break;
        disk.room = static_cast<int64_t>(random.below(8)) * 1024;  // the turn fails in the middle, or does not
        if (!started.empty()) (void)try_tick({ended(take_started(), Outcome::done, "text")});
        disk.room = INT64_MAX / 2;
        crash();
        setup();
        break;
    }
  }
  for (const JobId id : jobs) {
    if (const State s = state(id); s == State::completed || s == State::dead) wanted[id] = s == State::completed;
  }
  CHECK(wanted.size() > 50);
  sink();
  sink("sink:alarm");
  std::map<JobId, bool> told;
  while (!started.empty()) {
    const RunJob job = take_started();
    if (job.type != kCallbackType) continue;
    const JobId of = std::stoll(job.bytes.substr(job.bytes.find("\"id\":") + 5));
    CHECK(told.emplace(of, job.bytes.find("completed") != std::string::npos).second);
    end(job, Outcome::done);
  }
  CHECK(told == wanted);
}
