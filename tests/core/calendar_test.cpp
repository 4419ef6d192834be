#include "core/calendar.h"

#include <doctest/doctest.h>

#include <chrono>

using namespace hf;

TEST_CASE("calendar: known days") {
  CHECK(days_from_civil({1970, 1, 1}) == 0);
  CHECK(days_from_civil({1969, 12, 31}) == -1);
  CHECK(days_from_civil({2000, 3, 1}) == 11017);
  CHECK(days_from_civil({0, 3, 1}) == -719468);
  CHECK(days_from_civil({9999, 12, 31}) == kMaxUnixMs / 86400000);
}

TEST_CASE("calendar: every day from 1600 to 2400 there and back, against std::chrono") {
  // std::chrono's calendar is an implementation of its own; only its arithmetic is used here.
  using namespace std::chrono;
  int64_t wrong = 0;
  const int64_t first = days_from_civil({1600, 1, 1});
  const int64_t last = days_from_civil({2400, 12, 31});
  CHECK(last - first + 1 == 2 * kDaysPer400Years + 366);
  for (int64_t day = first; day <= last; ++day) {
    const CivilDate date = civil_from_days(day);
    const year_month_day expected{sys_days{days{day}}};
    wrong += date.year != static_cast<int>(expected.year());
    wrong += date.month != static_cast<int>(static_cast<unsigned>(expected.month()));
    wrong += date.day != static_cast<int>(static_cast<unsigned>(expected.day()));
    wrong += days_from_civil(date) != day;
    wrong += weekday_from_days(day) != static_cast<int>(weekday{sys_days{days{day}}}.c_encoding());
  }
  CHECK(wrong == 0);
}

TEST_CASE("calendar: leap years and the last day of each month") {
  CHECK(is_leap_year(2000));
  CHECK(is_leap_year(2028));
  CHECK_FALSE(is_leap_year(2026));
  CHECK_FALSE(is_leap_year(2100));
  constexpr int kLast[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  for (int month = 1; month <= 12; ++month)
    CHECK(last_day_of_month(2026, month) == kLast[month - 1]);
  CHECK(last_day_of_month(2028, 2) == 29);
  CHECK(last_day_of_month(2100, 2) == 28);
}

TEST_CASE("calendar: weekdays before and after 1970") {
  CHECK(weekday_from_days(0) == 4);
  CHECK(weekday_from_days(-1) == 3);
  CHECK(weekday_from_days(days_from_civil({2026, 11, 25})) == 3);
}

TEST_CASE("calendar: civil seconds there and back, also before 1970") {
  const CivilTime time{{2026, 11, 25}, 2, 30, 59};
  CHECK(civil_seconds(time) == 1795573859);
  CHECK(civil_from_seconds(1795573859) == time);
  CHECK(civil_from_seconds(-1) == CivilTime{{1969, 12, 31}, 23, 59, 59});
  CHECK(civil_seconds({{1969, 12, 31}, 23, 59, 59}) == -1);
}

TEST_CASE("calendar: floor_div rounds towards minus infinity") {
  CHECK(floor_div(7, 2) == 3);
  CHECK(floor_div(-7, 2) == -4);
  CHECK(floor_div(-8, 2) == -4);
  CHECK(floor_div(0, 5) == 0);
}
