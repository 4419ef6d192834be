#include "core/cron_fields.h"

#include <bit>

#include "core/calendar.h"

namespace hf {
namespace {

constexpr int kMonthsPer400Years = 4800;

constexpr uint32_t bit(int n) {
  return uint32_t{1} << n;
}

// The nearest Monday to Friday to `day` without leaving the month: Saturday goes to Friday, Sunday
// to Monday, but a Saturday the 1st to Monday the 3rd, a Sunday the last to the Friday before.
int nearest_weekday(int day, int weekday, int last_day) {
  if (weekday == 6) return day > 1 ? day - 1 : day + 2;
  if (weekday == 0) return day < last_day ? day + 1 : day - 2;
  return day;
}

// Seconds of the day.
std::optional<int> time_at_or_after(const CronFields& fields, int time) {
  const int hour = time / 3600, minute = time / 60 % 60, second = time % 60;
  const auto at = [](int h, int m, int s) { return h * 3600 + m * 60 + s; };
  if (fields.hours & bit(hour)) {
    if (fields.minutes >> minute & 1) {
      const int s = first_from(fields.seconds, second);
      if (s >= 0) return at(hour, minute, s);
    }
    const int m = first_from(fields.minutes, minute + 1);
    if (m >= 0) return at(hour, m, first_from(fields.seconds, 0));
  }
  const int h = first_from(fields.hours, hour + 1);
  if (h < 0) return std::nullopt;
  return at(h, first_from(fields.minutes, 0), first_from(fields.seconds, 0));
}

std::optional<int> time_at_or_before(const CronFields& fields, int time) {
  const int hour = time / 3600, minute = time / 60 % 60, second = time % 60;
  const auto at = [](int h, int m, int s) { return h * 3600 + m * 60 + s; };
  if (fields.hours & bit(hour)) {
    if (fields.minutes >> minute & 1) {
      const int s = last_up_to(fields.seconds, second);
      if (s >= 0) return at(hour, minute, s);
    }
    const int m = last_up_to(fields.minutes, minute - 1);
    if (m >= 0) return at(hour, m, last_up_to(fields.seconds, 59));
  }
  const int h = last_up_to(fields.hours, hour - 1);
  if (h < 0) return std::nullopt;
  return at(h, last_up_to(fields.minutes, 59), last_up_to(fields.seconds, 59));
}

}  // namespace

int first_from(uint64_t set, int n) {
  if (n > 63) return -1;
  const uint64_t rest = n <= 0 ? set : set >> n << n;
  return rest == 0 ? -1 : std::countr_zero(rest);
}

int last_up_to(uint64_t set, int n) {
  if (n < 0) return -1;
  const uint64_t rest = n >= 63 ? set : set & ((uint64_t{2} << n) - 1);
  return rest == 0 ? -1 : 63 - std::countl_zero(rest);
}

uint32_t CronFields::matching_days(int year, int month) const {
  if (!(months & bit(month))) return 0;
  const int last = last_day_of_month(year, month);
  const int first_weekday = weekday_from_days(days_from_civil({year, month, 1}));
  const auto weekday_of = [&](int day) { return (first_weekday + day - 1) % 7; };
  const uint32_t in_month = (bit(last) - 1) << 1;
  uint32_t by_day = days;
  for (int n = first_from(days_before_end, 0); n >= 0; n = first_from(days_before_end, n + 1)) {
    if (last - n >= 1) by_day |= bit(last - n);
  }
  for (int n = first_from(near_weekdays, 0); n >= 0; n = first_from(near_weekdays, n + 1)) {
    if (n <= last) by_day |= bit(nearest_weekday(n, weekday_of(n), last));
  }
  if (last_weekday) {
    const int weekday = weekday_of(last);
    by_day |= bit(weekday == 0 ? last - 2 : weekday == 6 ? last - 1 : last);
  }
  uint32_t by_weekday = 0;
  for (int weekday = 0; weekday < 7; ++weekday) {
    const int first = 1 + (weekday - first_weekday + 7) % 7;
    const uint8_t nth = nth_weekdays[static_cast<size_t>(weekday)];
    if (weekdays & bit(weekday)) {
      for (int day = first; day <= last; day += 7) by_weekday |= bit(day);
    }
    for (int k = 1; nth != 0 && k <= 5; ++k) {
      if ((nth & bit(k)) && first + 7 * (k - 1) <= last) by_weekday |= bit(first + 7 * (k - 1));
    }
    if (nth & bit(kLastOfMonth)) by_weekday |= bit(last - (last - first) % 7);
  }
  return (either_day ? by_day | by_weekday : by_day & by_weekday) & in_month;
}

std::optional<int64_t> CronFields::at_or_after(int64_t civil_s) const {
  const int64_t days_in = floor_div(civil_s, kSecondsPerDay);
  const CivilDate date = civil_from_days(days_in);
  int year = date.year, month = date.month;
  uint32_t left = matching_days(year, month);
  if (left & bit(date.day)) {
    const auto time = time_at_or_after(*this, static_cast<int>(civil_s - days_in * kSecondsPerDay));
    if (time) return days_in * kSecondsPerDay + *time;
  }
  int day = first_from(left, date.day + 1);
  for (int i = 0; day < 0 && i <= kMonthsPer400Years; ++i) {
    if (++month > 12) ++year, month = 1;
    left = matching_days(year, month);
    day = first_from(left, 1);
  }
  if (day < 0) return std::nullopt;
  return days_from_civil({year, month, day}) * kSecondsPerDay + *time_at_or_after(*this, 0);
}

std::optional<int64_t> CronFields::at_or_before(int64_t civil_s) const {
  const int64_t days_in = floor_div(civil_s, kSecondsPerDay);
  const CivilDate date = civil_from_days(days_in);
  int year = date.year, month = date.month;
  uint32_t left = matching_days(year, month);
  if (left & bit(date.day)) {
    const auto time =
        time_at_or_before(*this, static_cast<int>(civil_s - days_in * kSecondsPerDay));
    if (time) return days_in * kSecondsPerDay + *time;
  }
  int day = last_up_to(left, date.day - 1);
  for (int i = 0; day < 0 && i <= kMonthsPer400Years; ++i) {
    if (--month < 1) --year, month = 12;
    left = matching_days(year, month);
    day = last_up_to(left, 31);
  }
  if (day < 0) return std::nullopt;
  return days_from_civil({year, month, day}) * kSecondsPerDay +
         *time_at_or_before(*this, static_cast<int>(kSecondsPerDay) - 1);
}

}  // namespace hf
