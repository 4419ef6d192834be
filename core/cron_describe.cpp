#include <array>
#include <bit>
#include <vector>

#include "core/cron.h"
#include "core/units.h"

// Words are made from the sets, not from the text: "0,15,30,45", "*/15" and an H/15 that came to 0
// say the same.

namespace hf {
namespace {

constexpr int kTimesListed = 6;  // so many times of day are listed one by one

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
// From Monday on, as a week is read; Sunday is 7.
constexpr std::array<std::string_view, 7> kWeekdays = {
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
constexpr std::array<std::string_view, 5> kNth = {"first", "second", "third", "fourth", "fifth"};

using Words = std::vector<std::string>;

std::string join(const Words& words, std::string_view last = " and ") {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? last : ", ";
    text += words[i];
  }
  return text;
}

// How a set lies in its range lo..hi.
struct Shape {
  bool all = false;
  int count = 0;
  int first = -1, last = -1;
  int step = 0;  // of 3 members or more at equal distances, else 0
  bool regular =
      false;  // the step goes through the whole range and on over its end: 0, 15, 30, 45 of 0..59
};

Shape shape_of(uint64_t set, int lo, int hi) {
  Shape shape;
  shape.count = std::popcount(set);
  shape.first = first_from(set, 0);
  shape.last = last_up_to(set, 63);
  shape.all = shape.count == hi - lo + 1;
  if (shape.count < 3) return shape;
  shape.step = first_from(set, shape.first + 1) - shape.first;
  for (int n = shape.first; n < shape.last;) {
    const int next = first_from(set, n + 1);
    if (next - n != shape.step) shape.step = 0;
    n = next;
  }
  shape.regular = shape.step > 1 && shape.first == lo && shape.last + shape.step == hi + 1;
  return shape;
}

std::string number(int n) {
  return std::to_string(n);
}

std::string ordinal(int n) {
  const int ten = n % 10;
  const bool teen = n / 10 % 10 == 1;
  return number(n) + (teen ? "th" : ten == 1 ? "st" : ten == 2 ? "nd" : ten == 3 ? "rd" : "th");
}

Words numbers(uint64_t set) {
  Words words;
  for (int n = first_from(set, 0); n >= 0; n = first_from(set, n + 1)) words.push_back(number(n));
  return words;
}

// "every minute", "minute 5", "every minute from 5 to 10", "every 15th minute", "minutes 5 and 35"
std::string noun(uint64_t set, int lo, int hi, const std::string& unit) {
  const Shape shape = shape_of(set, lo, hi);
  if (shape.all) return "every " + unit;
  if (shape.regular) return "every " + ordinal(shape.step) + " " + unit;
  const std::string range = " from " + number(shape.first) + " to " + number(shape.last);
  if (shape.step == 1) return "every " + unit + range;
  if (shape.step > 1 && shape.count > kTimesListed) {
    return "every " + ordinal(shape.step) + " " + unit + range;
  }
  return unit + (shape.count == 1 ? " " : "s ") + join(numbers(set));
}

std::string clock_time(int hour, int minute, int second) {
  const auto two = [](int n) { return (n < 10 ? "0" : "") + number(n); };
  return two(hour) + ":" + two(minute) + (second != 0 ? ":" + two(second) : "");
}

// How often within the hour: "every 15 minutes", "at minute 0". `every` tells which of the two.
std::string pace(uint64_t set, const std::string& unit, bool* every) {
  const Shape shape = shape_of(set, 0, 59);
  *every = true;
  if (shape.all) return "every " + unit;
  if (shape.regular) return "every " + number(shape.step) + " " + unit + "s";
  *every = false;
  return "at " + noun(set, 0, 59, unit);
}

std::string time_of_day(const CronFields& fields) {
  const Shape hours = shape_of(fields.hours, 0, 23);
  const int minutes = std::popcount(fields.minutes);
  if (std::popcount(fields.seconds) == 1 && hours.count * minutes <= kTimesListed) {
    Words times;
    for (int h = hours.first; h >= 0; h = first_from(fields.hours, h + 1)) {
      for (int m = first_from(fields.minutes, 0); m >= 0; m = first_from(fields.minutes, m + 1)) {
        times.push_back(clock_time(h, m, first_from(fields.seconds, 0)));
      }
    }
    return "at " + join(times);
  }
  bool every = false;
  std::string text;
  if (fields.seconds == 1) {
    text = pace(fields.minutes, "minute", &every);
  } else {
    text = pace(fields.seconds, "second", &every);
    every = every && minutes == 60;
    if (!every) text += " of " + noun(fields.minutes, 0, 59, "minute");
  }
  if (hours.all && (every || minutes == 60)) return text;
  if (every && (hours.count == 1 || hours.step == 1)) {
    return text + " from " + clock_time(hours.first, 0, 0) + " to " + clock_time(hours.last, 59, 0);
  }
  return text + " of " + noun(fields.hours, 0, 23, "hour");
}

// "Monday through Friday", "the second Tuesday"; `of_month` if it counts within the month.
std::string weekdays(const CronFields& fields, bool* of_month, std::string_view last = " and ") {
  const uint32_t from_monday = (fields.weekdays & 0x7E) | (fields.weekdays & 1) << 7;
  const Shape shape = shape_of(from_monday, 1, 7);
  const auto word = [](int n) { return std::string(kWeekdays[static_cast<size_t>(n - 1)]); };
  Words words;
  if (shape.all) {
    words.push_back("any day of the week");
  } else if (shape.step == 1) {
    words.push_back(word(shape.first) + " through " + word(shape.last));
  } else {
    for (int n = shape.first; n > 0; n = first_from(from_monday, n + 1)) words.push_back(word(n));
  }
  for (int n = 1; n <= 7; ++n) {
    const uint8_t nth = fields.nth_weekdays[static_cast<size_t>(n % 7)];
    for (int k = 1; k <= 5; ++k) {
      if (nth >> k & 1)
        words.push_back("the " + std::string(kNth[static_cast<size_t>(k - 1)]) + " " + word(n));
    }
    if (nth >> CronFields::kLastOfMonth & 1) words.push_back("the last " + word(n));
    *of_month |= nth != 0;
  }
  return join(words, last);
}

// "day 1", "the last day", "the weekday nearest to day 15", to be followed by "of the month".
std::string days(const CronFields& fields) {
  const Shape shape = shape_of(fields.days, 1, 31);
  Words words;
  if (shape.count > 0) {
    if (shape.all) {
      words.push_back("any day");
    } else if (shape.step == 1) {
      words.push_back("days " + number(shape.first) + " through " + number(shape.last));
    } else {
      words.push_back(noun(fields.days, 1, 31, "day"));
    }
  }
  const uint32_t before = fields.days_before_end, near = fields.near_weekdays;
  for (int n = first_from(near, 0); n >= 0; n = first_from(near, n + 1)) {
    words.push_back("the weekday nearest to day " + number(n));
  }
  if (fields.last_weekday) words.push_back("the last weekday");
  for (int n = first_from(before, 0); n >= 0; n = first_from(before, n + 1)) {
    const std::string away = n == 1 ? "" : number(n) + " days ";
    words.push_back(n == 0 ? "the last day" : "the day " + away + "before the last day");
  }
  return join(words);
}

std::string months(uint32_t set) {
  const Shape shape = shape_of(set, 1, 12);
  const auto word = [](int n) { return std::string(kMonths[static_cast<size_t>(n - 1)]); };
  if (shape.step == 1) return word(shape.first) + " through " + word(shape.last);
  Words words;
  for (int n = shape.first; n > 0; n = first_from(set, n + 1)) words.push_back(word(n));
  return join(words);
}

// "", " on Monday through Friday", " on day 13 of the month or on Friday, in June"
std::string date(const CronFields& fields) {
  const bool every_month = shape_of(fields.months, 1, 12).all;
  const std::string of = " of " + (every_month ? std::string("the month") : months(fields.months));
  const std::string in = every_month ? "" : " in " + months(fields.months);
  const bool all_days = shape_of(fields.days, 1, 31).all;
  const bool all_weekdays = shape_of(fields.weekdays, 0, 6).all;
  if (fields.either_day ? all_days || all_weekdays : all_days && all_weekdays) return in;
  bool of_month = false;
  const bool both = !fields.either_day && !all_days;
  const std::string by_weekday = weekdays(fields, &of_month, both ? " or " : " and ");
  if (all_days && !fields.either_day) return " on " + by_weekday + (of_month ? of : in);
  if (all_weekdays && !fields.either_day) return " on " + days(fields) + of;
  return " on " + days(fields) + " of the month" + (fields.either_day ? " or on " : " if it is ") +
         by_weekday + (of_month && fields.either_day ? " of the month" : "") +
         (every_month ? "" : "," + in);
}

}  // namespace

std::string describe_cron_line(const CronLine& line) {
  if (line.kind == CronLine::Kind::reboot) return "at each start of the device";
  if (line.kind == CronLine::Kind::every) return "every " + format_duration(line.every_ms);
  return time_of_day(line.fields) + date(line.fields);
}

}  // namespace hf
