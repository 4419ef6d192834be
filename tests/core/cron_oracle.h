// An oracle for cron lines, written from crontab(5) and cron(8) alone: it looks at each minute (or
// second) of a stretch of time, as the daemon would, and shares nothing with core/cron*.cpp. Slow
// and simple on purpose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/calendar.h"
#include "core/cron.h"
#include "core/random.h"
#include "core/zone.h"

namespace hf::test {

// A line, which must be valid: 5 fields, 6 with seconds, or @daily and the like. No H.
class OracleLine {
 public:
  explicit OracleLine(const std::string& text);

  bool matches(const CivilTime& time) const;
  bool matches_day(const CivilDate& date) const;
  bool matches_time(const CivilTime& time) const {
    return second_[time.second] && minute_[time.minute] && hour_[time.hour];
  }
  // cron(8): "Only jobs that run at a particular time (not specified as @hourly, nor with '*' in
  // the hour or minute specifier) are affected."
  bool fixed() const { return fixed_; }

 private:
  bool second_[60], minute_[60], hour_[24], month_[13];
  std::string days_, weekdays_;
  bool fixed_ = false;
};

// What a local clock shows at an instant.
struct OracleTick {
  int64_t unix_s;
  CivilTime civil;
};

// The local clock of a zone, minute by minute (step_s = 60) or second by second (1).
class OracleClock {
 public:
  // Over [from_s, to_s). It starts two days earlier, to know what the clock had shown before.
  OracleClock(const Zone& zone, int64_t from_s, int64_t to_s, int step_s);
  // `ticks` are step_s apart; those before from_s say what the clock had shown before.
  OracleClock(const std::vector<OracleTick>& ticks, int64_t from_s, int step_s);

  // Unix seconds, ascending.
  std::vector<int64_t> firings(const OracleLine& line, DstPolicy policy) const;

 private:
  struct Tick {
    int64_t unix_s;
    CivilTime civil;
    bool again;                      // the clock had shown this time, or a later one, before
    std::vector<CivilTime> skipped;  // the times that it jumped over just now
  };
  std::vector<Tick> ticks_;
};

// A valid line of any kind; hours and minutes are often those at which zones change their clocks.
std::string random_line(Random& random, bool with_seconds, bool with_extensions);

// The firings of `line` in [from_s, to_s) by next, and by previous from the end (in ascending
// order).
std::vector<int64_t> by_next(const CronExpr& line, const Zone& zone, int64_t from_s, int64_t to_s,
                             DstPolicy policy);
std::vector<int64_t> by_previous(const CronExpr& line, const Zone& zone, int64_t from_s,
                                 int64_t to_s, DstPolicy policy);

// "", or where the two differ, in words. `how`: by what `found` was found.
std::string difference(const std::string& zone, const std::string& line, const std::string& how,
                       const std::vector<int64_t>& expected, const std::vector<int64_t>& found);

// Holds `lines` random lines against the oracle over that stretch, under all policies. Returns "",
// or the first difference in words.
std::string compare_with_oracle(const Zone& zone, int64_t from_s, int64_t to_s, int step_s,
                                int lines, Random& random);

}  // namespace hf::test
