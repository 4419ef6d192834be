#include <array>
#include <bit>
#include <span>
#include <vector>

#include "core/cron.h"
#include "core/names.h"
#include "core/random.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr std::array<std::string_view, 12> kMonthNames = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kDayNames = {"SUN", "MON", "TUE", "WED",
                                                       "THU", "FRI", "SAT"};
constexpr std::array<std::string_view, 12> kMonthWords = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

enum Field { kSecond, kMinute, kHour, kDayOfMonth, kMonth, kDayOfWeek };

struct FieldRule {
  std::string_view name;
  int lo;
  int hi;       // also the largest step
  int star_hi;  // the last value of *, and of the open range n/step
  int hash_hi;  // the last value of H: every month has a day 28
  std::span<const std::string_view> names;
  int first_name;  // the value of names[0]
  std::string_view allowed;
};

constexpr std::array<FieldRule, 6> kRules = {{
    {"second", 0, 59, 59, 59, {}, 0, "0-59"},
    {"minute", 0, 59, 59, 59, {}, 0, "0-59"},
    {"hour", 0, 23, 23, 23, {}, 0, "0-23"},
    {"day of month", 1, 31, 31, 28, {}, 0, "1-31"},
    {"month", 1, 12, 12, 12, kMonthNames, 1, "1-12 or JAN-DEC"},
    {"day of week", 0, 7, 6, 6, kDayNames, 0, "0-7 or SUN-SAT (0 and 7 are Sunday)"},
}};

struct Macro {
  std::string_view name;
  std::string_view line;  // "": of another kind
};
constexpr std::array<Macro, 9> kMacros = {{{"@yearly", "0 0 1 1 *"},
                                           {"@annually", "0 0 1 1 *"},
                                           {"@monthly", "0 0 1 * *"},
                                           {"@weekly", "0 0 * * 0"},
                                           {"@daily", "0 0 * * *"},
                                           {"@midnight", "0 0 * * *"},
                                           {"@hourly", "0 * * * *"},
                                           {"@reboot", ""},
                                           {"@every", ""}}};

constexpr std::string_view kZonePrefix = "CRON_TZ=";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// `column` is the 0-based place in the line.
Error refusal(size_t column, const std::string& what) {
  return Error{HF_E_INVALID, "cron line, column " + std::to_string(column + 1) + ": " + what};
}

struct Span {
  size_t begin;
  size_t end;
};

// The stars of a field: they decide the day rule and what DST does (core/cron.h).
struct Stars {
  bool first = false;  // the first item is *, */n, ? or H/n
  bool any = false;
};

// Reads one field of the line into the sets of `fields`.
class FieldParser {
 public:
  FieldParser(std::string_view line, Span span, Field field, uint64_t seed)
      : line_(line), at_(span.begin), end_(span.end), field_(field), rule_(kRules[field]) {
    // Fields draw independently, else H H would give a device the same place in hour and day.
    hash_ = seed + static_cast<uint64_t>(field) * 0xd1342543de82ef95u;
    hash_ = splitmix64(hash_);
  }

  // The set of values; L, W and # go to `fields`.
  Result<uint64_t> read(CronFields* fields, Stars* stars) {
    for (bool first = true;; first = false) {
      bool star = false;
      HF_TRY(item(fields, &star));
      stars->any |= star;
      stars->first |= star && first;
      if (at_ == end_) break;
      if (line_[at_] != ',') return unexpected();
      ++at_;
    }
    if (field_ == kDayOfWeek && (set_ & 1 << 7)) set_ = (set_ & ~(uint64_t{1} << 7)) | 1;
    return set_;
  }

 private:
  Status item(CronFields* fields, bool* star) {
    if (at_ == end_ || line_[at_] == ',') {
      return refusal(at_, "an empty item in the list of the " + name() + ": " + allowed());
    }
    if (take('*') || take('?')) {
      *star = true;
      return add(rule_.lo, rule_.star_hi);
    }
    const std::string_view word = peek_word();
    if (equal_no_case(word, "H")) return hashed(star);
    if (field_ == kDayOfMonth && !word.empty() && to_lower(word[0]) == 'l') return last_day(fields);
    if (field_ == kDayOfWeek && word.size() > 1 && to_lower(word.back()) == 'l') {
      const int value = named(word.substr(0, word.size() - 1));
      if (value >= 0) {
        at_ += word.size();
        return add_nth(fields, value, CronFields::kLastOfMonth);
      }
    }
    const size_t begin = at_;
    const auto from = value(false);
    if (!from) return from.error();
    if (field_ == kDayOfMonth && take('w')) {
      fields->near_weekdays |= uint32_t{1} << *from;
      return ok_status();
    }
    if (field_ == kDayOfWeek && take('l')) return add_nth(fields, *from, CronFields::kLastOfMonth);
    if (field_ == kDayOfWeek && take('#')) return nth(fields, *from);
    if (!take('-')) return add(*from, next_is('/') ? rule_.star_hi : *from);
    const auto to = value(*from > 0);
    if (!to) return to.error();
    if (*to < *from) return backwards(begin);
    return add(*from, *to);
  }

  // H, H(lo-hi), each with a step or without.
  Status hashed(bool* star) {
    ++at_;
    int lo = rule_.lo, hi = rule_.hash_hi;
    const bool range = take('(');
    if (range) {
      const size_t begin = at_;
      const auto from = value(false);
      if (!from) return from.error();
      if (!take('-')) return unexpected();
      const auto to = value(*from > 0);
      if (!to) return to.error();
      if (*to < *from) return backwards(begin);
      if (!take(')')) return unexpected();
      lo = *from, hi = *to;
    }
    const int count = hi - lo + 1;
    if (!next_is('/')) return insert(lo + pick(count), lo + pick(count), 1);
    *star = !range;
    const auto step = read_step();
    if (!step) return step.error();
    return insert(lo + pick(std::min(*step, count)), hi, *step);
  }

  // L, L-n, LW
  Status last_day(CronFields* fields) {
    const std::string_view word = peek_word();
    if (equal_no_case(word, "LW")) {
      at_ += 2;
      fields->last_weekday = true;
      return ok_status();
    }
    if (word.size() != 1) return unknown_name(word);
    ++at_;
    int before = 0;
    if (take('-')) {
      const auto number = read_number("the number of days before the last one", 1, 30);
      if (!number) return number.error();
      before = *number;
    }
    fields->days_before_end |= uint32_t{1} << before;
    return ok_status();
  }

  Status nth(CronFields* fields, int weekday) {
    const auto number = read_number("the number after #", 1, 5);
    if (!number) return number.error();
    return add_nth(fields, weekday, *number);
  }

  static Status add_nth(CronFields* fields, int weekday, int bit) {
    uint8_t& set = fields->nth_weekdays[static_cast<size_t>(weekday % 7)];
    set = static_cast<uint8_t>(set | 1u << bit);
    return ok_status();
  }

  // lo..hi with the step that may follow.
  Status add(int lo, int hi) {
    if (!next_is('/')) return insert(lo, hi, 1);
    const auto step = read_step();
    if (!step) return step.error();
    return insert(lo, hi, *step);
  }

  Status insert(int lo, int hi, int step) {
    for (int value = lo; value <= hi; value += step) set_ |= uint64_t{1} << value;
    return ok_status();
  }

  // REQUIRES: a slash is next
  Result<int> read_step() {
    ++at_;
    return read_number("the step of the " + name(), 1, rule_.hi);
  }

  // A number or a name. SUN is 7 where a range ends (`sunday_last`).
  Result<int> value(bool sunday_last) {
    const std::string_view word = peek_word();
    if (word.empty()) return read_number("the " + name(), rule_.lo, rule_.hi);
    const int value = named(word);
    if (value < 0) return unknown_name(word);
    at_ += word.size();
    return field_ == kDayOfWeek && value == 0 && sunday_last ? 7 : value;
  }

  Result<int> read_number(const std::string& what, int lo, int hi) {
    const size_t begin = at_;
    int number = 0;
    while (at_ < end_ && is_digit(line_[at_])) {
      if (number < 100000) number = number * 10 + (line_[at_] - '0');
      ++at_;
    }
    if (at_ == begin) return unexpected();
    if (number >= lo && number <= hi) return number;
    const bool own = lo == rule_.lo && hi == rule_.hi && what == "the " + name();
    return refusal(begin, what + " is " + std::string(line_.substr(begin, at_ - begin)) + ": " +
                              (own ? std::string(rule_.allowed)
                                   : std::to_string(lo) + "-" + std::to_string(hi)) +
                              " is allowed");
  }

  int named(std::string_view word) const {
    for (size_t i = 0; i < rule_.names.size(); ++i) {
      if (equal_no_case(word, rule_.names[i])) return rule_.first_name + static_cast<int>(i);
    }
    return -1;
  }

  Error unknown_name(std::string_view word) const {
    std::string text = quoted(word, 16) + " is not a " + name();
    // "monday", "Sept": the first three letters are the name.
    auto meant = nearest_name(word, rule_.names);
    for (const std::string_view known : rule_.names) {
      if (equal_no_case(word.substr(0, 3), known)) meant = known;
    }
    if (meant) text += ", did you mean " + std::string(*meant) + "?";
    return refusal(at_, text + (meant ? " " : ": ") + allowed());
  }

  Error backwards(size_t begin) const {
    std::string text = "the range " + quoted(line_.substr(begin, at_ - begin), 16) + " of the " +
                       name() + " goes backwards: the smaller value comes first";
    if (field_ != kMonth && field_ != kDayOfWeek) return refusal(begin, text);
    return refusal(begin, text + ", write two ranges with a comma instead");
  }

  Error unexpected() const {
    if (at_ >= end_) return refusal(at_, "the " + name() + " ends too early: " + allowed());
    const std::string_view rest = line_.substr(at_, end_ - at_);
    return refusal(at_, "found " + quoted(rest, 16) + " in the " + name() + ": " + allowed());
  }

  std::string allowed() const {
    std::string text = std::string(rule_.allowed) + ", ranges a-b, steps */n, lists a,b, * and H";
    if (field_ == kDayOfMonth) text += ", L, L-n, nW, LW";
    if (field_ == kDayOfWeek) text += ", nL, n#k";
    return text + " are allowed";
  }

  std::string name() const { return std::string(rule_.name); }
  int pick(int count) const { return static_cast<int>(hash_ % static_cast<uint64_t>(count)); }
  bool next_is(char c) const { return at_ < end_ && to_lower(line_[at_]) == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  std::string_view peek_word() const {
    size_t end = at_;
    while (end < end_ && is_letter(line_[end])) ++end;
    return line_.substr(at_, end - at_);
  }

  const std::string_view line_;
  size_t at_;
  const size_t end_;
  const Field field_;
  const FieldRule& rule_;
  uint64_t hash_;
  uint64_t set_ = 0;
};

std::vector<Span> split(std::string_view line, size_t at) {
  std::vector<Span> spans;
  while (at < line.size()) {
    while (at < line.size() && is_blank(line[at])) ++at;
    const size_t begin = at;
    while (at < line.size() && !is_blank(line[at])) ++at;
    if (at > begin) spans.push_back({begin, at});
  }
  return spans;
}

// The reason why no date fits.
std::string why_never(const CronFields& fields) {
  CronFields by_day = fields;
  by_day.weekdays = 0x7F;
  if (by_day.at_or_after(0)) return "no date fits both its day of month and its day of week";
  std::string months;
  int left = std::popcount(fields.months);
  for (int m = first_from(fields.months, 1); m > 0; m = first_from(fields.months, m + 1), --left) {
    if (!months.empty()) months += left > 1 ? ", " : " or ";
    months += kMonthWords[static_cast<size_t>(m - 1)];
  }
  const int day = first_from(fields.days, 1);
  return (day > 0 ? "day " + std::to_string(day) : "such a day") + " does not occur in " + months;
}

Result<CronLine> parse_fields(std::string_view line, const std::vector<Span>& spans,
                              uint64_t seed) {
  if (spans.size() != 5 && spans.size() != 6) {
    const size_t place = spans.size() < 5 ? line.size() : spans[6].begin;
    return refusal(place,
                   std::to_string(spans.size()) + (spans.size() == 1 ? " field" : " fields") +
                       " found: expected 5 (minute, hour, day of month, month, day of week), or 6 "
                       "with the second first, or one of @yearly, @monthly, @weekly, @daily, "
                       "@hourly, @reboot, @every");
  }
  CronLine out;
  std::array<uint64_t, 6> sets{1};
  std::array<Stars, 6> stars{};
  const size_t first = 6 - spans.size();
  for (size_t i = first; i < 6; ++i) {
    FieldParser parser(line, spans[i - first], static_cast<Field>(i), seed);
    auto set = parser.read(&out.fields, &stars[i]);
    if (!set) return set.error();
    sets[i] = *set;
  }
  CronFields& fields = out.fields;
  fields.seconds = sets[kSecond];
  fields.minutes = sets[kMinute];
  fields.hours = static_cast<uint32_t>(sets[kHour]);
  fields.days = static_cast<uint32_t>(sets[kDayOfMonth]);
  fields.months = static_cast<uint32_t>(sets[kMonth]);
  fields.weekdays = static_cast<uint32_t>(sets[kDayOfWeek]);
  fields.either_day = !stars[kDayOfMonth].first && !stars[kDayOfWeek].first;
  out.fixed_time = !stars[kMinute].any && !stars[kHour].any;
  if (!fields.at_or_after(0)) {
    return refusal(spans[kDayOfMonth - first].begin,
                   "this line can never fire: " + why_never(fields));
  }
  return out;
}

Result<CronLine> parse_every(std::string_view line, const std::vector<Span>& spans) {
  const std::string allowed = "@every takes a duration from " + format_duration(kEveryMinMs) +
                              " to " + format_duration(kEveryMaxMs) + ", such as @every 90s";
  if (spans.size() != 2) {
    return refusal(spans.size() < 2 ? line.size() : spans[2].begin, allowed);
  }
  const auto every = parse_duration(line.substr(spans[1].begin, spans[1].end - spans[1].begin));
  if (!every) return refusal(spans[1].begin, every.error().message);
  if (*every < kEveryMinMs || *every > kEveryMaxMs) {
    return refusal(spans[1].begin, "found " + format_duration(*every) + ": " + allowed);
  }
  CronLine out;
  out.kind = CronLine::Kind::every;
  out.every_ms = *every;
  return out;
}

Result<CronLine> parse_macro(std::string_view line, const std::vector<Span>& spans) {
  const std::string_view name = line.substr(spans[0].begin, spans[0].end - spans[0].begin);
  std::array<std::string_view, kMacros.size()> names;
  for (size_t i = 0; i < kMacros.size(); ++i) {
    names[i] = kMacros[i].name;
    if (!equal_no_case(name, kMacros[i].name)) continue;
    if (kMacros[i].name == "@every") return parse_every(line, spans);
    if (spans.size() > 1) return refusal(spans[1].begin, "nothing may follow " + std::string(name));
    if (kMacros[i].line.empty()) {
      CronLine reboot;
      reboot.kind = CronLine::Kind::reboot;
      return reboot;
    }
    return parse_fields(kMacros[i].line, split(kMacros[i].line, 0), 0);
  }
  const auto meant = nearest_name(name, names);
  return refusal(spans[0].begin,
                 quoted(name, 16) + " is not known" +
                     (meant ? ", did you mean " + std::string(*meant) + "? " : ": ") +
                     "@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @reboot and "
                     "@every DURATION are allowed");
}

}  // namespace

Result<CronLine> parse_cron_line(std::string_view text, uint64_t seed) {
  if (text.size() > kCronLineMax) {
    return refusal(kCronLineMax, "the line is " + std::to_string(text.size()) +
                                     " bytes long: at most " + std::to_string(kCronLineMax) +
                                     " are allowed");
  }
  std::vector<Span> spans = split(text, 0);
  std::string zone_name;
  if (!spans.empty() && text.substr(spans[0].begin).starts_with(kZonePrefix)) {
    const size_t begin = spans[0].begin + kZonePrefix.size();
    zone_name = text.substr(begin, spans[0].end - begin);
    const Status possible = check_zone_name(zone_name);
    if (!possible) return refusal(begin, possible.error().message);
    spans.erase(spans.begin());
  }
  const bool macro = !spans.empty() && text[spans[0].begin] == '@';
  auto line = macro ? parse_macro(text, spans) : parse_fields(text, spans, seed);
  if (line) line->zone_name = std::move(zone_name);
  return line;
}

}  // namespace hf
