// A file system that becomes read-only while the file is open: what is in it can be read all the same.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class ReadOnly : public EngineFixture {
 public:
  // As the host does after a turn that failed.
  void go_on_reading() {
    EngineOptions o = options();
    o.before = engine->handover();
    o.room = Room::read_only;
    std::unique_ptr<Store> store = engine->give_store();
    engine.reset();
    auto opened = Engine::open(std::move(o), std::move(store));
    REQUIRE_MESSAGE(opened.ok(), opened.error().message);
    engine = std::move(*opened);
  }
  void reopen() {
    EngineOptions o = options();
    o.before = engine->handover();
    engine.reset();
    open_with(std::move(o));
    tick({SetDispatch{true}});
  }
};

}  // namespace

TEST_CASE_FIXTURE(ReadOnly, "jobs are read, nothing is taken, and it goes on when it can be written again") {
  handler("x");
  std::vector<JobId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(add(spec("later", std::string(700, 'p'))));
  const JobId runs = add(spec("x"));
  const RunJob run = take_started();
  for (bool lands : {false, true}) {
    CAPTURE(lands);
    disk.read_only = true;
    disk.writes_land = lands;
    Result<std::vector<Reply>> failed = try_tick({Enqueue{{spec("later")}}});
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().code == HF_E_READ_ONLY);
    CHECK(failed.error().message.find("read-only") != std::string::npos);
    CHECK(engine->try_write().error().code == HF_E_READ_ONLY);
    go_on_reading();
    CHECK(get(ids[3]).payload.size() == 700);
    CHECK(std::get<JobPage>(tick({List{{}}}).front()).jobs.size() >= 21);
    CHECK(stats().room == Room::read_only);
    CHECK(state(runs) == State::running);
    CHECK(gates(ids[0]).find("read_only") != std::string::npos);
    for (Op op : std::vector<Op>{Enqueue{{spec("later")}}, Cancel{ids[0]}, Remove{ids[0]}, Prune{}, ended(run, Outcome::done, "r")}) {
      CHECK(refused(op).code == HF_E_READ_ONLY);
    }
    run_for(60000);
    CHECK(engine->try_write().error().code == HF_E_READ_ONLY);
    CHECK(get(ids[3]).payload.size() == 700);
    disk.read_only = false;
    CHECK(engine->try_write().ok());
    reopen();
    CHECK(stats().room == Room::enough);
    for (JobId id : ids) CHECK(get(id).payload.size() == 700);
    ids.push_back(add(spec("later", std::string(700, 'p'))));
  }
  ask<Done>(ended(run, Outcome::done, "r"));
  CHECK(state(runs) == State::completed);
  crash();
  for (JobId id : ids) CHECK(get(id).payload.size() == 700);
}

TEST_CASE_FIXTURE(ReadOnly, "the clock is set: what lies ahead is found anew, and written when it can be") {
  constexpr int64_t kDay = 86400000;
  ScheduleSpec daily;
  daily.name = "daily";
  daily.cron = "0 3 * * *";
  daily.job = spec("x");
  ask<Done>(SchedulePut{daily});
  auto next = [&] { return ask<std::vector<ScheduleInfo>>(ScheduleList{"daily"}).front().next_wall_ms; };
  const int64_t before = next();
  disk.read_only = true;
  REQUIRE_FALSE(try_tick({Enqueue{{spec("later")}}}).ok());
  go_on_reading();
  now.wall_ms -= 5 * kDay;
  CHECK(next() == before - 5 * kDay);
  disk.read_only = false;
  reopen();
  CHECK(next() == before - 5 * kDay);
  crash();
  CHECK(next() == before - 5 * kDay);
}

TEST_CASE_FIXTURE(ReadOnly, "an error of the disk is not taken for it") {
  const JobId id = add(spec("later"));
  disk.fail_syncs = true;
  errno = 0;
  Result<std::vector<Reply>> failed = try_tick({Enqueue{{spec("later")}}});
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == HF_E_IO);
  CHECK(engine->try_write().error().code == HF_E_IO);
  disk.fail_syncs = false;
  reopen();
  CHECK(state(id) == State::pending);
}
