// Cron lines: when do they fire next, when did they last, and what do they say in words.
//
//   minute hour day-of-month month day-of-week          30 2 * * 1-5
//   second minute hour day-of-month month day-of-week   */10 * * * * *
//   @yearly @annually @monthly @weekly @daily @midnight @hourly
//   @every 90s
//   @reboot                                             once at each start of the device
//   CRON_TZ=Europe/Berlin before a line names its zone
//
// A field is a list of items:
//   *  ?               every value
//   5  MON  JAN        one value; names of months and weekdays in any case; 7 is Sunday too
//   1-5  FRI-SUN       a range, upwards; SUN at its end is 7
//   */15  10-50/5      every n-th of them, from the first on; 5/15 is 5-59/15
//   H  H(0-29)         one value that the seed picks; of the days of the month one of 1-28
//   H/15  H(0-29)/10   every n-th from a start that the seed picks
//   L  L-3             day of month: the last day, 3 days before it
//   15W  LW            day of month: the Monday to Friday nearest to it in the month, the last one
//   5L  FRIL  5#2      day of week: the last Friday, the second Friday of the month
//
// Days go by the rule of crontab(5): if both day fields are restricted (their first item is not *,
// */n, ? or H/n), a day that fits either is meant, otherwise one that fits both.
//
// Not bounded by steps of a minute: next and previous go month, day, hour, minute, second by bits,
// at most 400 years, after which the calendar repeats. A line that never fires is refused by parse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/cron_fields.h"
#include "core/result.h"
#include "core/zone.h"

namespace hf {

inline constexpr size_t kCronLineMax = 256;   // bytes
inline constexpr int64_t kEveryMinMs = 1000;  // of @every
inline constexpr int64_t kEveryMaxMs = 366LL * kSecondsPerDay * 1000;

// What a line with a fixed time (neither hour nor minute has *, ?, */n or H/n) does when the zone
// puts the clock forward over it (gap) or back so that it comes twice (overlap). Other lines go by
// real time: they fire at each instant whose local time fits, under every policy.
enum class DstPolicy : uint8_t {
  vixie,  // as cron(8) of Vixie cron. gap: once, just after it; overlap: once, the first time
  skip,   // gap: not at all; overlap: once, the first time
  both    // gap: once, just after it; overlap: both times
};

// A line taken apart.
struct CronLine {
  enum class Kind {
    calendar,  // the fields
    every,     // @every: the scheduler counts elapsed time from the last firing
    reboot     // @reboot: the scheduler fires it when it opens for the first time in a boot
  };
  Kind kind = Kind::calendar;
  int64_t every_ms = 0;     // every: kEveryMinMs..kEveryMaxMs
  CronFields fields;        // calendar
  bool fixed_time = false;  // calendar: neither hour nor minute has a star
  std::string
      zone_name;  // of CRON_TZ=, a possible name (check_zone_name) but not looked up; "" if none
};

class CronExpr {
 public:
  // `seed` is what H stands for: cron_seed of the device and the schedule. HF_E_INVALID says at
  // which column (1-based byte) what was found and what is allowed.
  static Result<CronExpr> parse(std::string_view text, uint64_t seed = 0);

  CronLine::Kind kind() const { return line_.kind; }
  int64_t every_ms() const { return line_.every_ms; }
  bool fixed_time() const { return line_.fixed_time; }
  // The caller finds the zone of this name, if it is not empty, and hands it to next and previous.
  const std::string& zone_name() const { return line_.zone_name; }

  // The first firing after, the last one before the given time, itself excluded; within
  // kMinUnixMs..kMaxUnixMs. For @every: one interval later, earlier; for @reboot none.
  // Milliseconds since 1970 UTC, whole seconds for calendar lines.
  std::optional<int64_t> next(int64_t after_unix_ms, const Zone& zone,
                              DstPolicy policy = DstPolicy::vixie) const;
  std::optional<int64_t> previous(int64_t before_unix_ms, const Zone& zone,
                                  DstPolicy policy = DstPolicy::vixie) const;

  // In plain English, without the zone: "at 02:30 on Monday through Friday", "every 15 minutes".
  std::string describe() const;

 private:
  explicit CronExpr(CronLine line) : line_(std::move(line)) {}

  CronLine line_;
};

// The seed of H for one schedule on one device: FNV-1a 64 (Fowler, Noll, Vo) of the device's name,
// a zero byte and the schedule's name, then the finaliser of SplitMix64, since FNV leaves similar
// names with similar high bits. It is part of what users see: it never changes.
uint64_t cron_seed(std::string_view device, std::string_view schedule);

// The two ends of CronExpr, in files of their own.
Result<CronLine> parse_cron_line(std::string_view text, uint64_t seed);  // core/cron_parse.cpp
std::string describe_cron_line(const CronLine& line);                    // core/cron_describe.cpp

}  // namespace hf
