// Which wall clock is trusted, what of it the file keeps, steps, and the progress of elapsed time.
#include "core/timekeeper.h"

#include <algorithm>

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kSecond = 1000, kMinute = 60000, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr int64_t kFloor = 1'800'000'000'000;  // 2027-01-15

class ClockFixture : public EngineFixture {
 public:
  // The engine anew, as in a new process, with this rule and what the clocks show.
  void open_with(const ClockRule& rule) {
    if (engine) leave();
    clock_rule = rule;
    open();
  }
  void boot_with(const ClockRule& rule, int64_t wall_ms, bool synced = false) {
    if (engine) leave();
    now = {5000, wall_ms, synced};
    boot_id += "+";
    open_with(rule);
  }
  ClockInfo clock() { return stats().clock; }
  bool trusted_at(int64_t wall_ms) {
    now.wall_ms = wall_ms;
    return clock().trusted;
  }
  JobId add_at(int64_t wall_ms) {
    JobSpec s = spec("x");
    s.at_wall_ms = wall_ms;
    return add(s);
  }
  JobId add_delayed(int64_t ms) {
    JobSpec s = spec("x");
    s.delay_ms = ms;
    return add(s);
  }
  int64_t left(JobId id) { return get(id).due_wall_ms - now.wall_ms; }
  std::vector<Transition> told(Change change) const {
    std::vector<Transition> some;
    std::copy_if(last.feed.begin(), last.feed.end(), std::back_inserter(some), [&](const Transition& t) { return t.change == change; });
    return some;
  }
};

const ClockRule kPlausible{.plausible = true, .floor_ms = kFloor};
const ClockRule kStrict{.floor_ms = kFloor, .holdover_ms = kDay};

}  // namespace

TEST_CASE_FIXTURE(ClockFixture, "clock: a plausible one lies between floor and ceiling, both included") {
  boot_with(kPlausible, 0);
  CHECK_FALSE(clock().trusted);  // 1970: no battery
  CHECK(clock().why == "it shows 1970-01-01T00:00:00Z, before 2027-01-15T08:00:00Z, and no right clock does");
  CHECK_FALSE(trusted_at(kFloor - 1));
  CHECK(trusted_at(kFloor));
  CHECK(trusted_at(kFloor + kClockSpanMs));
  CHECK_FALSE(trusted_at(kFloor + kClockSpanMs + 1));
  CHECK(clock().why.find("after 2047-") != std::string::npos);
  ClockRule narrow = kPlausible;
  narrow.ceiling_ms = kFloor + kDay;
  ask<Done>(SetClockRule{narrow});
  CHECK_FALSE(trusted_at(kFloor + kDay + 1));
  CHECK(trusted_at(kFloor + kDay));
}

TEST_CASE_FIXTURE(ClockFixture, "clock: one that somebody calls right is trusted whatever it shows; plausible alone is not, if the rule says so") {
  boot_with(kStrict, 0, true);
  CHECK(clock().trusted);
  boot_with(kStrict, kFloor + 1);
  CHECK_FALSE(clock().trusted);
  CHECK(clock().why.find("nothing has called it right") != std::string::npos);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: a rule that cannot be is refused") {
  boot_with(kPlausible, kFloor);
  ClockRule wrong = kPlausible;
  wrong.ceiling_ms = wrong.floor_ms;
  CHECK(refused(SetClockRule{wrong}).message == "the clock's ceiling 2027-01-15T08:00:00Z is not after its floor 2027-01-15T08:00:00Z");
  wrong = kPlausible;
  wrong.holdover_ms = kHoldoverMaxMs + 1;
  CHECK(refused(SetClockRule{wrong}).code == HF_E_INVALID);
  wrong = kPlausible;
  wrong.floor_ms = -1;
  CHECK(refused(SetClockRule{wrong}).code == HF_E_INVALID);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: it stays trusted without its time server, until it is set, or for the holdover") {
  boot_with(kStrict, kFloor + kDay, true);
  now.synced = false;
  pass(kDay - 1);
  CHECK(clock().trusted);
  CHECK(clock().why == "it was right 23h 59m ago, and was not set since");
  pass(1);
  CHECK_FALSE(clock().trusted);
  now.synced = true;
  pass(kSecond);
  now.synced = false;
  pass(kSecond);
  CHECK(clock().trusted);
  now.wall_ms += 3 * kSecond;  // somebody set it
  pass(kSecond);
  CHECK_FALSE(clock().trusted);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: the holdover goes on in a new process of the same boot, not in a new boot") {
  boot_with(kStrict, kFloor + kDay, true);
  REQUIRE(engine->close(now).ok());
  now.synced = false;
  now.boot_ms += kMinute;
  now.wall_ms += kMinute;
  open_with(kStrict);
  CHECK(clock().trusted);
  now.wall_ms += kDay;  // set while the process was away
  open_with(kStrict);
  CHECK_FALSE(clock().trusted);
  boot_with(kStrict, now.wall_ms);
  CHECK_FALSE(clock().trusted);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: the floor rises with the word of a time server alone, and is kept over a reboot") {
  boot_with(kPlausible, kFloor + 3000 * kDay);  // plausible, and wrong
  CHECK(clock().trusted);
  CHECK(clock().floor_ms == kFloor);
  boot_with(kPlausible, kFloor + 100 * kDay, true);
  CHECK(clock().floor_ms == kFloor + 100 * kDay);
  boot_with(kPlausible, kFloor + 50 * kDay);
  CHECK_FALSE(clock().trusted);
  CHECK(clock().floor_ms == kFloor + 100 * kDay);
  now.wall_ms = kFloor + 100 * kDay + kSecond;
  CHECK(clock().trusted);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: an operator confirms it, also below a floor that was wrong, and can reset the floor") {
  boot_with(kStrict, kFloor + 3000 * kDay, true);  // a time server lied
  boot_with(kPlausible, kFloor + 10 * kDay);
  CHECK_FALSE(clock().trusted);
  ask<Done>(ForgetClockFloor{});
  CHECK(clock().trusted);
  CHECK(clock().floor_ms == kFloor);
  boot_with(kStrict, kFloor + 11 * kDay);
  CHECK_FALSE(clock().trusted);
  const JobId waits = add_at(kFloor);
  handler("x");
  CHECK(started.empty());
  ask<Done>(ConfirmClock{});
  CHECK(take_started().id == waits);  // in the same turn
  CHECK(clock().trusted);
  CHECK(clock().floor_ms == kFloor + 11 * kDay);
  boot_with(kPlausible, kFloor + 10 * kDay);
  CHECK_FALSE(clock().trusted);
  now.wall_ms = kFloor - 1;
  CHECK(refused(ConfirmClock{}).code == HF_E_CONFLICT);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: a rule that trusts it lets wall-clock work go on in the same turn") {
  boot_with(kStrict, kFloor + kDay);
  handler("x");
  const JobId waits = add_at(kFloor);
  CHECK(started.empty());
  ask<Done>(SetClockRule{kPlausible});
  CHECK(take_started().id == waits);
  CHECK(told(Change::clock_trusted).size() == 1);
  ask<Done>(SetClockRule{kStrict});
  CHECK(told(Change::clock_untrusted).size() == 1);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: it is looked at every 5 s while work waits for it, and not otherwise") {
  boot_with(kStrict, 0);
  pass(kSecond);
  CHECK(wake() == kNever);
  const JobId waits = add_at(kFloor);
  CHECK(wake() == now.boot_ms + 5 * kSecond);
  handler("x");
  pass(5 * kSecond);
  CHECK(started.empty());
  now = {now.boot_ms + 5 * kSecond, kFloor + kDay, true};
  tick();
  CHECK(take_started().id == waits);
  CHECK(told(Change::clock_stepped).size() == 1);
  CHECK(told(Change::clock_trusted).size() == 1);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: steps are told, counted and kept, also those that a new process finds") {
  boot_with(kPlausible, kFloor + kDay);
  CHECK(clock().steps == 0);
  CHECK(clock().step_age_ms == -1);
  now.wall_ms += 2000;  // slewed, or a leap second
  pass(kSecond);
  CHECK(clock().steps == 0);
  now.wall_ms += kHour;
  pass(kSecond);
  REQUIRE(told(Change::clock_stepped).size() == 1);
  CHECK(told(Change::clock_stepped)[0].wait_ms == kHour);
  CHECK(told(Change::clock_stepped)[0].detail == "set forward by 1h to " + std::string("2027-01-16T09:00:04Z"));
  pass(kMinute);
  now.wall_ms -= kDay;
  pass(kSecond);
  CHECK(told(Change::clock_stepped)[0].wait_ms == -kDay);
  pass(kMinute);
  CHECK(clock().steps == 2);
  CHECK(clock().step_by_ms == -kDay);
  CHECK(clock().step_age_ms == kMinute);
  crash();
  CHECK(clock().steps == 2);
  REQUIRE(engine->close(now).ok());
  now.wall_ms += 3 * kHour;
  open_with(kPlausible);
  CHECK(clock().steps == 3);
  CHECK(clock().step_by_ms == 3 * kHour);
  // Where the clock of another boot begins is no step.
  boot_with(kPlausible, 0);
  CHECK(clock().steps == 3);
}

TEST_CASE_FIXTURE(ClockFixture, "elapsed: a delay ends on a device without a clock whose power is cut every 23 hours") {
  boot_with(kStrict, 0);
  const JobId id = add_delayed(kDay);
  handler("x");
  int64_t turns = stats().ticks;
  run_for(23 * kHour);
  CHECK(stats().ticks - turns < 110);  // it was woken to save the progress, and no more
  CHECK(started.empty());
  boot_with(kStrict, 0);
  handler("x");
  CHECK(left(id) <= kHour + 30 * kMinute);
  run_for(kHour + 30 * kMinute);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(ClockFixture, "elapsed: it gets on at least by half on a device that never lives for more than some minutes") {
  boot_with(kStrict, 0);
  const JobId id = add_delayed(kHour);
  handler("x");
  int boots = 0;
  for (; started.empty(); ++boots) {
    REQUIRE(boots < 20);
    boot_with(kStrict, 0);
    handler("x");
    run_for(7 * kMinute);
  }
  CHECK(boots >= 9);
  CHECK(boots <= 18);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(ClockFixture, "elapsed: of the time without power, a clock that is only plausible makes 31 days at most") {
  boot_with(kPlausible, kFloor + kDay);
  JobId id = add_delayed(400 * kDay);
  boot_with(kPlausible, kFloor + 11 * kDay);
  CHECK(left(id) == 390 * kDay);
  boot_with(kPlausible, kFloor + 3000 * kDay);  // a clock gone wild
  CHECK(left(id) == 359 * kDay);
  boot_with(kPlausible, kFloor + 3000 * kDay, true);
  boot_with(kPlausible, kFloor + 3100 * kDay, true);  // a time server's word counts as a whole
  CHECK(left(id) == 259 * kDay);
}

TEST_CASE_FIXTURE(ClockFixture, "elapsed: a boot clock that shows less than it did is that of another boot, though it is called the same") {
  boot_with(kPlausible, kFloor + kDay);
  pass(100 * kDay);
  const JobId id = add_delayed(10 * kDay);
  leave();
  now.boot_ms = 7000;
  now.wall_ms += kDay;
  open_with(kPlausible);
  CHECK(left(id) == 9 * kDay);
  CHECK(clock().steps == 0);  // nobody set the wall clock
  // Without a right clock it goes on from what is known.
  boot_with(kStrict, 0);
  const int64_t before = left(id);
  now.boot_ms += kMinute;
  tick();
  leave();
  now.boot_ms = 1;
  open_with(kStrict);
  CHECK(left(id) <= before);
  CHECK(left(id) >= before - kMinute);
}

TEST_CASE_FIXTURE(ClockFixture, "clock: on a file that cannot be written it is judged and steps are told all the same") {
  boot_with(kPlausible, kFloor + kDay);
  ask<Done>(SetRoom{Room::read_only});
  now.wall_ms += kHour;
  pass(kSecond);
  CHECK(told(Change::clock_stepped).size() == 1);
  now.wall_ms = 0;
  CHECK_FALSE(clock().trusted);
  CHECK(refused(ConfirmClock{}).code == HF_E_READ_ONLY);
}
