// The Gregorian calendar as arithmetic on integers: no time_t, no struct tm, no time zone.
//
// Dates go backwards and forwards without end (proleptic Gregorian); "civil seconds" are what a
// wall clock shows, counted from 1970-01-01 00:00:00 as if it stood in UTC.
#pragma once

#include <cstdint>

namespace hf {

struct CivilDate {
  int year = 1970;
  int month = 1;  // 1..12
  int day = 1;    // 1..31

  friend bool operator==(const CivilDate&, const CivilDate&) = default;
};

struct CivilTime {
  CivilDate date;
  int hour = 0;    // 0..23
  int minute = 0;  // 0..59
  int second = 0;  // 0..59

  friend bool operator==(const CivilTime&, const CivilTime&) = default;
};

inline constexpr int64_t kSecondsPerDay = 86400;
// The calendar repeats, weekdays included: 400 years have 146097 days, which is a multiple of 7.
inline constexpr int64_t kDaysPer400Years = 146097;

// The times that Holdfast speaks of: 1970-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z.
inline constexpr int kMinYear = 1970;
inline constexpr int kMaxYear = 9999;
inline constexpr int64_t kMinUnixMs = 0;
inline constexpr int64_t kMaxUnixMs = 253402300799999;

// Rounded towards minus infinity; divisor > 0.
constexpr int64_t floor_div(int64_t value, int64_t divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}

// Days since 1970-01-01, negative before. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
// Algorithms", days_from_civil and civil_from_days. REQUIRES: a date that exists.
int64_t days_from_civil(const CivilDate& date);
// REQUIRES: |days| <= 2^39 (a year that an int holds)
CivilDate civil_from_days(int64_t days);

// 0 = Sunday .. 6 = Saturday
int weekday_from_days(int64_t days);

bool is_leap_year(int year);
int last_day_of_month(int year, int month);  // 28..31; month 1..12

int64_t civil_seconds(const CivilTime& time);
CivilTime civil_from_seconds(int64_t civil_s);

}  // namespace hf
