#include "core/units.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <span>

#include "core/calendar.h"
#include "core/names.h"

namespace hf {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

// From large to small: the order in which a sum must name them.
constexpr std::array<Unit, 6> kDurationUnits = {{{"w", 7 * 86400000LL},
                                                 {"d", 86400000LL},
                                                 {"h", 3600000LL},
                                                 {"m", 60000LL},
                                                 {"s", 1000LL},
                                                 {"ms", 1LL}}};
// Binary before decimal: the order in which format_size prefers them.
constexpr std::array<Unit, 9> kSizeUnits = {{{"TiB", 1LL << 40},
                                             {"GiB", 1LL << 30},
                                             {"MiB", 1LL << 20},
                                             {"KiB", 1LL << 10},
                                             {"TB", 1000000000000LL},
                                             {"GB", 1000000000LL},
                                             {"MB", 1000000LL},
                                             {"kB", 1000LL},
                                             {"B", 1LL}}};

constexpr std::string_view kDurationAllowed =
    "expected a number and one of ms, s, m, h, d, w, such as 30s or 1h30m";
constexpr std::string_view kSizeAllowed =
    "expected a number and one of B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, such as 64KiB";
constexpr std::string_view kTimeAllowed =
    "expected an RFC 3339 time with its offset, such as 2026-11-25T02:30:00Z or "
    "2026-11-25T03:30:00+01:00";

// `"5 minutes" is not a duration: expected ..., such as 30s or 1h30m (found ...)`
Error refusal(std::string_view text, std::string_view what, std::string_view allowed,
              std::string_view found) {
  std::string message = quoted(text) + " is not " + std::string(what) + ": " + std::string(allowed);
  message += " (" + std::string(found) + ")";
  return Error{HF_E_INVALID, std::move(message)};
}

std::string found_at(std::string_view text, size_t position) {
  if (position >= text.size()) return "it ends too early";
  return "found " + quoted(text.substr(position), 16) + " at position " +
         std::to_string(position + 1);
}

bool multiply_add(int64_t a, int64_t b, int64_t* sum) {
  int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(*sum, product, sum);
}

// Reads numbers with units from the start to the end of `text`.
Result<int64_t> parse_quantity(std::string_view text, std::string_view what,
                               std::string_view allowed, std::span<const Unit> units,
                               bool sum_allowed) {
  const auto refuse = [&](std::string_view found) { return refusal(text, what, allowed, found); };
  if (text.empty()) return refuse("found nothing");
  int64_t total = 0;
  size_t position = 0;
  size_t first_unit = 0;  // the units before this one are used up
  while (position < text.size()) {
    int64_t number = 0;
    const char* const begin = text.data() + position;
    const char* const end = text.data() + text.size();
    if (!is_digit(*begin)) return refuse(found_at(text, position));
    const auto [after, failure] = std::from_chars(begin, end, number);
    if (failure != std::errc()) return refuse("the number is too large");
    position += static_cast<size_t>(after - begin);
    size_t unit_end = position;
    while (unit_end < text.size() && !is_digit(text[unit_end])) ++unit_end;
    const std::string_view name = text.substr(position, unit_end - position);
    if (name.empty()) return refuse("the number " + quoted({begin, after}) + " has no unit");
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const Unit& candidate) { return candidate.name == name; });
    if (unit == units.end()) return refuse(found_at(text, position));
    const auto index = static_cast<size_t>(unit - units.begin());
    if (index < first_unit) {
      return refuse(
          quoted(name) + " at position " + std::to_string(position + 1) +
          (sum_allowed ? " must come before the smaller unit, and once" : " is one too many"));
    }
    first_unit = sum_allowed ? index + 1 : units.size();
    if (!multiply_add(number, unit->factor, &total)) return refuse("the number is too large");
    position = unit_end;
  }
  return total;
}

void append_padded(std::string* out, int64_t value, int width) {
  const std::string digits = std::to_string(value);
  out->append(static_cast<size_t>(std::max(0, width - static_cast<int>(digits.size()))), '0');
  *out += digits;
}

// Reads an RFC 3339 date-time field by field; remembers where it stopped.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : text_(text) {}

  // Exactly `width` digits, lo..hi.
  Result<int> number(std::string_view name, size_t width, int lo, int hi) {
    const size_t start = position_;
    int value = 0;
    for (size_t i = 0; i < width; ++i, ++position_) {
      if (position_ >= text_.size() || !is_digit(text_[position_])) return unexpected();
      value = value * 10 + (text_[position_] - '0');
    }
    if (value < lo || value > hi) {
      return refuse("the " + std::string(name) + " " + std::string(text_.substr(start, width)) +
                    " at position " + std::to_string(start + 1) + " is not in " +
                    std::to_string(lo) + ".." + std::to_string(hi));
    }
    return value;
  }
  // One of `allowed`; which one is returned.
  Result<char> one_of(std::string_view allowed) {
    if (position_ >= text_.size() || allowed.find(text_[position_]) == std::string_view::npos) {
      return unexpected();
    }
    return text_[position_++];
  }
  bool next_is(char c) const { return position_ < text_.size() && text_[position_] == c; }
  bool next_is_digit() const { return position_ < text_.size() && is_digit(text_[position_]); }
  bool at_end() const { return position_ == text_.size(); }
  Error unexpected() const { return refuse(found_at(text_, position_)); }
  Error refuse(std::string_view found) const {
    return refusal(text_, "a time", kTimeAllowed, found);
  }

 private:
  std::string_view text_;
  size_t position_ = 0;
};

// The value of `expr` in `name`, or the error returned.
#define HF_READ(name, expr)                     \
  const auto name##_read = (expr);              \
  if (!name##_read) return name##_read.error(); \
  const auto name = name##_read.value()

}  // namespace

Result<int64_t> parse_duration(std::string_view text) {
  return parse_quantity(text, "a duration", kDurationAllowed, kDurationUnits, true);
}

Result<int64_t> parse_size(std::string_view text) {
  return parse_quantity(text, "a size", kSizeAllowed, kSizeUnits, false);
}

std::string format_duration(int64_t ms) {
  assert(ms >= 0);
  if (ms <= 0) return "0s";
  std::string best;
  for (size_t first = 0; first < kDurationUnits.size(); ++first) {
    std::string text;
    int64_t rest = ms;
    for (size_t i = first; i < kDurationUnits.size(); ++i) {
      const int64_t count = rest / kDurationUnits[i].factor;
      if (count == 0) continue;
      text += std::to_string(count) + std::string(kDurationUnits[i].name);
      rest -= count * kDurationUnits[i].factor;
    }
    if (best.empty() || text.size() < best.size()) best = std::move(text);
  }
  return best;
}

std::string format_duration_human(int64_t ms) {
  if (ms == 0) return "0s";
  // The smallest int64_t has no positive counterpart; one millisecond of 292 million years is no
  // matter.
  if (ms < 0)
    return "-" + format_duration_human(ms == std::numeric_limits<int64_t>::min()
                                           ? std::numeric_limits<int64_t>::max()
                                           : -ms);
  for (size_t i = 1; i < kDurationUnits.size(); ++i) {  // from days on: "9d", not "1w 2d"
    const int64_t count = ms / kDurationUnits[i].factor;
    if (count == 0) continue;
    std::string text = std::to_string(count) + std::string(kDurationUnits[i].name);
    if (i + 2 < kDurationUnits.size()) {  // "1s 500ms" says more than anyone reads
      const int64_t next = ms % kDurationUnits[i].factor / kDurationUnits[i + 1].factor;
      if (next != 0) text += " " + std::to_string(next) + std::string(kDurationUnits[i + 1].name);
    }
    return text;
  }
  return "0s";
}

std::string format_size(int64_t bytes) {
  assert(bytes >= 0);
  if (bytes <= 0) return "0B";
  std::string best;
  for (const Unit& unit : kSizeUnits) {
    if (bytes % unit.factor != 0) continue;
    std::string text = std::to_string(bytes / unit.factor) + std::string(unit.name);
    if (best.empty() || text.size() < best.size()) best = std::move(text);
  }
  return best;
}

std::string format_size_human(int64_t bytes) {
  for (size_t i = 0; i < 4; ++i) {  // TiB, GiB, MiB, KiB
    const Unit& unit = kSizeUnits[i];
    if (bytes < unit.factor) continue;
    const int64_t whole = bytes / unit.factor;
    const int64_t tenth = bytes % unit.factor * 10 / unit.factor;
    return std::to_string(whole) + "." + std::to_string(tenth) + " " + std::string(unit.name);
  }
  return std::to_string(bytes) + " B";
}

Result<int64_t> parse_time(std::string_view text) {
  TimeReader in(text);
  CivilTime time;
  HF_READ(year, in.number("year", 4, kMinYear, kMaxYear));
  HF_TRY(in.one_of("-"));
  HF_READ(month, in.number("month", 2, 1, 12));
  HF_TRY(in.one_of("-"));
  HF_READ(day, in.number("day", 2, 1, last_day_of_month(year, month)));
  if (in.at_end()) return in.refuse("it has no time of day");
  HF_TRY(in.one_of("Tt"));
  HF_READ(hour, in.number("hour", 2, 0, 23));
  HF_TRY(in.one_of(":"));
  HF_READ(minute, in.number("minute", 2, 0, 59));
  HF_TRY(in.one_of(":"));
  HF_READ(second, in.number("second", 2, 0, 60));
  int64_t ms = 0;
  if (in.next_is('.')) {
    HF_TRY(in.one_of("."));
    int64_t weight = 100;
    int digits = 0;
    for (; digits == 0 || in.next_is_digit(); ++digits, weight /= 10) {
      HF_READ(digit, in.number("fraction", 1, 0, 9));
      ms += digit * weight;
    }
    if (digits > 9) return in.refuse("the second has more than 9 digits after the point");
  }
  if (in.at_end()) return in.refuse("it has no offset: Z is UTC");
  HF_READ(sign, in.one_of("Zz+-"));
  int64_t offset_s = 0;
  if (sign == '+' || sign == '-') {
    HF_READ(offset_hour, in.number("offset's hour", 2, 0, 23));
    HF_TRY(in.one_of(":"));
    HF_READ(offset_minute, in.number("offset's minute", 2, 0, 59));
    offset_s = (offset_hour * 3600 + offset_minute * 60) * (sign == '-' ? -1 : 1);
  }
  if (!in.at_end()) return in.unexpected();
  const int64_t unix_s = civil_seconds({{year, month, day}, hour, minute, second}) - offset_s;
  if (second == 60) {
    if (unix_s % kSecondsPerDay != 0) return in.refuse("second 60 is allowed at 23:59:60 UTC only");
    ms = 0;
  }
  const int64_t unix_ms = unix_s * 1000 + ms;
  if (unix_ms < kMinUnixMs || unix_ms > kMaxUnixMs) {
    return in.refuse("in UTC it is not in the years 1970 to 9999");
  }
  return unix_ms;
}

std::string format_time_at_offset(int64_t unix_ms, int32_t offset_s) {
  unix_ms = std::clamp(unix_ms, kMinUnixMs, kMaxUnixMs);
  const int32_t offset_min = offset_s / 60;
  const int64_t ms = unix_ms % 1000;
  const CivilTime time = civil_from_seconds(unix_ms / 1000 + int64_t{offset_min} * 60);
  std::string out;
  append_padded(&out, time.date.year, 4);
  for (const auto& [mark, value] :
       {std::pair{'-', time.date.month}, std::pair{'-', time.date.day}, std::pair{'T', time.hour},
        std::pair{':', time.minute}, std::pair{':', time.second}}) {
    out += mark;
    append_padded(&out, value, 2);
  }
  if (ms != 0) {
    out += '.';
    append_padded(&out, ms, 3);
  }
  if (offset_min == 0) return out + "Z";
  const int32_t distance = offset_min < 0 ? -offset_min : offset_min;
  out += offset_min < 0 ? '-' : '+';
  append_padded(&out, distance / 60, 2);
  out += ':';
  append_padded(&out, distance % 60, 2);
  return out;
}

std::string format_time(int64_t unix_ms) {
  return format_time_at_offset(unix_ms, 0);
}

Status check_duration(std::string_view field, int64_t ms, int64_t lo, int64_t hi) {
  if (ms >= lo && ms <= hi) return ok_status();
  const std::string found = ms < 0 ? std::to_string(ms) + " ms" : format_duration(ms);
  return Error{HF_E_INVALID, std::string(field) + " is " + found + "; allowed is " + format_duration(lo) + " to " + format_duration(hi)};
}

Status check_range(std::string_view field, int64_t value, int64_t lo, int64_t hi) {
  if (value >= lo && value <= hi) return ok_status();
  return Error{HF_E_INVALID, std::string(field) + " is " + std::to_string(value) + "; allowed is " +
                                 std::to_string(lo) + " to " + std::to_string(hi)};
}

}  // namespace hf
