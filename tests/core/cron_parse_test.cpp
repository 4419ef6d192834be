#include <doctest/doctest.h>

#include <bit>
#include <string>

#include "core/cron.h"
#include "tests/core/table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

CronLine parsed(std::string_view text, uint64_t seed = 0) {
  auto line = parse_cron_line(text, seed);
  REQUIRE_MESSAGE(line.ok(), line.error().message);
  return *line;
}
// The error without its fixed start, "cron line, ".
std::string refusal(std::string_view text) {
  const auto line = parse_cron_line(text, 0);
  if (line) return "accepted";
  CHECK(line.error().code == HF_E_INVALID);
  const std::string& message = line.error().message;
  CHECK(message.starts_with("cron line, column "));
  return message.substr(message.find("column"));
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
template <class... Numbers>
uint64_t set(Numbers... numbers) {
  return ((uint64_t{1} << numbers) | ...);
}
constexpr uint64_t kAll60 = (uint64_t{1} << 60) - 1;

}  // namespace

TEST_CASE("cron parse: five fields, the second is 0") {
  const CronFields fields = parsed("30 2 15 6 1").fields;
  CHECK(fields.seconds == set(0));
  CHECK(fields.minutes == set(30));
  CHECK(fields.hours == set(2));
  CHECK(fields.days == set(15));
  CHECK(fields.months == set(6));
  CHECK(fields.weekdays == set(1));
}

TEST_CASE("cron parse: six fields begin with the second") {
  const CronFields fields = parsed("*/20 30 2 * * *").fields;
  CHECK(fields.seconds == set(0, 20, 40));
  CHECK(fields.minutes == set(30));
}

TEST_CASE("cron parse: stars, ranges, steps and lists") {
  CHECK(parsed("* * * * *").fields.minutes == kAll60);
  CHECK(parsed("? * * * *").fields.minutes == kAll60);
  CHECK(parsed("*/15 * * * *").fields.minutes == set(0, 15, 30, 45));
  CHECK(parsed("10-50/20 * * * *").fields.minutes == set(10, 30, 50));
  CHECK(parsed("5/15 * * * *").fields.minutes == set(5, 20, 35, 50));
  CHECK(parsed("1,3-5,59 * * * *").fields.minutes == set(1, 3, 4, 5, 59));
  CHECK(parsed("7-7 * * * *").fields.minutes == set(7));
}

TEST_CASE("cron parse: names in any case, alone and in ranges") {
  CHECK(parsed("0 0 * JAN,mar-May *").fields.months == set(1, 3, 4, 5));
  CHECK(parsed("0 0 * * mon-FRI").fields.weekdays == set(1, 2, 3, 4, 5));
}

TEST_CASE("cron parse: 7 and SUN are Sunday, also at the end of a range") {
  CHECK(parsed("0 0 * * 7").fields.weekdays == set(0));
  CHECK(parsed("0 0 * * 0").fields.weekdays == set(0));
  CHECK(parsed("0 0 * * 5-7").fields.weekdays == set(5, 6, 0));
  CHECK(parsed("0 0 * * FRI-SUN").fields.weekdays == set(5, 6, 0));
  CHECK(parsed("0 0 * * SUN-TUE").fields.weekdays == set(0, 1, 2));
  CHECK(parsed("0 0 * * 0-7").fields.weekdays == 0x7F);
}

TEST_CASE("cron parse: blanks and tabs around and between the fields") {
  CHECK(parsed("  30\t2   * * * \t").fields == parsed("30 2 * * *").fields);
}

TEST_CASE("cron parse: macros are the lines they stand for") {
  CHECK(parsed("@yearly").fields == parsed("0 0 1 1 *").fields);
  CHECK(parsed("@annually").fields == parsed("0 0 1 1 *").fields);
  CHECK(parsed("@monthly").fields == parsed("0 0 1 * *").fields);
  CHECK(parsed("@weekly").fields == parsed("0 0 * * 0").fields);
  CHECK(parsed("@daily").fields == parsed("0 0 * * *").fields);
  CHECK(parsed("@Midnight").fields == parsed("0 0 * * *").fields);
  CHECK(parsed("@hourly").fields == parsed("0 * * * *").fields);
  CHECK(parsed("@daily").fixed_time);
  CHECK_FALSE(parsed("@hourly").fixed_time);
}

TEST_CASE("cron parse: @every takes a duration from 1 s to 366 d") {
  const CronLine line = parsed("@every 1h30m");
  CHECK(line.kind == CronLine::Kind::every);
  CHECK(line.every_ms == 5400000);
  CHECK(parsed("@every 1s").every_ms == kEveryMinMs);
  CHECK(parsed("@every 366d").every_ms == kEveryMaxMs);
  CHECK(has(refusal("@every 999ms"),
            "column 8: found 999ms: @every takes a duration from 1s to 366d"));
  CHECK(has(refusal("@every 367d"), "column 8: found 367d"));
  CHECK(has(refusal("@every 5"), "column 8: \"5\" is not a duration"));
  CHECK(has(refusal("@every"), "column 7: @every takes a duration"));
  CHECK(has(refusal("@every 5m 3"), "column 11: @every takes a duration"));
}

TEST_CASE("cron parse: CRON_TZ names the zone, before fields and macros") {
  CHECK(parsed("CRON_TZ=Europe/Berlin 30 2 * * *").zone_name == "Europe/Berlin");
  CHECK(parsed("  CRON_TZ=UTC @daily").zone_name == "UTC");
  CHECK(parsed("30 2 * * *").zone_name.empty());
  CHECK(has(refusal("CRON_TZ=../etc 30 2 * * *"), "column 9: \"../etc\" is not a time zone name"));
  CHECK(has(refusal("CRON_TZ= 30 2 * * *"), "column 9: \"\" is not a time zone name"));
  CHECK(has(refusal("CRON_TZ=UTC 30 2"), "column 17: 2 fields found"));
}

TEST_CASE("cron parse: the last day and days before it") {
  CHECK(parsed("0 0 L * *").fields.days_before_end == set(0));
  CHECK(parsed("0 0 L-3,15 * *").fields.days_before_end == set(3));
  CHECK(parsed("0 0 L-3,15 * *").fields.days == set(15));
  CHECK(has(refusal("0 0 L-31 * *"),
            "column 7: the number of days before the last one is 31: 1-30 is allowed"));
}

TEST_CASE("cron parse: nearest weekdays") {
  CHECK(parsed("0 0 15W * *").fields.near_weekdays == set(15));
  CHECK(parsed("0 0 LW * *").fields.last_weekday);
  CHECK(has(refusal("0 0 15W/2 * *"), "column 8: found \"/2\""));
}

TEST_CASE("cron parse: the last and the n-th weekday of the month") {
  CHECK(parsed("0 0 * * 5L").fields.nth_weekdays[5] == set(CronFields::kLastOfMonth));
  CHECK(parsed("0 0 * * friL").fields.nth_weekdays[5] == set(CronFields::kLastOfMonth));
  CHECK(parsed("0 0 * * 7#2").fields.nth_weekdays[0] == set(2));
  CHECK(parsed("0 0 * * TUE#1,TUE#3").fields.nth_weekdays[2] == set(1, 3));
  CHECK(has(refusal("0 0 * * 5#6"), "column 11: the number after # is 6: 1-5 is allowed"));
}

TEST_CASE("cron parse: H picks one value of the field, the same for the same seed") {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const CronFields fields = parsed("H H H H H", seed).fields;
    REQUIRE(std::popcount(fields.minutes) == 1);
    REQUIRE(std::popcount(fields.hours) == 1);
    REQUIRE(std::popcount(fields.days) == 1);
    REQUIRE(std::popcount(fields.months) == 1);
    REQUIRE(std::popcount(fields.weekdays) == 1);
    REQUIRE(first_from(fields.days, 0) <= 28);
    REQUIRE(fields == parsed("H H H H H", seed).fields);
  }
}

TEST_CASE("cron parse: H over many seeds reaches every value about equally often") {
  int minutes[60] = {};
  for (uint64_t i = 0; i < 6000; ++i) {
    const uint64_t seed = cron_seed("gw-" + std::to_string(i), "nightly");
    ++minutes[first_from(parsed("H 2 * * *", seed).fields.minutes, 0)];
  }
  for (const int count : minutes) {
    CHECK(count > 50);  // 100 +- 5 standard deviations
    CHECK(count < 150);
  }
}

TEST_CASE("cron parse: H draws independently in each field") {
  int equal = 0;
  for (uint64_t seed = 0; seed < 2400; ++seed) {
    const CronFields fields = parsed("H(0-23) H * * *", seed).fields;
    equal += fields.minutes == fields.hours;
  }
  CHECK(equal > 50);  // 100 expected
  CHECK(equal < 150);
}

TEST_CASE("cron parse: H with a range and with a step") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const CronFields range = parsed("H(10-19) * * * H(MON-FRI)", seed).fields;
    REQUIRE(std::popcount(range.minutes) == 1);
    REQUIRE(first_from(range.minutes, 0) >= 10);
    REQUIRE(first_from(range.minutes, 0) <= 19);
    REQUIRE((range.weekdays & 0x3E) != 0);
    const uint64_t step = parsed("H/15 * * * *", seed).fields.minutes;
    REQUIRE(std::popcount(step) == 4);
    REQUIRE(step == set(0, 15, 30, 45) << first_from(step, 0));
    const uint64_t both = parsed("H(0-29)/10 * * * *", seed).fields.minutes;
    REQUIRE(std::popcount(both) == 3);
    REQUIRE(last_up_to(both, 59) <= 29);
  }
}

TEST_CASE("cron parse: these H never change, devices rely on them") {
  CHECK(cron_seed("gw-0042", "nightly") == 12256418651573834096u);
  CHECK(parsed("H H * * *", cron_seed("gw-0042", "nightly")).fields ==
        parsed("19 15 * * *").fields);
}

TEST_CASE("cron parse: the seed tells device and schedule apart") {
  CHECK(cron_seed("a", "bc") != cron_seed("ab", "c"));
  CHECK(cron_seed("a", "b") != cron_seed("b", "a"));
}

TEST_CASE("cron parse: the time is fixed when neither minute nor hour has a star") {
  CHECK(parsed("30 2 * * *").fixed_time);
  CHECK(parsed("0,30 1-3 * * *").fixed_time);
  CHECK(parsed("H H * * *").fixed_time);
  CHECK(parsed("H(0-9)/5 2 * * *").fixed_time);
  CHECK_FALSE(parsed("*/15 2 * * *").fixed_time);
  CHECK_FALSE(parsed("30 * * * *").fixed_time);
  CHECK_FALSE(parsed("5,* 2 * * *").fixed_time);
  CHECK_FALSE(parsed("? 2 * * *").fixed_time);
  CHECK_FALSE(parsed("H/15 2 * * *").fixed_time);
}

TEST_CASE("cron parse: either day counts only when both fields are restricted") {
  CHECK(parsed("0 0 13 * 5").fields.either_day);
  CHECK(parsed("0 0 L * FRIL").fields.either_day);
  CHECK_FALSE(parsed("0 0 13 * *").fields.either_day);
  CHECK_FALSE(parsed("0 0 * * 5").fields.either_day);
  CHECK_FALSE(parsed("0 0 */2 * 5").fields.either_day);
  CHECK_FALSE(parsed("0 0 13 * ?").fields.either_day);
}

TEST_CASE("cron parse: a wrong number of fields") {
  CHECK(has(refusal("* * *"), "column 6: 3 fields found: expected 5 (minute, hour"));
  CHECK(has(refusal("5"), "1 field found"));
  CHECK(has(refusal(""), "column 1: 0 fields found"));
  CHECK(has(refusal(" \t "), "0 fields found"));
  CHECK(has(refusal("* * * * * * *"), "column 13: 7 fields found"));
}

TEST_CASE("cron parse: out of range names the field, the value and the range") {
  CHECK(refusal("60 * * * *") == "column 1: the minute is 60: 0-59 is allowed");
  CHECK(refusal("0 24 * * *") == "column 3: the hour is 24: 0-23 is allowed");
  CHECK(refusal("0 0 0 * *") == "column 5: the day of month is 0: 1-31 is allowed");
  CHECK(refusal("0 0 1 13 *") == "column 7: the month is 13: 1-12 or JAN-DEC is allowed");
  CHECK(has(refusal("0 0 * * 8"), "column 9: the day of week is 8: 0-7 or SUN-SAT"));
  CHECK(has(refusal("60 0 0 * * *"), "column 1: the second is 60"));
  CHECK(has(refusal("0,99999999999999999999 * * * *"), "column 3: the minute is 99999999999"));
  CHECK(has(refusal("1-75 * * * *"), "column 3: the minute is 75"));
}

TEST_CASE("cron parse: a range backwards") {
  CHECK(
      refusal("0,30-10 * * * *") ==
      "column 3: the range \"30-10\" of the minute goes backwards: the smaller value comes first");
  CHECK(has(refusal("0 0 * * FRI-MON"), "write two ranges with a comma"));
  CHECK(has(refusal("H(9-3) * * * *"), "column 3: the range \"9-3\""));
}

TEST_CASE("cron parse: a step of zero or beyond the field") {
  CHECK(refusal("*/0 * * * *") == "column 3: the step of the minute is 0: 1-59 is allowed");
  CHECK(refusal("*/60 * * * *") == "column 3: the step of the minute is 60: 1-59 is allowed");
  CHECK(refusal("0 */24 * * *") == "column 5: the step of the hour is 24: 1-23 is allowed");
  CHECK(has(refusal("H/0 * * * *"), "column 3: the step of the minute is 0"));
  CHECK(has(refusal("*/ * * * *"), "column 3: the minute ends too early"));
}

TEST_CASE("cron parse: an unknown name gives the nearest") {
  CHECK(has(refusal("0 0 * JANU *"), "column 7: \"JANU\" is not a month, did you mean JAN?"));
  CHECK(has(refusal("0 0 * * monday"),
            "column 9: \"monday\" is not a day of week, did you mean MON?"));
  CHECK(has(refusal("0 0 * * wes"), "did you mean WED?"));
  CHECK(has(refusal("0 0 * xyz *"), "\"xyz\" is not a month: 1-12 or JAN-DEC"));
  CHECK(has(refusal("x * * * *"), "column 1: \"x\" is not a minute: 0-59"));
  CHECK(has(refusal("@hurly"), "column 1: \"@hurly\" is not known, did you mean @hourly?"));
  CHECK(has(refusal("@start"), "\"@start\" is not known"));
  CHECK(has(refusal("@daily 5"), "column 8: nothing may follow @daily"));
}

TEST_CASE("cron parse: an empty item") {
  CHECK(has(refusal("1,,2 * * * *"), "column 3: an empty item in the list of the minute"));
  CHECK(has(refusal(",1 * * * *"), "column 1: an empty item"));
  CHECK(has(refusal("1, * * * *"), "column 3: an empty item"));
}

TEST_CASE("cron parse: what else does not belong there") {
  CHECK(has(refusal("1-2-3 * * * *"), "column 4: found \"-3\" in the minute"));
  CHECK(has(refusal("** * * * *"), "column 2: found \"*\""));
  CHECK(has(refusal("5- * * * *"), "column 3: the minute ends too early"));
  CHECK(has(refusal("-5 * * * *"), "column 1: found \"-5\""));
  CHECK(has(refusal("1.5 * * * *"), "column 2: found \".5\""));
  CHECK(has(refusal("*\n* * * * *"), "column 2: found \"\\x0a*\""));
  CHECK(has(refusal("H(1 * * * *"), "column 4: the minute ends too early"));
  CHECK(has(refusal("L * * * *"), "column 1: \"L\" is not a minute"));
  CHECK(has(refusal("0 0 1#2 * *"), "column 6: found \"#2\""));
  CHECK(has(refusal(std::string_view("0 0 * * 1\0", 10)), "column 10: found \"\\x00\""));
}

TEST_CASE("cron parse: too long") {
  std::string line = "0";
  while (line.size() < 300) line += ",0";
  CHECK(has(refusal(line + " * * * *"), "column 257: the line is 309 bytes long: at most 256"));
}

TEST_CASE("cron parse: a line that can never fire is refused with the reason") {
  CHECK(refusal("0 0 31 2 *") ==
        "column 5: this line can never fire: day 31 does not occur in February");
  CHECK(has(refusal("0 0 30 2 *"), "day 30 does not occur in February"));
  CHECK(has(refusal("0 0 31 4,6,9,11 *"),
            "day 31 does not occur in April, June, September or November"));
  CHECK(has(refusal("0 0 L-30 2 *"), "such a day does not occur in February"));
  CHECK(has(refusal("0 0 0 31W 2 *"), "column 7: this line can never fire"));
  CHECK(has(refusal("0 0 */31 * 5#5"), "no date fits both its day of month and its day of week"));
}

TEST_CASE("cron parse: what fires rarely is accepted") {
  CHECK(parse_cron_line("0 0 29 2 *", 0).ok());
  CHECK(parse_cron_line("0 0 29 2 */7", 0).ok());  // February 29 on a Sunday
  CHECK(parse_cron_line("0 0 31 2 1", 0).ok());    // Mondays of February
  CHECK(parse_cron_line("0 0 * 2 5#5", 0).ok());
}

TEST_CASE("cron describe: times of day") {
  const auto words = [](const char* text) { return CronExpr::parse(text).value().describe(); };
  CHECK(words("30 2 * * *") == "at 02:30");
  CHECK(words("0,30 8,20 * * *") == "at 08:00, 08:30, 20:00 and 20:30");
  CHECK(words("5 30 2 * * *") == "at 02:30:05");
  CHECK(words("* * * * *") == "every minute");
  CHECK(words("*/15 * * * *") == "every 15 minutes");
  CHECK(words("0,15,30,45 * * * *") == "every 15 minutes");
  CHECK(words("*/10 * * * * *") == "every 10 seconds");
  CHECK(words("* * * * * *") == "every second");
  CHECK(words("30 * * * * *") == "at second 30 of every minute");
  CHECK(words("5/15 * * * *") == "at minutes 5, 20, 35 and 50 of every hour");
  CHECK(words("0 8-17 * 6 *") == "at minute 0 of every hour from 8 to 17 in June");
  CHECK(words("*/15 8-17 * * *") == "every 15 minutes from 08:00 to 17:59");
  CHECK(words("* 2 * * *") == "every minute from 02:00 to 02:59");
  CHECK(words("0 */2 * * *") == "at minute 0 of every 2nd hour");
  CHECK(words("* 2,5,7 * * *") == "every minute of hours 2, 5 and 7");
  CHECK(words("@every 90s") == "every 90s");
}

TEST_CASE("cron describe: days, weekdays and months") {
  const auto words = [](const char* text) { return CronExpr::parse(text).value().describe(); };
  CHECK(words("30 2 * * 1-5") == "at 02:30 on Monday through Friday");
  CHECK(words("0 2 * * FRIL") == "at 02:00 on the last Friday of the month");
  CHECK(words("0 2 * * SAT,SUN") == "at 02:00 on Saturday and Sunday");
  CHECK(words("0 2 * * 5-7") == "at 02:00 on Friday through Sunday");
  CHECK(words("0 2 * 3 2#2") == "at 02:00 on the second Tuesday of March");
  CHECK(words("0 0 1,15 * *") == "at 00:00 on days 1 and 15 of the month");
  CHECK(words("0 0 1-7 * *") == "at 00:00 on days 1 through 7 of the month");
  CHECK(words("0 0 */2 * *") == "at 00:00 on every 2nd day from 1 to 31 of the month");
  CHECK(words("0 0 L * *") == "at 00:00 on the last day of the month");
  CHECK(words("0 0 L-1 * *") == "at 00:00 on the day before the last day of the month");
  CHECK(words("0 0 L-3 * *") == "at 00:00 on the day 3 days before the last day of the month");
  CHECK(words("0 0 15W,LW * *") ==
        "at 00:00 on the weekday nearest to day 15 and the last weekday of the month");
  CHECK(words("@yearly") == "at 00:00 on day 1 of January");
  CHECK(words("0 0 * JUN-AUG *") == "at 00:00 in June through August");
  CHECK(words("0 0 * 1,7 MON") == "at 00:00 on Monday in January and July");
}

TEST_CASE("cron describe: both days") {
  const auto words = [](const char* text) { return CronExpr::parse(text).value().describe(); };
  CHECK(words("0 0 13 * FRI") == "at 00:00 on day 13 of the month or on Friday");
  CHECK(words("0 0 13 6 FRI") == "at 00:00 on day 13 of the month or on Friday, in June");
  CHECK(words("0 0 13 * */5") == "at 00:00 on day 13 of the month if it is Friday or Sunday");
  CHECK(words("0 0 1-31 * MON") == "at 00:00");
}
