#include "core/units.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "core/calendar.h"
#include "core/random.h"

using namespace hf;

namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

std::string duration_error(std::string_view text) {
  const auto result = parse_duration(text);
  return result ? "accepted" : result.error().message;
}
std::string size_error(std::string_view text) {
  const auto result = parse_size(text);
  return result ? "accepted" : result.error().message;
}
std::string time_error(std::string_view text) {
  const auto result = parse_time(text);
  return result ? "accepted" : result.error().message;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("durations: one number and its unit") {
  CHECK(parse_duration("500ms").value() == 500);
  CHECK(parse_duration("30s").value() == 30000);
  CHECK(parse_duration("5m").value() == 300000);
  CHECK(parse_duration("1h").value() == 3600000);
  CHECK(parse_duration("3d").value() == 3 * 86400000LL);
  CHECK(parse_duration("2w").value() == 14 * 86400000LL);
  CHECK(parse_duration("0s").value() == 0);
}

TEST_CASE("durations: a sum, the larger unit first") {
  CHECK(parse_duration("1h30m").value() == 5400000);
  CHECK(parse_duration("1w2d3h4m5s6ms").value() == 788645006);
  CHECK(parse_duration("1m500ms").value() == 60500);
}

TEST_CASE("durations: a sum out of order or with a unit twice is refused") {
  CHECK(has(duration_error("30m1h"), "\"h\" at position 5 must come before the smaller unit"));
  CHECK(has(duration_error("1h1h"), "\"h\" at position 4"));
}

TEST_CASE("durations: the error names the text, the rule and the place") {
  const std::string error = duration_error("5 minutes");
  CHECK(has(error,
            "\"5 minutes\" is not a duration: expected a number and one of ms, s, m, h, d, w, "
            "such as 30s or 1h30m"));
  CHECK(has(error, "found \" minutes\" at position 2"));
  CHECK(parse_duration("5 minutes").error().code == HF_E_INVALID);
}

TEST_CASE("durations: a number without a unit is refused") {
  CHECK(has(duration_error("5"), "the number \"5\" has no unit"));
  CHECK(has(duration_error("1h30"), "the number \"30\" has no unit"));
  CHECK(has(duration_error("0"), "has no unit"));
}

TEST_CASE("durations: signs, fractions, blanks, capitals and nothing are refused") {
  for (const char* text : {"-5s", "+5s", "1.5h", " 5s", "5s ", "5S", "5M", "s", "5ss", "1h 30m"}) {
    CAPTURE(text);
    CHECK(has(duration_error(text), "is not a duration"));
  }
  CHECK(has(duration_error(""), "found nothing"));
}

TEST_CASE("durations: what an int64_t does not hold is refused") {
  CHECK(parse_duration("9223372036854775807ms").value() == kMax);
  CHECK(has(duration_error("9223372036854775808ms"), "too large"));
  CHECK(has(duration_error("15250284453w"), "too large"));
  CHECK(has(duration_error("106751991167d9999999999h"), "too large"));
  CHECK(has(duration_error("99999999999999999999999999s"), "too large"));
}

TEST_CASE("durations: a message stays one printable line whatever was given") {
  CHECK(has(duration_error("5\n\x1b[31m\xff"), "\"5\\x0a\\x1b[31m\\xff\""));
  CHECK(duration_error(std::string(5000, '7')).size() < 300);
}

TEST_CASE("durations: the shortest exact text") {
  CHECK(format_duration(0) == "0s");
  CHECK(format_duration(500) == "500ms");
  CHECK(format_duration(1500) == "1500ms");
  CHECK(format_duration(90000) == "90s");
  CHECK(format_duration(3600000) == "1h");
  CHECK(format_duration(5400000) == "90m");
  CHECK(format_duration(36 * 3600000LL) == "36h");
  CHECK(format_duration(10 * 86400000LL) == "10d");
  CHECK(format_duration(14 * 86400000LL) == "2w");
  CHECK(format_duration(3661000) == "61m1s");
}

TEST_CASE("durations: what is written is read back exactly") {
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const int64_t ms = random.between(0, kMax) >> random.below(63);
    CAPTURE(ms);
    REQUIRE(parse_duration(format_duration(ms)).value() == ms);
  }
  CHECK(parse_duration(format_duration(kMax)).value() == kMax);
}

TEST_CASE("durations: for people, the two largest units") {
  CHECK(format_duration_human(0) == "0s");
  CHECK(format_duration_human(450) == "450ms");
  CHECK(format_duration_human(1999) == "1s");
  CHECK(format_duration_human(192000) == "3m 12s");
  CHECK(format_duration_human(60000) == "1m");
  CHECK(format_duration_human(2 * 86400000LL + 4 * 3600000LL + 59 * 60000LL) == "2d 4h");
  CHECK(format_duration_human(9 * 86400000LL) == "9d");
  CHECK(format_duration_human(-192000) == "-3m 12s");
  CHECK(format_duration_human(std::numeric_limits<int64_t>::min()).starts_with("-106751991167d"));
}

TEST_CASE("sizes: all units") {
  CHECK(parse_size("512B").value() == 512);
  CHECK(parse_size("64KiB").value() == 65536);
  CHECK(parse_size("16MiB").value() == 16777216);
  CHECK(parse_size("1GiB").value() == 1073741824);
  CHECK(parse_size("64kB").value() == 64000);
  CHECK(parse_size("16MB").value() == 16000000);
  CHECK(parse_size("2GB").value() == 2000000000);
}

TEST_CASE("sizes: the error names the text, the rule and the place") {
  const std::string error = size_error("64K");
  CHECK(has(error, "\"64K\" is not a size: expected a number and one of B, kB, KiB"));
  CHECK(has(error, "found \"K\" at position 3"));
  CHECK(has(size_error("64"), "has no unit"));
  CHECK(has(size_error("1MiB512KiB"), "one too many"));
  CHECK(has(size_error("64kib"), "found \"kib\""));
  CHECK(has(size_error("9000000000GiB"), "too large"));
  CHECK(has(size_error("-1B"), "found \"-1B\" at position 1"));
}

TEST_CASE("sizes: the shortest exact text, and back") {
  CHECK(format_size(0) == "0B");
  CHECK(format_size(65536) == "64KiB");
  CHECK(format_size(1000000) == "1MB");
  CHECK(format_size(1023) == "1023B");
  CHECK(format_size(268435456) == "256MiB");
  Random random(2);
  for (int i = 0; i < 20000; ++i) {
    const int64_t bytes = random.between(0, kMax) >> random.below(63);
    REQUIRE(parse_size(format_size(bytes)).value() == bytes);
  }
}

TEST_CASE("sizes: for people") {
  CHECK(format_size_human(900) == "900 B");
  CHECK(format_size_human(1536 * 1024) == "1.5 MiB");
  CHECK(format_size_human(1024) == "1.0 KiB");
  CHECK(format_size_human(1073741823) == "1023.9 MiB");
  CHECK(format_size_human(5LL << 40) == "5.0 TiB");
    CHECK(parse_size("64TiB").value() == int64_t{1} << 46);
    CHECK(format_size(int64_t{1} << 46) == "64TiB");
    CHECK(parse_size("2TB").value() == 2'000'000'000'000);
}

TEST_CASE("times: UTC, offsets and fractions") {
  CHECK(parse_time("1970-01-01T00:00:00Z").value() == 0);
  CHECK(parse_time("2026-11-25T02:30:00Z").value() == 1795573800000);
  CHECK(parse_time("2026-11-25T03:30:00+01:00").value() == 1795573800000);
  CHECK(parse_time("2026-11-24T16:00:00-10:30").value() == 1795573800000);
  CHECK(parse_time("2026-11-25t02:30:00z").value() == 1795573800000);
  CHECK(parse_time("2026-11-25T02:30:00.25Z").value() == 1795573800250);
  CHECK(parse_time("2026-11-25T02:30:00.123456789Z").value() == 1795573800123);
  CHECK(parse_time("9999-12-31T23:59:59.999Z").value() == kMaxUnixMs);
}

TEST_CASE("times: a leap second is the second after it") {
  CHECK(parse_time("2016-12-31T23:59:60Z").value() == parse_time("2017-01-01T00:00:00Z").value());
  CHECK(parse_time("2017-01-01T00:59:60+01:00").value() ==
        parse_time("2017-01-01T00:00:00Z").value());
  CHECK(has(time_error("2016-12-31T22:59:60Z"), "second 60"));
}

TEST_CASE("times: what is missing is named") {
  CHECK(has(time_error("2026-11-25"), "it has no time of day"));
  CHECK(has(time_error("2026-11-25T02:30:00"), "it has no offset"));
  CHECK(has(time_error("2026-11-25T02:30Z"), "found \"Z\" at position 17"));
  CHECK(has(time_error(""), "ends too early"));
  CHECK(has(time_error("2026-11-25T02:30:00.Z"), "found \"Z\" at position 21"));
}

TEST_CASE("times: what is out of range is named with its place and range") {
  CHECK(has(time_error("2026-13-25T02:30:00Z"), "the month 13 at position 6 is not in 1..12"));
  CHECK(has(time_error("2026-02-29T02:30:00Z"), "the day 29 at position 9 is not in 1..28"));
  CHECK(parse_time("2028-02-29T02:30:00Z").ok());
  CHECK(has(time_error("2026-11-25T24:30:00Z"), "the hour 24"));
  CHECK(has(time_error("2026-11-25T02:60:00Z"), "the minute 60"));
  CHECK(has(time_error("2026-11-25T02:30:61Z"), "the second 61"));
  CHECK(has(time_error("2026-11-25T02:30:00+24:00"), "the offset's hour 24"));
  CHECK(has(time_error("1969-12-31T23:59:59Z"), "the year 1969 at position 1"));
  CHECK(has(time_error("1970-01-01T00:00:00+00:01"), "not in the years 1970 to 9999"));
  CHECK(has(time_error("9999-12-31T23:59:59-00:01"), "not in the years 1970 to 9999"));
}

TEST_CASE("times: anything else is refused with an example") {
  for (const char* text :
       {"tomorrow", "2026/11/25T02:30:00Z", "2026-11-25 02:30:00Z", "2026-11-25T02:30:00Zx",
        "2026-11-25T02:30:00+1", "2026-11-25T02:30:00+0100", "1795573800", "+2026-11-25T02:30:00Z",
        "2026-11-25T02:30:00.0000000001Z", "2026-1-25T02:30:00Z"}) {
    CAPTURE(text);
    CHECK(has(time_error(text), "expected an RFC 3339 time with its offset, such as"));
  }
}

TEST_CASE("times: written in UTC, with milliseconds only if there are some") {
  CHECK(format_time(0) == "1970-01-01T00:00:00Z");
  CHECK(format_time(1795573800000) == "2026-11-25T02:30:00Z");
  CHECK(format_time(1795573800007) == "2026-11-25T02:30:00.007Z");
  CHECK(format_time(kMaxUnixMs) == "9999-12-31T23:59:59.999Z");
}

TEST_CASE("times: out of range is shown as the nearer end") {
  CHECK(format_time(-1) == "1970-01-01T00:00:00Z");
  CHECK(format_time(kMax) == "9999-12-31T23:59:59.999Z");
}

TEST_CASE("times: written at an offset") {
  CHECK(format_time_at_offset(1795573800000, 3600) == "2026-11-25T03:30:00+01:00");
  CHECK(format_time_at_offset(1795573800000, -(9 * 3600 + 1800)) == "2026-11-24T17:00:00-09:30");
  // A local mean time: the seconds of the offset go, the instant stays.
  const std::string text = format_time_at_offset(1795573800000, -2670);
  CHECK(text == "2026-11-25T01:46:00-00:44");
  CHECK(parse_time(text).value() == 1795573800000);
}

TEST_CASE("times: what is written is read back exactly") {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    const int64_t ms = random.between(86400000, kMaxUnixMs - 86400000);
    const auto offset_s = static_cast<int32_t>(random.between(-1439, 1439)) * 60;
    REQUIRE(parse_time(format_time(ms)).value() == ms);
    REQUIRE(parse_time(format_time_at_offset(ms, offset_s)).value() == ms);
  }
}
