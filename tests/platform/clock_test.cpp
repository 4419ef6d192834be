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
  REQUIRE(id.size() >= 36);
  CHECK(id[8] == '-');
  CHECK(boot_id() == id);
}

TEST_CASE("clocks: in a time namespace the boot has a name of its own") {
  CHECK(boot_offset("monotonic           0         0\nboottime            0         0\n").empty());
  CHECK(boot_offset("monotonic       86400         0\nboottime            0         0\n").empty());
  CHECK(boot_offset("monotonic           0         0\nboottime      8640000         0\n") == " 8640000 0");
  CHECK(boot_offset("boottime       -58928 500000000\nmonotonic      -58928 500000000\n") == " -58928 500000000");
  CHECK(boot_offset("boottime            0         1\n") == " 0 1");
  CHECK(boot_offset("").empty());  // a kernel without them
  CHECK(boot_offset("boottime 7").empty());
}

TEST_CASE("clocks: seeds differ") { CHECK(random_seed() != random_seed()); }
