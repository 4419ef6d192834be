// A full disk as the engine sees it: what the ballast gave back is always enough to move the log into the file, and what
// is cancelled and deleted after that needs no block that somebody else could take.
#include <algorithm>

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

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
    reopened_with = 0;
    disk.room = INT64_MAX;
    open_with(Room::enough);
  }

  void open_with(Room room) {
    EngineOptions o = options();
    o.page_size = page_size;
    o.room = room;
    o.reopened = reopened_with > 0;
    o.log_safe = reopened_with++ > 0 ? log_safe : -1;
    o.recorded = o.reopened;
    auto opened = Engine::open(std::move(o));
    REQUIRE_MESSAGE(opened.ok(), opened.error().message);
    engine = std::move(*opened);
  }
  // As the host does: the turn failed for want of room, so the ballast is given up.
  void less_room() {
    log_safe = engine->log_safe();
    engine.reset();
    disk.room += kBallast;
    open_with(Room::little);
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
  int reopened_with = 0;
  int64_t log_safe = -1;
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
