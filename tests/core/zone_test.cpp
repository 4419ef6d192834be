#include "core/zone.h"

#include <doctest/doctest.h>

#include "tests/core/table_zone.h"

using namespace hf;
using namespace hf::test;

using Kind = LocalInstants::Kind;

TEST_CASE("zone: UTC has one period without end") {
  CHECK(utc_zone().name() == "UTC");
  CHECK_FALSE(utc_zone().next_transition(0));
  const LocalTime local = utc_zone().local(1795573800);
  CHECK(local.civil == CivilTime{{2026, 11, 25}, 2, 30, 0});
  CHECK(local.offset_s == 0);
  CHECK(local.abbreviation == "UTC");
  const LocalInstants instants = utc_zone().instants(local.civil);
  CHECK(instants.kind == Kind::unique);
  CHECK(instants.pre_s == 1795573800);
}

TEST_CASE("zone: a time that is shown once") {
  const LocalInstants found = berlin().instants({{2026, 3, 29}, 1, 59, 59});
  CHECK(found.kind == Kind::unique);
  CHECK(found.pre_s == s("2026-03-29T00:59:59Z"));
  CHECK(found.post_s == found.pre_s);
  CHECK(found.trans_s == found.pre_s);
}

TEST_CASE("zone: a time that is skipped") {
  const LocalInstants found = berlin().instants({{2026, 3, 29}, 2, 30, 0});
  CHECK(found.kind == Kind::skipped);
  CHECK(found.pre_s == s("2026-03-29T01:30:00Z"));
  CHECK(found.trans_s == s("2026-03-29T01:00:00Z"));
  CHECK(found.post_s == s("2026-03-29T00:30:00Z"));
}

TEST_CASE("zone: a time that is shown twice") {
  const LocalInstants found = berlin().instants({{2026, 10, 25}, 2, 30, 0});
  CHECK(found.kind == Kind::repeated);
  CHECK(found.pre_s == s("2026-10-25T00:30:00Z"));
  CHECK(found.trans_s == s("2026-10-25T01:00:00Z"));
  CHECK(found.post_s == s("2026-10-25T01:30:00Z"));
}

TEST_CASE("zone: the ends of a gap and of an overlap") {
  CHECK(berlin().instants({{2026, 3, 29}, 2, 0, 0}).kind == Kind::skipped);
  CHECK(berlin().instants({{2026, 3, 29}, 3, 0, 0}).kind == Kind::unique);
  CHECK(berlin().instants({{2026, 10, 25}, 1, 59, 59}).kind == Kind::unique);
  CHECK(berlin().instants({{2026, 10, 25}, 2, 0, 0}).kind == Kind::repeated);
  CHECK(berlin().instants({{2026, 10, 25}, 2, 59, 59}).kind == Kind::repeated);
  CHECK(berlin().instants({{2026, 10, 25}, 3, 0, 0}).kind == Kind::unique);
}

TEST_CASE("zone: a skipped day") {
  const LocalInstants found = apia().instants({{2011, 12, 30}, 12, 0, 0});
  CHECK(found.kind == Kind::skipped);
  CHECK(found.trans_s == s("2011-12-30T10:00:00Z"));
}

TEST_CASE("zone: the next transition lies after the time given") {
  const int64_t spring = s("2026-03-29T01:00:00Z"), autumn = s("2026-10-25T01:00:00Z");
  CHECK(berlin().next_transition(spring - 1) == spring);
  CHECK(berlin().next_transition(spring) == autumn);
}

TEST_CASE("zone: names that may be part of a path") {
  for (const char* name : {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5",
                           "America/Port-au-Prince", "EST5EDT"}) {
    CAPTURE(name);
    CHECK(check_zone_name(name).ok());
  }
}

TEST_CASE("zone: names that lead elsewhere are refused") {
  for (const char* name :
       {"", "/etc/passwd", "..", "../x", "Europe/../x", "Europe/", "Europe//Berlin", "./UTC",
        "Europe/Ber lin", "UTC\n", ":UTC", "zone.tab", "\xc3\xa9"}) {
    CAPTURE(name);
    const Status status = check_zone_name(name);
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == HF_E_INVALID);
    CHECK(status.error().message.find("expected an IANA name such as Europe/Berlin") !=
          std::string::npos);
  }
  CHECK_FALSE(check_zone_name(std::string(65, 'a')).ok());
  CHECK_FALSE(check_zone_name(std::string_view("UTC\0x", 5)).ok());
}

TEST_CASE("zone: the source of UTC alone") {
  CHECK(&**utc_only().find("UTC") == &utc_zone());
  CHECK(&**utc_only().find("Etc/UTC") == &utc_zone());
  const auto missing = utc_only().find("Europe/Berlin");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == HF_E_NOT_FOUND);
  CHECK(utc_only().find("../x").error().code == HF_E_INVALID);
}
