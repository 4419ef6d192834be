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
