// What people do to jobs: retry, remove, edit. Cancel is with the ends of runs, in jobs_test.cpp.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

TEST_CASE_FIXTURE(EngineFixture, "retry: dead or cancelled jobs run again with all attempts, pending ones now; others are refused") {
  handler("x");
  JobSpec s = spec("x");
  s.delay_ms = 100000;
  JobId a = add(s);
  ask<Done>(Retry{a});
  RunJob run = take_started();
  CHECK(refused(Retry{a}).code == HF_E_STATE);
  end(run, Outcome::dead);
  ask<Done>(Retry{a});
  run = take_started();
  CHECK(run.attempt == 1);
  end(run, Outcome::done);
  CHECK(refused(Retry{a}).code == HF_E_STATE);
  CHECK(refused(Retry{999}).code == HF_E_NOT_FOUND);
  JobId b = add(spec("x"));
  end(take_started(), Outcome::retry);
  ask<Done>(Retry{b});
  CHECK(take_started().attempt == 2);
}

TEST_CASE_FIXTURE(EngineFixture, "retry: all the dead, the oldest first, as many as asked for") {
  handler("x");
  std::vector<JobId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(add(spec("x")));
    end(take_started(), Outcome::dead);
    pass(10);
  }
  CHECK(ask<int64_t>(RetryAllDead{2}) == 2);
  CHECK(started_ids() == std::vector<JobId>{ids[0], ids[1]});
  CHECK(ask<int64_t>(RetryAllDead{}) == 3);
  CHECK(stats().by_state[3] == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "remove: all but what runs") {
  handler("x");
  JobId a = add(spec("x"));
  RunJob run = take_started();
  CHECK(refused(Remove{a}).code == HF_E_STATE);
  end(run, Outcome::done, std::string(2000, 'r'));
  ask<Done>(Remove{a});
  CHECK(refused(Get{a}).code == HF_E_NOT_FOUND);
  CHECK(refused(Remove{a}).code == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(EngineFixture, "edit: what it names changes, within the limits of new jobs") {
  JobId a = add(spec("x", std::string(2000, 'a')));
  Edit e;
  e.id = a;
  e.payload = "short";
  e.priority = 3;
  e.tags = "t";
  e.max_attempts = 7;
  e.delay_ms = 500;
  ask<Done>(e);
  JobInfo info = get(a);
  CHECK(info.payload == "short");
  CHECK(info.priority == 3);
  CHECK(info.tags == "t");
  CHECK(info.max_attempts == 7);
  CHECK(info.due_wall_ms == now.wall_ms + 500);
  auto bad = [&](auto change) {
    Edit b;
    b.id = a;
    change(b);
    return refused(b).code;
  };
  CHECK(bad([](Edit& b) { b.priority = 1001; }) == HF_E_INVALID);
  CHECK(bad([](Edit& b) { b.max_attempts = 0; }) == HF_E_INVALID);
  CHECK(bad([](Edit& b) { b.at_wall_ms = 0; }) == HF_E_INVALID);
  CHECK(bad([](Edit& b) { b.delay_ms = -1; }) == HF_E_INVALID);
  CHECK(bad([](Edit& b) { b.tags = std::string(257, 't'); }) == HF_E_TOO_LARGE);
  CHECK(bad([](Edit& b) { b.id = 999; }) == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(EngineFixture, "edit: a dead job is mended and retried; what runs or is completed is refused") {
  handler("x");
  JobId a = add(spec("x", "bad"));
  RunJob run = take_started();
  Edit e;
  e.id = a;
  e.payload = "good";
  CHECK(refused(e).code == HF_E_STATE);
  end(run, Outcome::dead);
  ask<Done>(e);
  ask<Done>(Retry{a});
  run = take_started();
  CHECK(run.bytes == "good");
  end(run, Outcome::done);
  CHECK(refused(e).code == HF_E_STATE);
}
