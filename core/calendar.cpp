#include "core/calendar.h"

namespace hf {

int64_t days_from_civil(const CivilDate& date) {
  // Years begin on March 1 here, so that the leap day is a year's last; an era is 400 years.
  const int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  const int64_t era = floor_div(year, 400);
  const int64_t year_of_era = year - era * 400;                                        // 0..399
  const int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;  // 0..365
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * kDaysPer400Years + day_of_era - 719468;  // days from 0000-03-01 to 1970-01-01
}

CivilDate civil_from_days(int64_t days) {
  days += 719468;
  const int64_t era = floor_div(days, kDaysPer400Years);
  const int64_t day_of_era = days - era * kDaysPer400Years;  // 0..146096
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;  // 0..399
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;  // 0 = March .. 11 = February
  CivilDate date;
  date.day = static_cast<int>(day_of_year - (153 * month + 2) / 5 + 1);
  date.month = static_cast<int>(month < 10 ? month + 3 : month - 9);
  date.year = static_cast<int>(year_of_era + era * 400 + (date.month <= 2 ? 1 : 0));
  return date;
}

int weekday_from_days(int64_t days) {
  const int64_t shifted = days + 4;  // 1970-01-01 was a Thursday
  return static_cast<int>(shifted - floor_div(shifted, 7) * 7);
}

bool is_leap_year(int year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int last_day_of_month(int year, int month) {
  if (month == 2) return is_leap_year(year) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

int64_t civil_seconds(const CivilTime& time) {
  return days_from_civil(time.date) * kSecondsPerDay + time.hour * 3600 + time.minute * 60 +
         time.second;
}

CivilTime civil_from_seconds(int64_t civil_s) {
  const int64_t days = floor_div(civil_s, kSecondsPerDay);
  const int second = static_cast<int>(civil_s - days * kSecondsPerDay);
  return {civil_from_days(days), second / 3600, second / 60 % 60, second % 60};
}

}  // namespace hf
