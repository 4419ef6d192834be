#include "core/breaker.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace hf;

namespace {
struct Fixture {
  Breaker breaker;
  Random random{7};
  int64_t now = 1000000;
  bool trip(int64_t asked_ms = -1) { return breaker.trip(now, asked_ms, "no link", random); }
  bool lets(int running = 0) const { return breaker.lets(now, running); }
  int64_t left() const { return breaker.until_ms() - now; }
  // A run from now on, which takes a second.
  void run(bool ready) {
    REQUIRE(lets());
    breaker.began();
    const int64_t started = now;
    now += 1000;
    if (!ready) trip();
    breaker.ended(started, ready);
  }
};
}  // namespace

TEST_SUITE("breaker") {
  TEST_CASE_FIXTURE(Fixture, "closed it lets everything through") {
    CHECK(lets(1000));
    breaker.began();
    breaker.ended(now, true);
    breaker.ended(now, false);
    CHECK(lets(1000));
    CHECK(breaker.wake_ms(now) == kNever);
    CHECK_FALSE(breaker.can_hurry());
  }

  TEST_CASE_FIXTURE(Fixture, "open it waits, longer each time; half-open it lets one run through") {
    for (int64_t most = kBreakerFirstMs; most < 4 * kBreakerMaxMs; most *= 2) {
      CHECK(trip());
      CHECK_FALSE(trip());  // another run of the same moment
      CHECK(breaker.why() == "no link");
      const int64_t longest = std::min(most, kBreakerMaxMs);
      CHECK(left() >= longest / 2);
      CHECK(left() <= longest);
      CHECK_FALSE(lets());
      CHECK(breaker.wake_ms(now) == breaker.until_ms());
      now = breaker.until_ms();
      CHECK(breaker.wake_ms(now) == kNever);
      CHECK(lets(3));  // beside others that began before
      breaker.began();
      CHECK(breaker.probing());
      CHECK_FALSE(lets());
    }
    breaker.ended(now, true);
    CHECK_FALSE(breaker.open());
    CHECK(trip());
    CHECK(left() <= kBreakerFirstMs);
  }

  TEST_CASE_FIXTURE(Fixture, "a probe that says nothing is followed by another; what began before tells nothing") {
    trip();
    breaker.ended(now, true);
    CHECK(breaker.open());
    now = breaker.until_ms();
    breaker.began();
    breaker.ended(now - 1, true);
    CHECK(breaker.probing());
    breaker.ended(now, false);
    CHECK(lets());
    breaker.began();
    breaker.ended(now, true);
    CHECK_FALSE(breaker.open());
  }

  TEST_CASE_FIXTURE(Fixture, "closed again it lets more and more through") {
    trip();
    now = breaker.until_ms();
    run(true);
    for (int most = kRampFirst; most <= kRampMax; ++most) {
      CHECK(breaker.ramp() == most);
      CHECK(lets(most - 1));
      CHECK_FALSE(lets(most));
      breaker.ended(now, false);  // says nothing
      CHECK(breaker.ramp() == most);
      run(true);
    }
    CHECK(breaker.ramp() == 0);
    CHECK(lets(1000));
  }

  TEST_CASE_FIXTURE(Fixture, "how long the peer says, exactly; the longest that it says; at most a day") {
    trip(10000);
    CHECK(left() == 10000);
    CHECK_FALSE(trip(9000));
    CHECK(trip(11000));
    CHECK(left() == 11000);
    CHECK_FALSE(trip());
    breaker.hurry(now, 0, random);
    CHECK(left() == 11000);
    CHECK_FALSE(breaker.can_hurry());
    now = breaker.until_ms();
    CHECK(lets());
    CHECK(trip(0));  // who says "at once", and has no time each time, is not asked all the time
    CHECK_FALSE(lets());
    CHECK(left() >= kBreakerFirstMs / 2);
    CHECK(trip(2 * kBreakerAskedMaxMs));
    CHECK(left() == kBreakerAskedMaxMs);
    // Said while it waits by itself, it counts, also if it is shorter.
    breaker.reset();
    for (int i = 0; i < 10; ++i) {
      trip();
      now = breaker.until_ms();
    }
    trip();
    CHECK(left() >= kBreakerMaxMs / 2);
    CHECK(trip(2000));
    CHECK(left() == 2000);
  }

  TEST_CASE_FIXTURE(Fixture, "a link that came up hurries it once a wait, within the splay") {
    for (int i = 0; i < 10; ++i) {
      trip();
      now = breaker.until_ms();
    }
    int64_t least = kNever, most = 0;
    for (int i = 0; i < 200; ++i) {
      trip();
      CHECK(breaker.can_hurry());
      breaker.hurry(now, 10000, random);
      CHECK_FALSE(breaker.can_hurry());
      const int64_t once = left();
      breaker.hurry(now, 0, random);
      CHECK(left() == once);
      least = std::min(least, once);
      most = std::max(most, once);
      now = breaker.until_ms();
    }
    CHECK(least < 500);
    CHECK(most > 9500);
    CHECK(most <= 10000);
    // It makes no wait longer.
    breaker.reset();
    trip();
    const int64_t wait = left();
    breaker.hurry(now, kSplayMaxMs, random);
    CHECK(left() <= wait);
  }
}
