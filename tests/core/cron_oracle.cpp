#include "tests/core/cron_oracle.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

#include "core/units.h"

namespace hf::test {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

// "Names can also be used for the 'month' and 'day of week' fields. Use the first three letters of
// the particular day or month (case doesn't matter)."
int value_of(const std::string& word) {
  if (std::isdigit(static_cast<unsigned char>(word[0]))) return std::atoi(word.c_str());
  const std::string months = "...JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";
  const std::string days = "SUNMONTUEWEDTHUFRISAT";
  const size_t month = months.find(word), day = days.find(word);
  return static_cast<int>((month != std::string::npos ? month : day) / 3);
}

// "Step values can be used in conjunction with ranges. Following a range with '/<number>' specifies
// skips of the number's value through the range."
bool item_matches(const std::string& item, int value, int lo, int hi) {
  const size_t slash = item.find('/');
  const std::string base = item.substr(0, slash);
  const int step = slash == std::string::npos ? 1 : std::atoi(item.c_str() + slash + 1);
  if (base != "*" && base != "?") {
    const size_t dash = base.find('-');
    lo = value_of(base.substr(0, dash));
    if (dash != std::string::npos) {
      const std::string end = base.substr(dash + 1);
      hi = value_of(end);
      if (hi == 0 && lo > 0 && !std::isdigit(static_cast<unsigned char>(end[0]))) hi = 7;  // FRI-SUN: "0 or 7 is Sun"
    } else if (slash == std::string::npos) {
      hi = lo;
    }
  }
  return value >= lo && value <= hi && (value - lo) % step == 0;
}

bool field_matches(const std::string& field, int value, int lo, int hi) {
  for (const std::string& item : split(field, ',')) {
    if (item_matches(item, value, lo, hi)) return true;
  }
  return false;
}

int weekday(const CivilDate& date) {
  return weekday_from_days(days_from_civil(date));
}
bool working_day(CivilDate date, int day) {
  date.day = day;
  return weekday(date) >= 1 && weekday(date) <= 5;
}

bool day_matches(const std::string& field, const CivilDate& date) {
  const int last = last_day_of_month(date.year, date.month);
  for (const std::string& item : split(field, ',')) {
    if (item == "LW") {
      int day = last;
      while (!working_day(date, day)) --day;
      if (date.day == day) return true;
    } else if (item[0] == 'L') {
      if (date.day == last - std::atoi(item.c_str() + 1 + (item.size() > 1))) return true;
    } else if (item.back() == 'W') {
      const int wanted = std::atoi(item.c_str());
      for (const int away : {0, -1, 1, -2, 2}) {
        const int day = wanted + away;
        if (wanted > last || day < 1 || day > last || !working_day(date, day)) continue;
        if (date.day == day) return true;
        break;
      }
    } else if (item_matches(item, date.day, 1, 31)) {
      return true;
    }
  }
  return false;
}

bool weekday_matches(const std::string& field, const CivilDate& date) {
  const int day = weekday(date);
  for (const std::string& item : split(field, ',')) {
    const size_t hash = item.find('#');
    if (hash != std::string::npos) {
      const int nth = std::atoi(item.c_str() + hash + 1);
      if (value_of(item.substr(0, hash)) % 7 == day && (date.day - 1) / 7 + 1 == nth) return true;
    } else if (item.back() == 'L') {
      const bool last = date.day + 7 > last_day_of_month(date.year, date.month);
      if (value_of(item.substr(0, item.size() - 1)) % 7 == day && last) return true;
    } else if (item_matches(item, day, 0, 6) || (day == 0 && item_matches(item, 7, 0, 6))) {
      return true;  // "0-7 (0 or 7 is Sun)"
    }
  }
  return false;
}

// "The following are ... equivalent to": "@hourly  Run once an hour, '0 * * * *'" and so on.
std::string without_macro(const std::string& text) {
  if (text == "@yearly" || text == "@annually") return "0 0 1 1 *";
  if (text == "@monthly") return "0 0 1 * *";
  if (text == "@weekly") return "0 0 * * 0";
  if (text == "@daily" || text == "@midnight") return "0 0 * * *";
  if (text == "@hourly") return "0 * * * *";
  return text;
}

}  // namespace

OracleLine::OracleLine(const std::string& text) {
  std::string upper = without_macro(text);  // "case doesn't matter"
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::vector<std::string> fields = split(upper, ' ');
  if (fields.size() == 5) fields.insert(fields.begin(), "0");
  for (int i = 0; i < 60; ++i) second_[i] = field_matches(fields[0], i, 0, 59);
  for (int i = 0; i < 60; ++i) minute_[i] = field_matches(fields[1], i, 0, 59);
  for (int i = 0; i < 24; ++i) hour_[i] = field_matches(fields[2], i, 0, 23);
  for (int i = 0; i < 13; ++i) month_[i] = field_matches(fields[4], i, 1, 12);
  days_ = fields[3];
  weekdays_ = fields[5];
  fixed_ = (fields[1] + fields[2]).find_first_of("*?") == std::string::npos;
}

bool OracleLine::matches_day(const CivilDate& date) const {
  if (!month_[date.month]) return false;
  // "If both fields are restricted (i.e., do not start with *), the command will be run when either
  // field matches the current time."
  const bool by_day = day_matches(days_, date), by_weekday = weekday_matches(weekdays_, date);
  const bool star =
      days_[0] == '*' || days_[0] == '?' || weekdays_[0] == '*' || weekdays_[0] == '?';
  return star ? by_day && by_weekday : by_day || by_weekday;
}

bool OracleLine::matches(const CivilTime& time) const {
  return matches_time(time) && matches_day(time.date);
}

OracleClock::OracleClock(const std::vector<OracleTick>& ticks, int64_t from_s, int step_s) {
  int64_t shown = civil_seconds(ticks.front().civil) - step_s;  // the latest time that the clock has shown
  for (const OracleTick& tick : ticks) {
    const int64_t civil_s = civil_seconds(tick.civil);
    if (tick.unix_s >= from_s) {
      Tick& kept = ticks_.emplace_back(Tick{tick.unix_s, tick.civil, civil_s <= shown, {}});
      for (int64_t skipped = shown + step_s; skipped < civil_s; skipped += step_s) {
        kept.skipped.push_back(civil_from_seconds(skipped));
      }
    }
    shown = std::max(shown, civil_s);
  }
}

namespace {
std::vector<OracleTick> ticks_of(const Zone& zone, int64_t from_s, int64_t to_s, int step_s) {
  std::vector<OracleTick> ticks;
  for (int64_t t = from_s; t < to_s; t += step_s) ticks.push_back({t, zone.local(t).civil});
  return ticks;
}
}  // namespace

OracleClock::OracleClock(const Zone& zone, int64_t from_s, int64_t to_s, int step_s)
    : OracleClock(ticks_of(zone, from_s - 2 * kSecondsPerDay, to_s, step_s), from_s, step_s) {}

// "If time has moved forward, those jobs that would have run in the interval that has been skipped
// will be run immediately. Conversely, if time has moved backward, care is taken to avoid running
// jobs twice."
std::vector<int64_t> OracleClock::firings(const OracleLine& line, DstPolicy policy) const {
  const bool makes_up = line.fixed() && policy != DstPolicy::skip;
  const bool once = line.fixed() && policy != DstPolicy::both;
  std::vector<int64_t> fired;
  CivilDate today;
  bool day_matches = line.matches_day(today);
  for (const Tick& tick : ticks_) {
    if (tick.civil.date != today) {
      today = tick.civil.date;
      day_matches = line.matches_day(today);
    }
    bool fire = day_matches && line.matches_time(tick.civil) && !(once && tick.again);
    if (makes_up) {
      for (const CivilTime& skipped : tick.skipped) fire |= line.matches(skipped);
    }
    if (fire) fired.push_back(tick.unix_s);
  }
  return fired;
}

std::string difference(const std::string& zone, const std::string& line, const std::string& how,
                       const std::vector<int64_t>& expected, const std::vector<int64_t>& found) {
  if (expected == found) return "";
  size_t i = 0;
  while (i < expected.size() && i < found.size() && expected[i] == found[i]) ++i;
  const auto at = [&](const std::vector<int64_t>& times) {
    return i < times.size() ? format_time(times[i] * 1000) : "nothing";
  };
  return zone + ", \"" + line + "\", " + how + ": expected " + at(expected) + ", found " +
         at(found);
}

namespace {

std::string random_item(Random& random, int lo, int hi) {
  const auto number = [&](int a, int b) { return static_cast<int>(random.between(a, b)); };
  const int from = number(lo, hi);
  const std::string step = "/" + std::to_string(number(1, std::min(hi, 20)));
  switch (random.below(8)) {
    case 0:
      return "*";
    case 1:
      return "*" + step;
    case 2:
      return std::to_string(from) + "-" + std::to_string(number(from, hi));
    case 3:
      return std::to_string(from) + "-" + std::to_string(number(from, hi)) + step;
    case 4:
      return std::to_string(from) + step;
    default:
      return std::to_string(from);
  }
}

std::string random_field(Random& random, int lo, int hi) {
  std::string field = random_item(random, lo, hi);
  while (random.below(4) == 0) field += "," + random_item(random, lo, hi);
  return field;
}

std::string pick(Random& random, const std::vector<std::string>& from) {
  return from[random.below(from.size())];
}

}  // namespace

std::string random_line(Random& random, bool with_seconds, bool with_extensions) {
  const std::vector<std::string> months = {"*",       "*", "*",  "jan-MAR",
                                           "Oct,nov", "3", "10", "2-11/3"};
  const std::vector<std::string> days = {"*", "*", "*", "?", "1", "13,31", "*/2", "25-31", "1-7"};
  const std::vector<std::string> weekdays = {"*",   "*",       "*",   "?",   "7",  "sun",
                                             "0-5", "MON-fri", "5-7", "*/2", "6,7"};
  for (;;) {
    std::string text = with_seconds ? random_field(random, 0, 59) + " " : "";
    text += random_field(random, 0, 59);
    text += " " + (random.below(3) == 0 ? random_field(random, 0, 23) : random_field(random, 0, 4));
    std::string day = random.below(4) == 0 ? random_field(random, 1, 31) : pick(random, days);
    std::string weekday =
        random.below(4) == 0 ? random_field(random, 0, 6) : pick(random, weekdays);
    if (with_extensions) {
      if (random.below(2) == 0) day = pick(random, {"L", "LW", "L-2,15W", "1W", "31W", "L-30,30W"});
      if (random.below(2) == 0)
        weekday = pick(random, {"FRIL", "5#2", "0L,7#1", "mon#5", "6L,SUN"});
    }
    text += " " + day + " " + pick(random, months) + " " + weekday;
    if (CronExpr::parse(text)) return text;  // not one that can never fire
  }
}

std::vector<int64_t> by_next(const CronExpr& line, const Zone& zone, int64_t from_s, int64_t to_s,
                             DstPolicy policy) {
  std::vector<int64_t> fired;
  for (auto at = line.next(from_s * 1000 - 1, zone, policy); at && *at < to_s * 1000;
       at = line.next(*at, zone, policy)) {
    fired.push_back(*at / 1000);
  }
  return fired;
}

std::vector<int64_t> by_previous(const CronExpr& line, const Zone& zone, int64_t from_s,
                                 int64_t to_s, DstPolicy policy) {
  std::vector<int64_t> fired;
  for (auto at = line.previous(to_s * 1000, zone, policy); at && *at >= from_s * 1000;
       at = line.previous(*at, zone, policy)) {
    fired.push_back(*at / 1000);
  }
  std::reverse(fired.begin(), fired.end());
  return fired;
}

std::string compare_with_oracle(const Zone& zone, int64_t from_s, int64_t to_s, int step_s,
                                int lines, Random& random) {
  const OracleClock clock(zone, from_s, to_s, step_s);
  for (int i = 0; i < lines; ++i) {
    const std::string text = random_line(random, step_s == 1, i % 4 == 3);
    const CronExpr line = CronExpr::parse(text).value();
    const OracleLine oracle(text);
    for (const DstPolicy policy : {DstPolicy::vixie, DstPolicy::skip, DstPolicy::both}) {
      if (policy != DstPolicy::vixie && !oracle.fixed()) continue;  // no different
      const auto expected = clock.firings(oracle, policy);
      const std::string name = " under policy " + std::to_string(static_cast<int>(policy));
      for (const bool forwards : {true, false}) {
        const auto found = forwards ? by_next(line, zone, from_s, to_s, policy)
                                    : by_previous(line, zone, from_s, to_s, policy);
        const std::string how = forwards ? "next" : "previous";
        const std::string differs = difference(zone.name(), text, how + name, expected, found);
        if (!differs.empty()) return differs;
      }
    }
  }
  return "";
}

}  // namespace hf::test
