// A full disk as the engine sees it: what the ballast gave back is always enough to move the log into the file, and what
// is cancelled and deleted after that needs no block that somebody else could take.
#include <algorithm>

#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

constexpr int64_t kBallast = 256 << 10;

class FullDisk : public EngineFixture {
 public:
  FullDisk() {
    limits.ballast = kBallast;
    anew();
  }
  void anew() {
    engine.reset();
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-wal");
    acknowledged.clear();
    handover = {};
    disk.room = INT64_MAX / 2;
    open_in(Room::enough);
  }

  void open_in(Room room) {
    EngineOptions o = options();
    o.page_size = page_size;
    o.room = room;
    open_with(std::move(o));
  }
  // As the host does: the turn failed for want of room, so the ballast is given up.
  void less_room() {
    handover = engine->handover();
    engine.reset();
    disk.room += kBallast;
    open_in(Room::little);
  }
  // Somebody else writes: what is left is `bytes`.
  void others_leave(int64_t bytes) { disk.room = bytes; }

  bool add_some(size_t bytes, size_t count = 1) {
    std::vector<JobSpec> specs(count, spec("x", std::string(bytes, 'p')));
    Result<std::vector<Reply>> replies = try_tick({Enqueue{std::move(specs)}});
    if (!replies) CHECK(replies.error().code == HF_E_FULL);
    if (!replies) return false;
    const auto& ids = std::get<std::vector<JobId>>(replies->front());
    acknowledged.insert(acknowledged.end(), ids.begin(), ids.end());
    return true;
  }
  void all_there_and_can_go() {
    for (size_t i = 0; i < acknowledged.size(); ++i) {
      CAPTURE(i);
      CHECK(ask<JobInfo>(Get{acknowledged[i]}).state == State::pending);
    }
    for (size_t i = 0; i < std::min<size_t>(acknowledged.size(), 2000); i += 2) {
      CAPTURE(i);
      CHECK(std::holds_alternative<Done>(tick({Cancel{acknowledged[i]}}).front()));
    }
    for (JobId id : acknowledged) CHECK(std::holds_alternative<Done>(tick({Remove{id}}).front()));
  }

  int page_size = 4096;
  std::vector<JobId> acknowledged;
};

}  // namespace

TEST_CASE_FIXTURE(FullDisk, "many small commits: the log never owes more than the ballast gives") {
  for (auto [page, bytes] : std::vector<std::pair<int, size_t>>{{4096, 2000}, {4096, 400}, {1024, 10}}) {
    CAPTURE(bytes);
    page_size = page;
    anew();
    others_leave(3 << 20);
    while (add_some(bytes)) {
    }
    CHECK(acknowledged.size() > 100);
    less_room();
    others_leave(0);
    all_there_and_can_go();
  }
}

TEST_CASE_FIXTURE(FullDisk, "a large commit owes no more, or is refused") {
  int refused = 0;
  for (int64_t left = 200 << 10; left < 7 << 20; left += 400 << 10) {
    CAPTURE(left);
    anew();
    REQUIRE(add_some(10, 50));
    others_leave(left);
    const bool taken = add_some(200000, 10);
    refused += !taken;
    if (taken) others_leave(0);  // at once: the log may not have been moved yet
    while (add_some(1000)) {
    }
    less_room();
    others_leave(0);
    all_there_and_can_go();
  }
  CHECK(refused > 3);
  CHECK(refused < 15);
}

TEST_CASE_FIXTURE(FullDisk, "a smaller ballast from now on: what the log owes is brought in by the same turn") {
  limits.ballast = 8 << 20;
  anew();
  while (acknowledged.size() < 200) REQUIRE(add_some(10000));
  limits.ballast = kBallast;
  tick({SetLimits{limits}});
  others_leave(0);
  while (add_some(10000)) {
  }
  less_room();
  others_leave(0);
  all_there_and_can_go();
}

TEST_CASE_FIXTURE(FullDisk, "few rows a turn, so that they fit into the log: what expires, and what retention deletes") {
  limits.keep_dead_ms = 3600000;
  anew();
  tick({SetDispatch{true}});  // retention waits for it
  JobSpec s = spec("x", std::string(600, 'p'));
  s.ttl_ms = 1000;
  for (int i = 0; i < 100; ++i) add(s);
  tick({SetRoom{Room::little}});
  pass(2000);
  CHECK(stats().by_state[static_cast<size_t>(State::dead)] <= 2 * kRowsFull);
  CHECK(wake() <= now.boot_ms);
  run_for(1000);
  CHECK(stats().by_state[static_cast<size_t>(State::dead)] == 100);
  pass(2 * 3600000);
  CHECK(stats().by_state[static_cast<size_t>(State::dead)] >= 100 - 2 * kRowsFull);
  run_for(1000);
  CHECK(stats().by_state[static_cast<size_t>(State::dead)] == 0);
}

// The end of a run that waits in memory for room is its end, whatever comes meanwhile.
TEST_CASE_FIXTURE(FullDisk, "an end that waits for room is not overtaken by its timeout, nor by a stop") {
  tick({SetDispatch{true}});
  RunnerSpec policy;
  policy.policy.timeout_ms = 1000;
  policy.policy.max_attempts = 1;
  handler("runs", policy);
  const JobId id = add(spec("runs"));
  const RunEnded large = ended(take_started(), Outcome::done, std::string(20000, 'r'));
  bool asked_before = false;
  SUBCASE("") {}
  SUBCASE("its timeout had come before") {
    pass(1000);
    CHECK(take_stopped().reason == StopReason::timeout);
    asked_before = true;
  }
  ask<Done>(SetRoom{Room::little});
  CHECK(refused(large).code == HF_E_FULL);
  pass(60'000);
  CHECK(stopped.empty());
  SUBCASE("there is room again") {
    ask<Done>(SetRoom{Room::enough});
    ask<Done>(large);
    CHECK(get(id).result.size() == 20000);
    CHECK(state(id) == State::completed);
  }
  SUBCASE("the file was opened anew meanwhile") {
    handover = engine->handover();
    engine.reset();
    open_in(Room::little);
    tick();
    CHECK(stopped.empty() != asked_before);  // what it had been asked is forgotten
    ask<Done>(SetRoom{Room::enough});
    ask<Done>(large);
    CHECK(state(id) == State::completed);
  }
  SUBCASE("stopped: it has not failed, and runs again") {
    tick({SetDispatch{false}, StopAll{true}});
    CHECK(state(id) == State::pending);
    CHECK(get(id).attempts == 0);
    CHECK(refused(large).code == HF_E_STALE);
  }
}

// The table of docs/reliability.md: what works on a full disk.
TEST_CASE_FIXTURE(FullDisk, "each request, full at each of its writes: it is done, refused, or done with the room of the ballast") {
  enum Word { does, refuses, reads };
  ScheduleSpec schedule;
  schedule.name = "daily";
  schedule.cron = "@daily";
  schedule.job = spec("x");
  ScheduleSpec other = schedule;
  other.name = "other";
  Edit edit;
  edit.payload = std::string(3000, 'e');
  JobSpec child = spec("x", "c");
  page_size = 1024;
  struct Case {
    const char* name;
    Word word;
    std::function<Op(const std::vector<JobId>&, const RunJob&)> make;
  };
  auto id = [](auto op, size_t n) { return [op, n](const std::vector<JobId>& ids, const RunJob&) mutable { return op.id = ids[n], Op(op); }; };
  auto plain = [](auto op) { return [op](const std::vector<JobId>&, const RunJob&) { return Op(op); }; };
  auto result = [&](Outcome outcome, size_t bytes, bool with_child) {
    return [=](const std::vector<JobId>&, const RunJob& run) {
      RunEnded end = ended(run, outcome, std::string(bytes, 'r'));
      if (with_child) end.children.emplace_back(0, child);
      return Op(end);
    };
  };
  const Case cases[] = {
      {"enqueue", refuses, plain(Enqueue{{spec("x", std::string(2000, 'n'))}})},
      {"enqueue many", refuses, plain(Enqueue{std::vector<JobSpec>(50, spec("x", "n"))})},
      {"reserve ids", refuses, plain(ReserveIds{1000})},
      {"cancel", does, id(Cancel{}, 0)},
      {"retry", does, id(Retry{}, 1)},
      {"retry dead", refuses, plain(RetryAllDead{})},
      {"remove", does, id(Remove{}, 2)},
      {"edit", refuses, id(edit, 3)},
      {"prune", does, plain(Prune{})},
      {"end of a run", does, result(Outcome::done, 2000, false)},
      {"failure", does, result(Outcome::retry, 300, false)},
      {"large result", refuses, result(Outcome::done, 20000, false)},
      {"result with a child", refuses, result(Outcome::done, 10, true)},
      {"schedule put", refuses, plain(SchedulePut{other})},
      {"schedule remove", does, plain(ScheduleRemove{"daily"})},
      {"schedule pause", does, plain(SchedulePause{"daily", true})},
      {"schedule run", refuses, plain(ScheduleRun{"daily"})},
      {"queue pause", does, plain(QueuePause{"q", true})},
      {"queue resume", does, plain(QueuePause{"q", false})},
      {"queue set", does, plain(QueueSet{"q", {.concurrency = 3}})},
      {"queue drain", does, plain(QueueDrain{"q"})},
      {"end safe mode", does, plain(EndSafeMode{})},
      {"link up", reads, plain(LinkUp{})},
      {"link set", does, plain(SetLink{kLinkMetered})},
      {"budgets", reads, plain(SetBudgets{})},
      {"loss report", reads, plain(SetLossReport{})},
      {"get", reads, id(Get{}, 0)},
      {"list", reads, plain(List{{}})},
      {"why", reads, id(Why{}, 0)},
      {"stats", reads, plain(GetStats{})},
      {"schedules", reads, plain(ScheduleList{})},
      {"queues", reads, plain(QueueList{})},
      {"check", reads, plain(Check{})},
      {"progress", reads, [](const std::vector<JobId>&, const RunJob& run) { return Op(Progress{run.id, run.attempt, 50, "half"}); }},
      {"log line", reads, [](const std::vector<JobId>&, const RunJob& run) { return Op(LogLine{run.id, run.attempt, run.run, std::string(HF_JOB_LOG_MAX, 'l')}); }},
      {"remember", refuses, [](const std::vector<JobId>&, const RunJob& run) { return Op(Remember{run.id, run.attempt, run.run, std::string(kMemoMax, 'm')}); }},
  };
  anew();
  tick({SetDispatch{true}});
  handler("runs");
  std::vector<JobId> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(add(spec("later", std::string(static_cast<size_t>(i) * 30, 'p'))));
  ask<Done>(Cancel{ids[1]});
  ask<Done>(SchedulePut{schedule});
  const JobId running = add(spec("runs"));
  const RunJob run = take_started();
  const Handover failed = engine->handover();
  engine.reset();
  const std::string made = dir + "/made.db";
  RawDb(path).query("PRAGMA wal_checkpoint(TRUNCATE)");  // a log that has blocks would not find the disk full
  std::filesystem::copy_file(path, made);
  int times_full = 0;
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    // In steps smaller than a page: each write is the first that finds no room. The last is beyond what the turn needs.
    for (int64_t bytes = 0; bytes < 12000; bytes += 500) {
      CAPTURE(bytes);
      engine.reset();
      std::filesystem::remove(path + "-wal");
      std::filesystem::copy_file(made, path, std::filesystem::copy_options::overwrite_existing);
      disk.room = INT64_MAX / 2;
      handover = failed;
      open_in(Room::enough);
      handler("runs");
      others_leave(bytes);
      bool little = false;
      Result<std::vector<Reply>> replies = try_tick({c.make(ids, run)});
      if (!replies) {
        CHECK(c.word != reads);
        CHECK(replies.error().code == HF_E_FULL);
        little = true;
        ++times_full;
        less_room();
        replies = try_tick({c.make(ids, run)});
      }
      REQUIRE_MESSAGE(replies.ok(), replies.error().message);
      auto* error = std::get_if<Error>(&replies->front());
      if (error != nullptr) CAPTURE(error->message);
      CHECK((error == nullptr) == (!little || c.word != refuses));
      if (error != nullptr) CHECK(error->code == HF_E_FULL);
      // Nothing else is lost, by a kill.
      engine.reset();
      handover = {};
      disk.room = INT64_MAX / 2;
      open();
      for (size_t i = 4; i < ids.size(); ++i) CHECK(get(ids[i]).payload.size() == i * 30);
      CHECK(get(running).id == running);
    }
  }
  CHECK(times_full > 100);
}
