// Callbacks that start a job (job:TYPE), and the function that says when a run that failed is tried again.
#include "core/callbacks.h"
#include "follow_fixture.h"

using namespace hf;
using hf::test::FollowFixture;

TEST_CASE_FIXTURE(FollowFixture, "failure_callback job:TYPE: a job is started by the transaction of the death") {
  handler("clean", {});
  JobSpec s = spec("x", "what it worked on");
  s.queue = "work";
  s.priority = 7;
  s.failure_callback = "job:clean";
  const JobId a = add(s);
  end(take_started(), Outcome::dead, "no");
  const RunJob clean = take_started();
  CHECK(clean.type == "clean");
  CHECK(clean.queue == "work");
  CHECK(clean.bytes == "{\"type\":\"job.failed\",\"data\":{\"id\":" + std::to_string(a) + "}}");
  CHECK(get(clean.id).priority == 7);
  end(clean, Outcome::done);
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(FollowFixture, "callback job:TYPE: a chain, which ends") {
  for (const char* type : {"a", "b"}) {
    RunnerSpec r;
    r.callback = std::string("job:") + (*type == 'a' ? "b" : "a");
    handler(type, r);
  }
  add(spec("a"));
  int runs = 0;
  for (; !started.empty() && runs < 100; ++runs) end(take_started(), Outcome::done);
  CHECK(runs == HF_CHAIN_MAX + 1);
  CHECK(stats().by_state[0] == 0);
}

TEST_CASE_FIXTURE(FollowFixture, "callback job:TYPE: a chain that has ended still tells sinks") {
  RunnerSpec r;
  r.callback = "job:a";
  handler("a", r);
  add(spec("a"));
  for (int n = 0; n < HF_CHAIN_MAX; ++n) end(take_started(), Outcome::done);
  r.callback = "ops";
  handler("a", r);
  handler("sink:ops");
  end(take_started(), Outcome::done);
  CHECK(take_started().type == kCallbackType);
}

TEST_CASE_FIXTURE(FollowFixture, "callback job:TYPE: of a quarantine it is in the opening's transaction") {
  RunnerSpec r;
  r.policy.max_attempts = 9;
  r.failure_callback = "job:clean";
  handler("x", r);
  add(spec("x"));
  for (int i = 0; i < 3; ++i) {
    take_started();
    leave();
    open_with(options());
    if (i == 2) break;
    tick({SetDispatch{true}});
    handler("x", r);
    run_for(60'000);
  }
  leave();  // before any turn
  open();
  handler("clean", {});
  CHECK(take_started().type == "clean");
}

TEST_CASE_FIXTURE(FollowFixture, "callback job:TYPE: of a job that expires, and after a kill it is there") {
  JobSpec s = spec("nobody");
  s.ttl_ms = 1000;
  s.failure_callback = "job:clean";
  add(s);
  pass(1000);
  crash();
  handler("clean", {});
  CHECK(take_started().type == "clean");
}

TEST_CASE_FIXTURE(FollowFixture, "callback job:TYPE: what no type can be is refused") {
  JobSpec s = spec("x");
  s.callback = "job:";
  CHECK(refused(Enqueue{{s}}).message == "the callback name is empty");
  s.callback = "job:sink:x";
  CHECK(refused(Enqueue{{s}}).message == "callback \"job:sink:x\": names that begin with \"sink:\" are for deliveries");
  s.callback.clear();
  s.sink = "job:x";
  CHECK(refused(Enqueue{{s}}).message == "sink \"job:x\": names that begin with \"job:\" are for callbacks that start a job");
  RunnerSpec r;
  r.name = "sink:job:x";
  CHECK(refused(SetRunner{r}).code == HF_E_INVALID);
}

TEST_CASE_FIXTURE(FollowFixture, "backoff_hook: says when a run that failed is tried again") {
  RunnerSpec r;
  r.policy = hf::test::fixed_policy(1000);
  std::vector<std::string> asked;
  int64_t answer = 7000;
  r.backoff_hook = [&](JobId id, int attempt, std::string_view error) {
    asked.push_back(std::to_string(id) + " " + std::to_string(attempt) + " " + std::string(error));
    return answer;
  };
  handler("x", r);
  const JobId a = add(spec("x"));
  end(take_started(), Outcome::retry, "first");
  CHECK(wake() == now.boot_ms + 7000);
  pass(7000);
  answer = -1;  // by the policy
  end(take_started(), Outcome::retry, "second");
  CHECK(wake() == now.boot_ms + 1000);
  pass(1000);
  RunEnded e = ended(take_started(), Outcome::retry, "third");
  e.retry_after_ms = 300;  // what the run itself asks for goes before
  ask<Done>(e);
  CHECK(wake() == now.boot_ms + 300);
  CHECK(asked == std::vector<std::string>{std::to_string(a) + " 1 first", std::to_string(a) + " 2 second"});
  pass(300);
  answer = kNever;
  end(take_started(), Outcome::retry, "fourth");
  CHECK(get(a).due_wall_ms == now.wall_ms + kBackoffMaxMs);
}
