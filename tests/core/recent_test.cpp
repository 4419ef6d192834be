// Jobs that run and are in no index, as their ids are among the last: Store::reserve_ids().
#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class RecentFixture : public EngineFixture {
 public:
  RecentFixture() { handler("runs"); }
  // The file as it is.
  RawDb raw() {
    const std::string copy = dir + "/look-" + std::to_string(++looks) + ".db";
    std::filesystem::copy_file(path, copy);
    std::filesystem::copy_file(path + "-wal", copy + "-wal");
    return RawDb(copy);
  }
  // -1: in no index, 1: in that of running jobs.
  int64_t state_of(JobId id) { return raw().number("SELECT state FROM job WHERE id=" + std::to_string(id)); }
  void check_file() {
    RawDb file = raw();
    CHECK(file.query("PRAGMA integrity_check")[0][0] == "ok");
    CHECK(file.number("SELECT count(*) FROM job WHERE state=-1 AND id<(SELECT value FROM meta WHERE key='next_id')-2048") == 0);
  }
  void others(int n) { ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(static_cast<size_t>(n), spec("waits"))}); }
  std::vector<JobId> running() {
    ListQuery q;
    q.state = State::running;
    std::vector<JobId> ids;
    for (const JobInfo& job : ask<JobPage>(List{q}).jobs) ids.push_back(job.id);
    return ids;
  }
  int looks = 0;
};

}  // namespace

TEST_CASE_FIXTURE(RecentFixture, "a job that ran at the kill is found, in an index or not") {
  const JobId early = add(spec("runs"));
  CHECK(state_of(early) == -1);
  others(1023);
  const JobId late = add(spec("runs"));
  CHECK(late == 1025);
  // One short of the reservation that leaves the first one behind.
  others(1023);
  CHECK(state_of(early) == -1);
  check_file();
  SUBCASE("before") {}
  SUBCASE("between") {
    others(1);
    CHECK(state_of(early) == 1);
    CHECK(state_of(late) == -1);
  }
  SUBCASE("behind both") {
    others(3000);
    CHECK(state_of(early) == 1);
    CHECK(state_of(late) == 1);
  }
  check_file();
  CHECK(running() == std::vector<JobId>{late, early});
  CHECK(stats().by_state[1] == 2);
  crash();
  CHECK(stats().recovered == 2);
  CHECK(stats().by_state[1] == 0);
  CHECK(running().empty());
  check_file();
  handler("runs");
  CHECK(running() == std::vector<JobId>{late, early});
  for (const StartRun& run : std::exchange(started, {})) {
    for (const RunJob& job : run.jobs) end(job, Outcome::done);
  }
  CHECK(stats().by_state[2] == 2);
  check_file();
}

TEST_CASE_FIXTURE(RecentFixture, "a close hands back what still runs, whether an index has it or not") {
  const JobId early = add(spec("runs"));
  others(3072);
  const JobId late = add(spec("runs"));
  CHECK(state_of(early) == 1);
  CHECK(state_of(late) == -1);
  close_cleanly();
  started.clear();
  open();
  CHECK(running().empty());
  CHECK(stats().recovered == 0);
  CHECK(stats().by_state[0] == 3074);
  CHECK(get(early).attempts == 0);
  handler("runs");
  CHECK(running() == std::vector<JobId>{late, early});
}

TEST_CASE_FIXTURE(RecentFixture, "one that waited behind so many is put into the index at once") {
  ask<Done>(RemoveRunner{"runs"});
  const JobId old = add(spec("runs"));
  others(3000);
  handler("runs");
  CHECK(state_of(old) == 1);
  crash();
  CHECK(stats().recovered == 1);
  check_file();
}

TEST_CASE_FIXTURE(RecentFixture, "the index is written again after a transaction that took all back") {
  const JobId runs = add(spec("runs"));
  others(1100);  // the ids of a transaction are reserved before it
  bool called = false;
  Transact all_back = transaction([&](Transaction& t) -> Status {
    called = true;
    const char* text = "CREATE TABLE mine(a UNIQUE); INSERT INTO mine VALUES(1); INSERT OR ROLLBACK INTO mine VALUES(1)";
    CHECK(sqlite3_exec(t.connection, text, nullptr, nullptr, nullptr) == SQLITE_CONSTRAINT_UNIQUE);
    return ok_status();
  });
  CHECK(refused(std::move(all_back)).code == HF_E_STATE);
  CHECK(called);
  CHECK(state_of(runs) == 1);
  check_file();
}

TEST_CASE_FIXTURE(RecentFixture, "a turn that failed took the index back, and the runs go on") {
  const JobId runs = add(spec("runs"));
  disk.fail_writes = true;
  CHECK_FALSE(try_tick({Enqueue{std::vector<JobSpec>(5000, spec("waits"))}}).ok());
  disk.fail_writes = false;
  handover = engine->handover();
  engine.reset();
  open();
  handover = {};
  CHECK(state_of(runs) == -1);
  CHECK(running() == std::vector<JobId>{runs});
  others(5000);
  CHECK(state_of(runs) == 1);
  crash();
  CHECK(stats().recovered == 1);
  check_file();
}
