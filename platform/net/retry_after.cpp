#include "platform/net/retry_after.h"

#include <algorithm>
#include <chrono>

namespace hf {
namespace {

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// -1 if it is not all digits. REQUIRES: at most 9 characters.
int number(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

// -1 if the name is not in the list of three-letter names.
int index_of(std::string_view name, std::string_view names) {
  for (size_t i = 0; i < names.size(); i += 3)
    if (names.substr(i, 3) == name) return static_cast<int>(i / 3);
  return -1;
}

}  // namespace

std::optional<int64_t> parse_http_date(std::string_view value) {
  const std::string_view v = trim(value);
  constexpr std::string_view kShape = "Www, dd Mmm yyyy hh:mm:ss GMT";
  if (v.size() != kShape.size()) return std::nullopt;
  for (const size_t i : {size_t{3}, size_t{4}, size_t{7}, size_t{11}, size_t{16}, size_t{19}, size_t{22}})
    if (v[i] != kShape[i]) return std::nullopt;
  if (v.substr(25) != " GMT") return std::nullopt;
  if (index_of(v.substr(0, 3), "SunMonTueWedThuFriSat") < 0) return std::nullopt;
  const int month = index_of(v.substr(8, 3), "JanFebMarAprMayJunJulAugSepOctNovDec") + 1;
  const int day = number(v.substr(5, 2)), year = number(v.substr(12, 4));
  const int hour = number(v.substr(17, 2)), minute = number(v.substr(20, 2)), second = number(v.substr(23, 2));
  if (month < 1 || day < 1 || year < 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (days * 86400 + hour * 3600 + minute * 60 + second) * 1000;
}

std::optional<int64_t> parse_retry_after(std::string_view value, int64_t wall_now_ms) {
  const std::string_view v = trim(value);
  if (v.empty()) return std::nullopt;
  if (std::all_of(v.begin(), v.end(), is_digit)) {
    if (v.size() > 9) return v.find_first_not_of('0') == std::string_view::npos ? 0 : kRetryAfterMaxMs;
    return std::min(int64_t{number(v)} * 1000, kRetryAfterMaxMs);
  }
  const auto date = parse_http_date(v);
  if (!date || wall_now_ms < 0) return std::nullopt;
  return std::clamp(*date - wall_now_ms, int64_t{0}, kRetryAfterMaxMs);
}

}  // namespace hf
