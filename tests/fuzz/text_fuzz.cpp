// The small formats at the edges: durations, sizes, times, names, request targets, log lines. What
// parses is written and parsed the same.
#include <algorithm>
#include <cstdio>

#include "core/calendar.h"
#include "core/units.h"
#include "platform/log.h"
#include "platform/server_message.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

// No control character: a terminal shows it, and it stays a line.
bool one_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void check_units(std::string_view text) {
  if (const auto ms = parse_duration(text)) {
    must(*ms >= 0 && *parse_duration(format_duration(*ms)) == *ms);
    must(format_duration(*ms).size() <= text.size() + 1);
    must(!format_duration_human(*ms).empty() && !format_duration_human(-*ms).empty());
  } else {
    must_be_told(ms.error());
  }
  if (const auto bytes = parse_size(text)) {
    must(*bytes >= 0 && *parse_size(format_size(*bytes)) == *bytes);
    must(format_size(*bytes).size() <= text.size());
    must(!format_size_human(*bytes).empty());
  } else {
    must_be_told(bytes.error());
  }
  if (const auto time = parse_time(text)) {
    must(*time >= kMinUnixMs && *time <= kMaxUnixMs && *parse_time(format_time(*time)) == *time);
    for (const int32_t offset : {-45296, 0, 3600, 20700}) {
      must(parse_time(format_time_at_offset(*time, offset)).ok() == false ||
           *parse_time(format_time_at_offset(*time, offset)) == *time);
    }
  } else {
    must_be_told(time.error());
  }
}

void check_names(std::string_view text) {
  const std::string shown = quoted(text);
  must(valid_utf8(shown) && shown.size() >= 2 && shown.size() <= 48 * 4 + 8);
  must(one_line(shown));
  for (const size_t room : {size_t{0}, size_t{1}, size_t{5}, text.size()}) {
    const std::string_view cut = cut_utf8(text, room);
    must(cut.size() <= room && text.starts_with(cut));
    if (valid_utf8(text)) must(valid_utf8(cut));
  }
  const auto name = check_name("queue", text);
  if (!name) must_be_told(name.error());
  must(!name || (text.size() <= HF_NAME_MAX && valid_utf8(text)));
  constexpr std::string_view kKnown[] = {"concurrency", "timeout", "max_attempts", "default"};
  for (const auto near : nearest_names(text, kKnown, 2)) must(near.size() <= text.size() + 3);
}

std::string escaped(std::string_view text) {
  std::string out;
  char hex[4];
  for (const char c : text) {
    snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned char>(c));
    out += hex;
  }
  return out;
}

void check_target(std::string_view text) {
  const auto decoded = percent_decode(text);
  must(!decoded || *percent_decode(escaped(*decoded)) == *decoded);
  must(!decoded || decoded->find('\0') == std::string::npos);
  ServerRequest request, again;
  if (const auto ok = parse_target(text, request); !ok) return must_be_told(ok.error());
  std::string target;
  for (const std::string& segment : request.path) target += "/" + escaped(segment);
  if (target.empty()) target = "/";
  char mark = '?';
  for (const auto& [name, value] : request.query) {
    target += mark + escaped(name) + "=" + escaped(value);
    mark = '&';
  }
  must(parse_target(target, again).ok());
  must(again.path == request.path && again.query == request.query);
}

void check_lines(std::string_view text) {
  const std::string line = format_log_line("event", {{"value", text}, {"password", text}, {"n", 1}});
  must(valid_utf8(line) && one_line(line) && line.size() < 4 * kLogValueMax + 64);
  must(line.find("password=<hidden>") != std::string::npos);
  const ServerResponse error = ServerResponse::error(400, "invalid", text);
  must(valid_utf8(error.body) && error.status == 400);
}

}  // namespace

HF_FUZZ(input) {
  const std::string_view text = input.rest();
  check_units(text);
  check_names(text);
  check_target(text);
  check_lines(text);
}
