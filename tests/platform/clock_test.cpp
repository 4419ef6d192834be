#include "platform/clock.h"

#include <doctest/doctest.h>

#include <cctype>

using namespace hf;

TEST_CASE("clocks: elapsed time does not go back, in both units") {
  const auto first = boot_ms();
  const auto between_us = boot_us();
  const auto last = boot_ms();
  CHECK(first > 0);
  CHECK(first <= last);
  CHECK(between_us / 1000 >= first);
  CHECK(between_us / 1000 <= last);
}

TEST_CASE("clocks: wall time has more than 32 bits of seconds") {
  static_assert(sizeof(wall_ms()) == 8);
  // Under faketime 2040 as well as today.
  CHECK(wall_ms() > kReleaseFloorMs - 5LL * 365 * 24 * 3600 * 1000);
}

TEST_CASE("clocks: the boot has a name that stays the same") {
  const std::string id = boot_id();
  REQUIRE(id.size() == 36);
  CHECK(id[8] == '-');
  CHECK(boot_id() == id);
}

TEST_CASE("clocks: seeds differ") { CHECK(random_seed() != random_seed()); }

TEST_CASE("clock trust: a synchronised clock is believed whatever it shows") {
  CHECK(ClockTrust{}.trusts(0, true));
  CHECK(ClockTrust{.floor_ms = 1000, .accept_plausible = false}.trusts(0, true));
}

TEST_CASE("clock trust: a plausible one lies between floor and ceiling, both included") {
  const ClockTrust rule{};
  CHECK_FALSE(rule.trusts(0, false));  // 1970: no battery
  CHECK_FALSE(rule.trusts(rule.floor_ms - 1, false));
  CHECK(rule.trusts(rule.floor_ms, false));
  CHECK(rule.trusts(rule.ceiling_ms(), false));
  CHECK_FALSE(rule.trusts(rule.ceiling_ms() + 1, false));
}

TEST_CASE("clock trust: plausible is not enough if the rule says so") {
  const ClockTrust strict{.accept_plausible = false};
  CHECK_FALSE(strict.trusts(strict.floor_ms + 1, false));
}

TEST_CASE("clock trust: the floor is the later of the release and the last confirmed time") {
  CHECK(ClockTrust::from_confirmed(0).floor_ms == kReleaseFloorMs);
  CHECK(ClockTrust::from_confirmed(kReleaseFloorMs + 5).floor_ms == kReleaseFloorMs + 5);
  CHECK_FALSE(ClockTrust::from_confirmed(0, false).accept_plausible);
}

TEST_CASE("clock trust: the span is 20 years") {
  constexpr std::int64_t k20461101 = 2'424'643'200'000;  // 2046-11-01T00:00:00Z
  CHECK(ClockTrust{}.ceiling_ms() == k20461101);
}
