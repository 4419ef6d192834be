// Lanes: windows over the file that are the first ready jobs, whatever happens to them.
#include "core/lanes.h"

#include <array>

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

// A store with one lane; what is in it is said twice: to the lanes, and here.
class LanesFixture {
 public:
  LanesFixture() : store(open_store()), rates(*store), lanes(*store, rates, utc_only()) {
    store->begin(false);
    lane = *lanes.intern("q", "x", "", nullptr);
    RunnerSpec r;
    r.name = "x";
    lanes.set_runner(r);
  }
  std::unique_ptr<Store> open_store() {
    auto s = Store::open({.path = dir / "queue.db", .vfs = disk.name(), .new_file_id = 1});
    if (!s) FAIL(s.error().message);
    return std::move(*s);
  }
  void add(JobId id, int priority, int64_t due_ms) {
    JobRow row;
    row.id = id;
    row.lane = lane->id;
    row.priority = priority;
    row.due_ms = due_ms;
    store->insert(row, "");
    ReadyEntry e{-priority, due_ms, id};
    all[id] = e;
    lanes.added(*lane, e, now);
  }
  void remove(JobId id) {
    store->remove(id);
    lanes.removed(*lane, id);
    all.erase(id);
  }
  void move(JobId id, int priority, int64_t due_ms) {
    store->set_order(id, priority, due_ms, 0, "");
    all[id] = {-priority, due_ms, id};
    lanes.moved(*lane, id, all[id], now);
  }
  // What must come next; 0: nothing.
  JobId first() const {
    const ReadyEntry* best = nullptr;
    for (auto& [id, e] : all) {
      if (e.due_ms <= now && (best == nullptr || before(e, *best, lane->order))) best = &e;
    }
    return best != nullptr ? best->id : 0;
  }
  JobId take() {
    lanes.activate_due(now);
    lanes.settle(*lane->queue, now);
    REQUIRE(lane->place.has_value() == lane->active);
    REQUIRE(lane->group->places.size() == (lane->active ? 1 : 0));
    if (!lane->active) return 0;
    JobId id = lane->window.front().id;
    lanes.taken(*lane, id);
    store->set_running(id, 1);
    all.erase(id);
    return id;
  }
  hf::test::FaultyVfs disk;
  const TempFolder dir;
  std::unique_ptr<Store> store;
  Rates rates;
  Lanes lanes;
  Lane* lane = nullptr;
  int64_t now = 1000;
  std::map<JobId, ReadyEntry> all;
};

}  // namespace

TEST_CASE_FIXTURE(LanesFixture, "a random life of a lane: always the first ready job, counts and next due time right") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    QueueSettings settings;
    settings.aging_ms = std::array{0, 7, 40, 60000}[seed % 4];
    if (seed % 5 == 0) settings.order = QueueOrder::lifo;
    REQUIRE(lanes.set_queue(*lane->queue, settings).ok());
    JobId next_id = static_cast<JobId>(seed) * 100000;
    for (int step = 0; step < 600; ++step) {
      auto any = [&] {
        auto it = all.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.below(all.size())));
        return it->first;
      };
      auto due = [&] { return random.below(3) == 0 ? now + random.between(1, 50) : now - random.between(0, 20); };
      switch (random.below(8)) {
        case 0: case 1:
          for (int64_t n = random.between(1, random.below(10) == 0 ? 300 : 5); n > 0; --n) {
            add(next_id++, static_cast<int>(random.between(-2, 2)), due());
          }
          break;
        case 2:
          if (!all.empty()) remove(any());
          break;
        case 3:
          if (!all.empty()) move(any(), static_cast<int>(random.between(-1, 1)), due());
          break;
        case 4:
          now += random.between(0, 20);
          break;
        default:
          for (int64_t n = random.between(1, 20); n > 0; --n) {
            JobId expected = first();
            REQUIRE(take() == expected);
          }
      }
      REQUIRE(lane->pending == static_cast<int64_t>(all.size()));
      REQUIRE(lane->queue->pending == lane->pending);
      REQUIRE(lane->window.size() <= 2 * kWindow);
    }
    while (JobId expected = first()) REQUIRE(take() == expected);
    CHECK(take() == 0);
    int64_t next_due = kNever;
    for (auto& [id, e] : all) next_due = std::min(next_due, e.due_ms);
    CHECK(lanes.next_wake_ms() <= next_due);
    CHECK((next_due == kNever || lanes.next_wake_ms() > now));
    REQUIRE(store->ok());
    for (auto left = all; auto& [id, e] : left) remove(id);
  }
}

TEST_CASE_FIXTURE(LanesFixture, "lanes are found again by their names, and there are at most so many") {
  CHECK(*lanes.intern("q", "x", "", nullptr) == lane);
  Lane* keyed = *lanes.intern("q", "x", "k", nullptr);
  CHECK(keyed != lane);
  CHECK(*lanes.intern("q", "x", "", lane) != lane);
  for (int i = 4; i <= kLanesMax; ++i) REQUIRE(lanes.intern("q", "x", std::to_string(i), nullptr).ok());
  auto refused = lanes.intern("q", "x", "one more", nullptr);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == HF_E_FULL);
  CHECK(*lanes.intern("q", "x", "k", nullptr) == keyed);
}

TEST_CASE_FIXTURE(EngineFixture, "a closed queue costs nothing: no lane of it is read") {
  JobSpec s = spec("x");
  s.delay_ms = 1000;
  add(s);
  ask<Done>(QueuePause{"default"});
  handler("x");
  pass(2000);
  CHECK(wake() == kNever);
  ask<Done>(QueuePause{"default", false});
  CHECK(started_ids().size() == 1);
}
