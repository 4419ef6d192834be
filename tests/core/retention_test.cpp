// Finished jobs leave by age and by count, driven by time.
#include "core/retention.h"

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kMinute = 60000;
constexpr int64_t kHour = 60 * kMinute;

class RetentionFixture : public EngineFixture {
 public:
  RetentionFixture() { handler("x"); }
  void keep(int64_t completed_ms, int64_t completed_count = 0, int64_t dead_ms = 0, int64_t dead_count = 0) {
    limits.keep_completed_ms = completed_ms;
    limits.keep_completed_count = completed_count;
    limits.keep_dead_ms = dead_ms;
    limits.keep_dead_count = dead_count;
    ask<Done>(SetLimits{limits});
  }
  JobId finish(Outcome outcome, JobSpec s = spec("x")) {
    JobId id = add(std::move(s));
    end(take_started(), outcome, std::string(1000, 'r'));
    return id;
  }
  bool there(JobId id) { return std::holds_alternative<JobInfo>(tick({Get{id}}).front()); }
};

}  // namespace

TEST_CASE_FIXTURE(RetentionFixture, "no wake-up when nothing is finished, one when the oldest is over its age") {
  CHECK(wake() == kNever);
  keep(kHour);
  JobId a = finish(Outcome::done);
  CHECK(wake() > now.boot_ms);
  CHECK(wake() <= now.boot_ms + kHour + kMinute);
  pass(kHour / 2);
  JobId b = finish(Outcome::done);
  pass(wake() - now.boot_ms);
  CHECK_FALSE(there(a));
  CHECK(there(b));
  run_for(2 * kHour);
  CHECK_FALSE(there(b));
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(RetentionFixture, "nothing leaves before its age") {
  keep(kHour, 0, 2 * kHour);
  JobId a = finish(Outcome::done), b = finish(Outcome::dead);
  JobId c = add(spec("y"));
  ask<Done>(Cancel{c});
  run_for(kHour - 1);
  CHECK((there(a) && there(b) && there(c)));
  run_for(2 * kMinute);
  CHECK_FALSE((there(a) || there(c)));
  CHECK(there(b));
  run_for(kHour);
  CHECK_FALSE(there(b));
}

TEST_CASE_FIXTURE(RetentionFixture, "age goes on over a kill and a reboot") {
  keep(kHour);
  JobId a = finish(Outcome::done);
  crash();
  run_for(kHour / 2);
  CHECK(there(a));
  reboot(kHour, true);
  run_for(2 * kMinute);
  CHECK_FALSE(there(a));
}

TEST_CASE_FIXTURE(RetentionFixture, "-1: a completed job is gone at once") {
  keep(-1);
  JobId a = finish(Outcome::done);
  CHECK_FALSE(there(a));
  CHECK(stats().by_state[2] == 0);
  CHECK(stats().completed == 1);
}

TEST_CASE_FIXTURE(RetentionFixture, "-1 for dead and cancelled jobs: gone within two seconds") {
  keep(-1, 0, -1);
  JobId a = finish(Outcome::dead);
  JobId b = add(spec("y"));
  ask<Done>(Cancel{b});
  run_for(2000);
  CHECK_FALSE((there(a) || there(b)));
}

TEST_CASE_FIXTURE(RetentionFixture, "at most so many completed and dead jobs are kept, the newest") {
  keep(0, 10, 0, 5);
  std::vector<JobId> done, dead;
  for (int i = 0; i < 30; ++i) {
    done.push_back(finish(Outcome::done));
    dead.push_back(finish(Outcome::dead));
    CHECK(stats().by_state[2] <= 10);
    CHECK(stats().by_state[3] <= 5);
    pass(1);
  }
  CHECK(stats().by_state[2] == 10);
  CHECK(there(done.back()));
  CHECK_FALSE(there(done.front()));
  CHECK(stats().by_state[3] == 5);
  CHECK(there(dead.back()));
}

TEST_CASE_FIXTURE(RetentionFixture, "a large count is held by batches") {
  keep(0, 1000);
  for (int i = 0; i < 1100; ++i) finish(Outcome::done);
  CHECK(stats().by_state[2] <= 1000);
  CHECK(stats().by_state[2] >= 800);
}

TEST_CASE_FIXTURE(RetentionFixture, "a job whose unique key is held stays, and the engine does not run in circles over it") {
  keep(kHour, 0, kHour);
  JobSpec s = spec("x");
  s.unique_key = "k";
  s.unique_for_ms = 10 * kHour;
  JobId a = finish(Outcome::done, s);
  JobId b = finish(Outcome::done);
  int64_t ticks = stats().ticks;
  run_for(3 * kHour);
  CHECK(there(a));
  CHECK_FALSE(there(b));
  CHECK(stats().ticks - ticks < 20);
  JobId c = finish(Outcome::done);
  run_for(2 * kHour);
  CHECK_FALSE(there(c));
  run_for(6 * kHour);
  CHECK_FALSE(there(a));
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(RetentionFixture, "many jobs whose keys are held do not keep the others") {
  keep(kHour);
  const int held = kRetentionLookMax + kRetentionBatch + 50;  // more than one turn looks at
  for (int i = 0; i < held; ++i) {
    JobSpec s = spec("x");
    s.unique_key = "k" + std::to_string(i);
    s.unique_for_ms = 100 * kHour;
    finish(Outcome::done, s);
  }
  JobId a = finish(Outcome::done);
  const int64_t ticks = stats().ticks;
  run_for(2 * kHour);
  CHECK_FALSE(there(a));
  CHECK(stats().by_state[2] == held);
  CHECK(stats().ticks - ticks < 400);
  a = finish(Outcome::done);
  run_for(2 * kHour);
  CHECK_FALSE(there(a));
  a = finish(Outcome::done);
  pass(kHour + 1);
  CHECK(ask<int64_t>(Prune{}) <= 1);
  CHECK_FALSE(there(a));
}

TEST_CASE_FIXTURE(RetentionFixture, "limits that change take effect at once") {
  JobId a = finish(Outcome::done);
  pass(2 * kHour);
  CHECK(there(a));
  keep(kHour);
  CHECK_FALSE(there(a));
}

TEST_CASE_FIXTURE(RetentionFixture, "thousands leave over a few turns, and the work goes on in between") {
  keep(kHour);
  limits.concurrency = 10000;
  ask<Done>(SetLimits{limits});
  ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(1500, spec("x"))});
  std::vector<Op> ends;
  for (const StartRun& s : started) ends.push_back(ended(s.jobs.front(), Outcome::done));
  started.clear();
  tick(std::move(ends));
  CHECK(stats().by_state[2] == 1500);
  pass(2 * kHour);
  CHECK(stats().by_state[2] > 0);
  run_for(1000);
  CHECK(stats().by_state[2] == 0);
}

TEST_CASE_FIXTURE(RetentionFixture, "prune does all of it now and gives the space back") {
  keep(kHour);
  for (int i = 0; i < 450; ++i) finish(Outcome::done);
  JobId waits = add(spec("y"));
  now.boot_ms += 2 * kHour;
  auto size = [&] { return std::filesystem::file_size(path); };
  close_cleanly();
  auto before = size();
  open();
  CHECK(ask<int64_t>(Prune{}) + 0 >= 0);
  CHECK(stats().by_state[2] == 0);
  CHECK(there(waits));
  close_cleanly();
  CHECK(size() < before / 2);
}

TEST_CASE_FIXTURE(RetentionFixture, "limits have their bounds") {
  auto bad = [&](auto change) {
    Limits l;
    change(l);
    return refused(SetLimits{l}).code == HF_E_INVALID;
  };
  CHECK(bad([](Limits& l) { l.keep_completed_ms = -2; }));
  CHECK(bad([](Limits& l) { l.keep_dead_count = -1; }));
  CHECK(bad([](Limits& l) { l.max_bytes = (1 << 20) - 1; }));
  CHECK(bad([](Limits& l) { l.max_payload = (16 << 20) + 1; }));
  CHECK(bad([](Limits& l) { l.concurrency = 10001; }));
  CHECK(bad([](Limits& l) { l.max_jobs = -1; }));
}
