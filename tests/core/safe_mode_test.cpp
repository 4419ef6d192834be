// A process that ends again and again while jobs run, and gets nowhere: nothing runs for a while.
#include "core/callbacks.h"
#include "core/safe_mode.h"
#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

constexpr int kLimit = 5;  // the default

class SafeModeFixture : public EngineFixture {
 public:
  // New jobs each time, so that none of them is quarantined first.
  void start_something() {
    handler("x");
    ask<Done>(SetDispatch{true});
    add(spec("x"));
  }
  void crash_while_it_runs() {
    start_something();
    REQUIRE(stats().by_state[static_cast<int>(State::running)] > 0);
    crash();
    handler("x");
  }
  void enter() {
    for (int i = 0; i < kLimit; ++i) crash_while_it_runs();
    REQUIRE(on());
  }
  bool on() { return stats().safe_mode_left_ms > 0; }
  int64_t running() { return stats().by_state[static_cast<int>(State::running)]; }
};

}  // namespace

TEST_CASE_FIXTURE(SafeModeFixture, "five ends of the process in a row, each while jobs ran, and nothing runs for a minute") {
  for (int i = 1; i < kLimit; ++i) {
    crash_while_it_runs();
    CHECK(stats().crashes == i);
    CHECK_FALSE(on());
    CHECK(running() > 0);
  }
  start_something();
  crash();
  REQUIRE_FALSE(last.feed.empty());
  CHECK(last.feed.back().change == Change::safe_mode);
  CHECK(last.feed.back().wait_ms == kSafeFirstMs);
  CHECK(last.feed.back().detail.find("ended 5 times") != std::string::npos);
  handler("x");
  const JobId taken = add(spec("x"));  // what does not run still works
  CHECK(running() == 0);
  CHECK(gates(taken) == "safe_mode");
  CHECK(stats().safe_mode_left_ms == kSafeFirstMs);
  CHECK(ask<WhyInfo>(Why{taken}).gates[0].opens_wall_ms == now.wall_ms + kSafeFirstMs);
  CHECK(wake() == now.boot_ms + kSafeFirstMs);

  pass(kSafeFirstMs - 1);
  CHECK(running() == 0);
  pass(1);
  CHECK(last.feed.front().change == Change::safe_mode_over);
  CHECK(running() > 0);
  CHECK(gates(taken) == "");
}

TEST_CASE_FIXTURE(SafeModeFixture, "each further end doubles the pause, up to an hour") {
  enter();
  int64_t pause = kSafeFirstMs;
  for (int i = 0; i < 9; ++i) {
    CHECK(stats().safe_mode_left_ms == pause);
    pass(pause);
    REQUIRE(running() > 0);
    crash_while_it_runs();
    pause = std::min(2 * pause, kSafeMaxMs);
  }
  CHECK(pause == kSafeMaxMs);
}

TEST_CASE_FIXTURE(SafeModeFixture, "one completed job forgets all ends") {
  for (int i = 1; i < kLimit; ++i) crash_while_it_runs();
  REQUIRE(stats().crashes == kLimit - 1);
  REQUIRE_FALSE(started.empty());
  SUBCASE("completed") {
    end(take_started(), Outcome::done);
    tick();
    CHECK(stats().crashes == 0);
    crash_while_it_runs();
    CHECK(stats().crashes == 1);
  }
  SUBCASE("what is told of a failure, and has arrived, is no progress") {
    handler("sink:ops");
    JobSpec telling = spec("x");
    telling.failure_callback = "ops";
    const JobId id = add(telling);
    for (JobId failed = 0; failed != id;) {  // suspects run one by one
      const RunJob run = take_started();
      end(run, Outcome::dead, "no");
      failed = run.id;
    }
    const RunJob told = take_started();
    CHECK(told.type == kCallbackType);
    end(told, Outcome::done);
    CHECK(stats().completed == 1);
    CHECK(stats().crashes == kLimit - 1);
  }
  SUBCASE("one that failed is no progress") {
    end(take_started(), Outcome::retry);
    tick();
    CHECK(stats().crashes == kLimit - 1);
  }
}

TEST_CASE_FIXTURE(SafeModeFixture, "an end with nothing under way does not count, nor one long after the beginning, nor an orderly one") {
  for (int i = 1; i < kLimit; ++i) crash_while_it_runs();
  SUBCASE("nothing under way") {
    ask<Done>(SetDispatch{false});
    ask<Done>(StopAll{true});
    for (int i = 0; i < 20; ++i) crash();
    CHECK(stats().crashes == kLimit - 1);
    CHECK_FALSE(on());
  }
  SUBCASE("five minutes later") {
    now.boot_ms += kCrashSoonMs;
    now.wall_ms += kCrashSoonMs;
    crash_while_it_runs();
    CHECK(stats().crashes == 1);
  }
  SUBCASE("a turn after five minutes forgets") {
    pass(kCrashSoonMs);
    CHECK(stats().crashes == 0);
  }
  SUBCASE("orderly") {
    ask<Done>(SetDispatch{false});
    ask<Done>(StopAll{true});
    close_cleanly();
    open();
    CHECK(stats().crashes == 0);
  }
}

TEST_CASE_FIXTURE(SafeModeFixture, "restarts of the device count as ends of the process do") {
  for (int i = 0; i < kLimit; ++i) {
    start_something();
    reboot(2000, i % 2 == 0);
  }
  CHECK(on());
}

TEST_CASE_FIXTURE(SafeModeFixture, "a person ends it, and the count begins anew") {
  enter();
  ask<Done>(EndSafeMode{});
  CHECK_FALSE(on());
  CHECK(running() > 0);
  crash_while_it_runs();
  CHECK(stats().crashes == 1);
  CHECK_FALSE(on());
}

TEST_CASE_FIXTURE(SafeModeFixture, "a crash in safe mode, and a reopening after an error, go on with it") {
  enter();
  pass(20000);
  SUBCASE("reopened") {
    handover = engine->handover();
    engine.reset();
    open();
    CHECK(stats().safe_mode_left_ms == kSafeFirstMs - 20000);
  }
  SUBCASE("killed") {
    crash();
    CHECK(stats().crashes == kLimit);
    CHECK(stats().safe_mode_left_ms == kSafeFirstMs);  // from the start, since nobody knows better
  }
}

TEST_CASE_FIXTURE(SafeModeFixture, "a file that was healed under the process is no crash, however often, and blames no job") {
  start_something();
  for (int i = 0; i < 2 * kLimit; ++i) {
    REQUIRE(running() > 0);
    engine.reset();
    RawDb(path).run("UPDATE meta SET value=2 WHERE key='clean'");  // as core/salvage.cpp leaves it
    handover.reopened = handover.recorded = true;
    open();
    handover = {};
    CHECK(stats().crashes == 0);
    handler("x");
  }
  CHECK_FALSE(on());
  CHECK(stats().quarantined == 0);
}

TEST_CASE_FIXTURE(SafeModeFixture, "crash_loop says after how many, and -1 never; a change holds at once") {
  limits.crash_loop = -1;
  for (int i = 0; i < 12; ++i) crash_while_it_runs();
  CHECK(stats().crashes == 12);
  CHECK_FALSE(on());
  CHECK(running() > 0);
  limits.crash_loop = 12;
  crash();
  ask<Done>(SetLimits{limits});
  CHECK(on());
  limits.crash_loop = 1000;
  ask<Done>(SetLimits{limits});
  CHECK_FALSE(on());
  for (int64_t wrong : {-2, 1001}) {
    limits.crash_loop = wrong;
    CHECK(refused(SetLimits{limits}).message == "crash_loop is " + std::to_string(wrong) + "; allowed is -1 to 1000");
  }
}
