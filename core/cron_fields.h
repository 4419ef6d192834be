// The calendar side of a cron line: which civil times it matches. Inside of core/cron.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace hf {

// Sets of numbers as bits: bit n is the number n. Bits outside a field's range are never set.
struct CronFields {
  uint64_t seconds = 1;          // 0..59
  uint64_t minutes = 0;          // 0..59
  uint32_t hours = 0;            // 0..23
  uint32_t months = 0;           // 1..12
  uint32_t days = 0;             // 1..31
  uint32_t days_before_end = 0;  // L-n: bit n, 0..30
  uint32_t near_weekdays = 0;  // nW: the weekday (Monday to Friday) nearest to day n of that month
  bool last_weekday = false;   // LW: the last Monday to Friday
  uint32_t weekdays = 0;       // 0..6, Sunday is 0
  // w#k: bit k, 1..5, of entry w; wL: bit kLastOfMonth
  std::array<uint8_t, 7> nth_weekdays{};
  // crontab(5): if neither day field starts with *, a day that fits either is meant, else one that
  // fits both.
  bool either_day = false;

  static constexpr int kLastOfMonth = 6;

  // The days of that month which match, bits 1..31; none if the month itself does not.
  uint32_t matching_days(int year, int month) const;

  // The first matching civil time at or after civil_s (civil seconds, core/calendar.h), the last
  // one at or before it. Month by month, then day, hour, minute, second, each by its bits. The
  // calendar repeats after 400 years, weekdays included: what is not found within that time does
  // not exist.
  std::optional<int64_t> at_or_after(int64_t civil_s) const;
  std::optional<int64_t> at_or_before(int64_t civil_s) const;

  friend bool operator==(const CronFields&, const CronFields&) = default;
};

// The smallest member >= n, the largest member <= n; -1 if there is none.
int first_from(uint64_t set, int n);
int last_up_to(uint64_t set, int n);

}  // namespace hf
