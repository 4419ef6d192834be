#include "core/window.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr int kJoinedMax = 64;  // windows that follow each other, looked through for their end

Error refusal(size_t column, const std::string& what) {
  return Error{HF_E_INVALID, "windows, column " + std::to_string(column + 1) + ": " + what};
}
constexpr const char* kAllowed = "; allowed are such as \"22:00-06:00\", \"mon-fri 08:00-18:00\" and \"0 2 * * * for 1h\"";

std::string_view trim(std::string_view text, size_t* column) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1), ++*column;
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

constexpr int kNoTime = -1;
// Minutes since midnight, up to 24:00.
int time_of_day(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos || colon < 1 || colon > 2 || text.size() != colon + 3) return kNoTime;
  int value[2] = {};
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == colon) continue;
    if (!is_digit(text[i])) return kNoTime;
    int& part = value[i < colon ? 0 : 1];
    part = part * 10 + (text[i] - '0');
  }
  if (value[1] > 59 || value[0] * 60 + value[1] > 24 * 60) return kNoTime;
  return value[0] * 60 + value[1];
}

// At the same time each day, on these days. `column` is where they stand, for the error.
Result<CronExpr> daily(int minute, std::string_view days, size_t column) {
  const std::string before = std::to_string(minute % 60) + " " + std::to_string(minute / 60 % 24) + " * * ";
  Result<CronExpr> line = CronExpr::parse(before + std::string(days));
  if (line) return line;
  // "cron line, column 9: ...", of what was put together here.
  constexpr std::string_view kPlace = "cron line, column ";
  const std::string& message = line.error().message;
  const size_t colon = message.find(": ");
  if (!message.starts_with(kPlace) || colon == message.npos) return refusal(column, message);
  const size_t place = static_cast<size_t>(std::atoi(message.c_str() + kPlace.size()));
  return refusal(column + (place > before.size() ? place - 1 - before.size() : 0), message.substr(colon + 2));
}

}  // namespace

Result<Windows::Window> Windows::parse_one(std::string_view text, size_t column) {
  if (const size_t at = text.rfind(" for "); at != text.npos) {
    Result<CronExpr> opens = CronExpr::parse(text.substr(0, at));
    if (!opens) return refusal(column, opens.error().message);
    if (opens->kind() != CronLine::Kind::calendar) return refusal(column, "found " + quoted(text.substr(0, at)) + ": a window opens by the calendar");
    if (!opens->zone_name().empty()) return refusal(column, "found CRON_TZ=: the time zone of windows is in \"tz\"");
    size_t place = column + at + 5;
    const std::string_view length = trim(text.substr(at + 5), &place);
    const Result<int64_t> ms = parse_duration(length);
    if (!ms) return refusal(place, ms.error().message);
    if (Status ok = check_duration("the length of a window", *ms, kWindowMinMs, kWindowMaxMs); !ok) return refusal(place, ok.error().message);
    return Window{std::move(*opens), *ms, false};
  }
  const size_t blank = text.find_last_of(" \t");
  const size_t start = blank == text.npos ? 0 : blank + 1;
  const std::string_view times = text.substr(start);
  const size_t dash = times.find('-');
  const int from = time_of_day(times.substr(0, dash));
  const int to = dash == times.npos ? kNoTime : time_of_day(times.substr(dash + 1));
  if (from == kNoTime || to == kNoTime) return refusal(column + start, "found " + quoted(times) + ", expected HH:MM-HH:MM" + kAllowed);
  if (from == 24 * 60) return refusal(column + start, "24:00 is only an end; the start of the next day is 00:00");
  if (from == to) return refusal(column + start, "it opens and closes at the same time; the whole day is 00:00-24:00");
  size_t days_column = column;
  const std::string_view days = start == 0 ? "*" : trim(text.substr(0, start), &days_column);
  if (const size_t second = days.find_first_of(" \t"); second != days.npos) {
    return refusal(days_column + second + 1, "found " + quoted(days.substr(second + 1)) + ", expected only days before the times" + kAllowed);
  }
  Result<CronExpr> opens = daily(from, days, days_column);
  if (!opens) return opens.error();
  return Window{std::move(*opens), daily(to, "*", 0).value(), from == 0 && to == 24 * 60};
}

Result<Windows> Windows::parse(std::string_view text) {
  Windows all;
  size_t column = 0;
  if (trim(text, &column).empty()) return all;
  if (text.size() > kWindowsTextMax) {
    return Error{HF_E_INVALID, "windows: " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kWindowsTextMax) + " are allowed"};
  }
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(';', start), text.size());
    column = start;
    const std::string_view one = trim(text.substr(start, end - start), &column);
    if (one.empty()) return refusal(column, std::string("found nothing") + kAllowed);
    if (all.windows_.size() == kWindowsMax) return refusal(column, "more than " + std::to_string(kWindowsMax) + " windows");
    Result<Window> window = parse_one(one, column);
    if (!window) return window.error();
    all.windows_.push_back(std::move(*window));
    start = end + 1;
  }
  return all;
}

// Of each window only the last opening counts: what opened before closes no later. Where the zone skips both its times it
// opens and closes at once, that is, not at all.
int64_t Windows::open_until(int64_t wall_ms, const Zone& zone) const {
  int64_t until = wall_ms;
  for (const Window& w : windows_) {
    const std::optional<int64_t> opened = w.opens.previous(wall_ms + 1, zone);
    if (!opened) continue;
    const auto* length = std::get_if<int64_t>(&w.closes);
    until = std::max(until, length != nullptr ? *opened + *length : std::get<CronExpr>(w.closes).next(w.whole_day ? *opened : *opened - 1, zone).value_or(kNever));
  }
  return until;
}

Windows::Span Windows::at(int64_t wall_ms, const Zone& zone) const {
  if (none()) return {true, kNever};
  int64_t until = open_until(wall_ms, zone);
  if (until > wall_ms) {
    for (int n = 0; n < kJoinedMax && until != kNever; ++n) {
      const int64_t further = open_until(until, zone);
      if (further == until) break;
      until = further;
    }
    return {true, until};
  }
  until = kNever;
  for (const Window& w : windows_) until = std::min(until, w.opens.next(wall_ms, zone).value_or(kNever));
  return {false, until};
}

// ---- the gate ---------------------------------------------------------------------------------------------

Status WindowGate::set(const QueueSettings& settings, const ZoneSource& zones) {
  Result<Windows> parsed = Windows::parse(settings.windows.value_or(""));
  if (!parsed) return parsed.error();
  const std::string zone = settings.zone.value_or("UTC");
  Result<std::shared_ptr<const Zone>> found = zones.find(zone);
  if (!found) return Error{HF_E_INVALID, "time zone " + quoted(zone) + ": " + found.error().message};
  windows_ = std::move(*parsed);
  zone_ = std::move(*found);
  waiting_.clear();
  since_ms_ = until_ms_ = 0;
  return ok_status();
}

void WindowGate::restore(const QueueSettings& settings, const ZoneSource& zones) {
  if (Status ok = set(settings, zones); !ok) waiting_ = ok.error().message;
}

bool WindowGate::look(int64_t wall_ms, bool wall_trusted) {
  const bool was = open_;
  if (none()) {
    open_ = true;
    until_ms_ = kNever;
  } else if (!wall_trusted || !waiting_.empty()) {
    open_ = false;
    until_ms_ = waiting_.empty() ? 0 : kNever;
  } else if (wall_ms < since_ms_ || wall_ms >= until_ms_) {
    const Windows::Span span = windows_.at(wall_ms, *zone_);
    open_ = span.open;
    since_ms_ = wall_ms;
    until_ms_ = span.until_ms;
  }
  return std::exchange(looked_, true) && open_ != was;
}

}  // namespace hf
