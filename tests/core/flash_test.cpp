// What the file costs the flash: counted to the byte, over a day and over reopenings; and how a budget of it gathers what can wait.
#include "core/flash.h"

#include <algorithm>

#include "core/request_kinds.h"
#include "engine_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kHour = 3600'000, kMiB = 1 << 20;

class FlashFixture : public EngineFixture {
 public:
  int64_t day() { return stats().flash_day_bytes; }
  int64_t total() { return stats().flash_total_bytes; }
  // Until so many bytes more were written.
  void write(int64_t bytes) {
    for (const int64_t until = total() + bytes; total() < until;) add(spec("x", std::string(20000, 'p')));
  }
  static JobSpec of(Durability durability) {
    JobSpec s = spec("x");
    s.durability = durability;
    return s;
  }
};

bool waits(Op op) { return can_wait({std::move(op), {}, {}}); }

}  // namespace

TEST_CASE_FIXTURE(FlashFixture, "each byte that is written to the file and its log is counted") {
  const int64_t counted = total(), written = disk.bytes;
  handler("x");
  for (int i = 0; i < 300; ++i) {
    add(spec("x", std::string(static_cast<size_t>(i) * 20, 'p')));
    end(take_started(), i % 3 == 0 ? Outcome::dead : Outcome::done, "result");
  }
  CHECK(disk.bytes - written > 2 * kMiB);  // the log began anew some times
  CHECK(total() - counted == disk.bytes - written);
  // More than the cache holds: pages go into the log before the commit, some of them twice.
  ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(20, spec("y", std::string(200000, 'p')))});
  CHECK(total() - counted == disk.bytes - written);
  pass(20 * kHour);
  const Tick idle = last;
  CHECK(total() - counted == disk.bytes - written);
  CHECK(idle.gather_ms == 0);
}

TEST_CASE_FIXTURE(FlashFixture, "what reads adds nothing, and a backup is another file's") {
  add(spec("x"));
  const int64_t before = total();
  get(1);
  ask<std::string>(Check{});
  CHECK(total() == before);
  ask<Done>(Backup{dir + "/copy.db"});
  CHECK(total() == before);
}

TEST_CASE_FIXTURE(FlashFixture, "a day is 24 hours of elapsed time, and the hour that goes on") {
  write(kMiB);
  const int64_t first = day();
  CHECK(first == total());
  pass(12 * kHour);
  write(kMiB);
  CHECK(day() == total());
  pass(12 * kHour);
  CHECK(day() == total());
  const int64_t all = day();
  pass(kHour);
  CHECK(day() < all - kMiB);
  CHECK(day() >= kMiB);
  CHECK(total() >= all);
  pass(25 * kHour);
  CHECK(day() < kMiB / 2);
}

TEST_CASE_FIXTURE(FlashFixture, "the counts go on over a clean close, a reboot and a crash, and are no reason to write") {
  write(kMiB);
  int64_t before = total();
  close_cleanly();
  open();
  CHECK(total() >= before);
  CHECK(day() >= before);
  write(4 * kMiB);
  before = total();
  crash();
  CHECK(total() >= before - kFlashSaveBytes - 100000);  // and what the turn behind it wrote
  reboot(2 * kHour, true);
  CHECK(day() >= before - kFlashSaveBytes - 100000);
  // An hour ends with something to save, and turns that write nothing.
  pass(kHour - 10000 - stats().clock.elapsed_ms % kHour);
  add(spec("x"));
  const int64_t then = disk.bytes;
  for (int i = 0; i < 4; ++i) pass(5000);
  CHECK(disk.bytes == then);
  reboot(30 * kHour, true);
  CHECK(day() < kMiB);
}

TEST_CASE_FIXTURE(FlashFixture, "a damaged count is none") {
  for (const char* text : {"", "x", "-5;1:2", "99999999999999999999;;", ";-1:-1,7", "1;99999999999999999999:1,1:99999999999999999999"}) {
    auto store = Store::open({.path = dir + "/other.db", .vfs = vfs});
    REQUIRE(store.ok());
    (*store)->begin(false);
    (*store)->set_meta_text("flash", text);
    REQUIRE((*store)->commit());
    Flash flash(**store);
    flash.load();
    CHECK(flash.total_bytes() >= 0);
    CHECK(flash.day_bytes(now.boot_ms) >= 0);
    flash.count(now.boot_ms);
    CHECK(flash.day_bytes(now.boot_ms) > 0);
  }
}

TEST_CASE_FIXTURE(FlashFixture, "from three quarters of the budget on what can wait is gathered, twice as long with each 24th") {
  const int64_t budget = 12 * kMiB;
  ask<Done>(SetLimits{{.flash_budget = budget}});
  std::vector<int64_t> seen;
  for (int guard = 0; last.gather_ms < kGatherMaxMs; ++guard) {
    REQUIRE(guard < 10000);
    add(spec("x", std::string(1000, 'p')));
    const Stats s = stats();
    CHECK(s.flash_budget == budget);
    CHECK(s.flash_gather_ms == last.gather_ms);
    CHECK((s.flash_gather_ms > 0) == (s.flash_day_bytes >= budget / 4 * 3));
    CHECK((s.flash_gather_ms == kGatherMaxMs) == s.flash_used_up());
    if (seen.empty() || seen.back() != s.flash_gather_ms) seen.push_back(s.flash_gather_ms);
  }
  CHECK(seen == std::vector<int64_t>{0, 20, 40, 80, 160, 320, 640, 1000});
  write(kMiB);
  CHECK(last.gather_ms == kGatherMaxMs);  // no longer
  // The budget holds for the file, whoever opens it, and until enough of the day is past.
  limits.flash_budget = budget;
  crash();
  CHECK(last.gather_ms == kGatherMaxMs);
  pass(25 * kHour);
  CHECK(last.gather_ms == 0);
}

TEST_CASE_FIXTURE(FlashFixture, "flash_budget: without one nothing is gathered, and its bounds") {
  write(2 * kMiB);
  CHECK(last.gather_ms == 0);
  CHECK(stats().flash_budget == 0);
  CHECK_FALSE(stats().flash_used_up());
  ask<Done>(SetLimits{{.flash_budget = kFlashBudgetMin}});
  CHECK(last.gather_ms == kGatherMaxMs);
  CHECK(stats().flash_used_up());
  ask<Done>(SetLimits{{.flash_budget = -1}});
  CHECK(last.gather_ms == 0);
  ask<Done>(SetLimits{{.flash_budget = kFlashBudgetMax}});
  CHECK(last.gather_ms == 0);
  ask<Done>(SetLimits{{.flash_budget = kFlashBudgetMin}});
  ask<Done>(SetLimits{});
  CHECK(last.gather_ms == 0);
  for (const int64_t bad : {kFlashBudgetMin - 1, kFlashBudgetMax + 1, int64_t{1}, int64_t{-2}}) {
    CHECK(refused(SetLimits{{.flash_budget = bad}}).message.find("flash_budget is " + std::to_string(bad)) == 0);
  }
}

TEST_CASE("what can wait: new jobs that are not to be on the disk at once, and ends of runs") {
  const auto of = FlashFixture::of;
  CHECK(waits(Enqueue{{of(Durability::grouped)}}));
  CHECK(waits(Enqueue{{of(Durability::memory), of(Durability::grouped)}}));
  CHECK_FALSE(waits(Enqueue{{of(Durability::sync)}}));
  CHECK_FALSE(waits(Enqueue{{of(Durability::grouped), of(Durability::sync)}}));
  CHECK(waits(RunEnded{}));
  RunEnded durable;
  durable.durable = true;
  CHECK_FALSE(waits(durable));
  CHECK_FALSE(waits(Get{1}));
  CHECK_FALSE(waits(List{}));
  CHECK_FALSE(waits(GetStats{}));
  CHECK_FALSE(waits(Cancel{1}));
  CHECK_FALSE(waits(SetDispatch{false}));
  CHECK_FALSE(waits(StopAll{}));
  CHECK_FALSE(waits(Progress{}));
  CHECK_FALSE(waits(Transact{}));
}
