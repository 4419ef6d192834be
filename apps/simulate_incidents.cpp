#include "apps/simulate_incidents.h"

#include <map>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

Error bad(const std::string& place, const std::string& what) { return Error{HF_E_INVALID, place + ": " + what}; }

// A time, or a duration after `origin_ms`, which `origin` names.
Result<int64_t> moment(std::string_view text, int64_t origin_ms, const char* origin) {
  if (const auto after = parse_duration(text)) {
    if (*after <= kMaxUnixMs - origin_ms) return origin_ms + *after;
    return Error{HF_E_INVALID, quoted(text) + " is beyond the year 9999"};
  }
  const auto time = parse_time(text);
  if (time) return *time;
  // Whoever wrote a date wants to know what is wrong with it.
  if (text.find(':') != text.npos) return time.error();
  return Error{HF_E_INVALID, quoted(text) + " is neither a time, such as 2026-12-01T03:00:00Z, nor a duration after " + origin + ", such as 8h"};
}

// +1h, -90s, or a time.
Status read_setting(std::string_view text, Incident* incident) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    const auto by = parse_duration(text.substr(1));
    if (!by) return by.error();
    if (*by > kMaxUnixMs) return Error{HF_E_INVALID, quoted(text) + " is beyond the year 9999"};
    incident->by_ms = text[0] == '-' ? -*by : *by;
    const int64_t shows = incident->at_ms + incident->by_ms;
    if (shows < kMinUnixMs || shows > kMaxUnixMs) return Error{HF_E_INVALID, quoted(text) + ": the clock knows the years 1970 to 9999"};
    return ok_status();
  }
  const auto to = parse_time(text);
  if (!to) return Error{HF_E_INVALID, quoted(text) + " is neither a step, such as +1h or -90s, nor a time, such as 2026-12-01T03:00:00Z"};
  incident->to_ms = *to;
  return ok_status();
}

std::string span_of(const Incident& incident) {
  return std::string(option_of(incident.kind)) + " " + format_time(incident.at_ms) + "/" + format_duration(incident.end_ms - incident.at_ms);
}

}  // namespace

const char* option_of(Incident::Kind kind) {
  switch (kind) {
    case Incident::Kind::off: return "--outage";
    case Incident::Kind::suspended: return "--suspend";
    case Incident::Kind::clock_lost: return "--clock-lost";
    case Incident::Kind::clock_set: return "--set-clock";
  }
  return "";
}

Result<Incident> parse_incident(Incident::Kind kind, std::string_view text, int64_t from_ms, int64_t to_ms) {
  const std::string place = std::string(option_of(kind)) + " " + quoted(text, 80);
  const bool set = kind == Incident::Kind::clock_set;
  const size_t slash = text.find('/');
  if (slash == text.npos) {
    return bad(place, set ? "expected START/STEP, such as 2d/+1h or 2026-12-01T03:00:00Z/-90s" : "expected START/LENGTH, such as 2d/8h or 2026-12-01T03:00:00Z/8h");
  }
  Incident incident;
  incident.kind = kind;
  const auto at = moment(text.substr(0, slash), from_ms, "the beginning");
  if (!at) return bad(place, at.error().message);
  incident.at_ms = *at;
  if (incident.at_ms < from_ms || incident.at_ms >= to_ms) {
    return bad(place, format_time(incident.at_ms) + " is not in what is simulated: " + format_time(from_ms) + " to " + format_time(to_ms));
  }
  const std::string_view second = text.substr(slash + 1);
  if (set) {
    if (const Status read = read_setting(second, &incident); !read) return bad(place, read.error().message);
    return incident;
  }
  const auto end = moment(second, incident.at_ms, "that");
  if (!end) return bad(place, end.error().message);
  if (*end <= incident.at_ms) return bad(place, "it ends at " + format_time(*end) + ", which is not after its start");
  incident.end_ms = *end;
  return incident;
}

Status check_incidents(const std::vector<Incident>& all) {
  std::multimap<int64_t, const Incident*> in_order;
  for (const Incident& incident : all) in_order.emplace(incident.at_ms, &incident);
  const Incident* last_still = nullptr;  // off or suspended
  const Incident* last_lost = nullptr;
  for (const auto& [at_ms, next] : in_order) {
    const Incident& incident = *next;
    if (incident.kind == Incident::Kind::clock_set) continue;
    const Incident*& last = incident.kind == Incident::Kind::clock_lost ? last_lost : last_still;
    if (last != nullptr && incident.at_ms < last->end_ms) {
      return Error{HF_E_INVALID, span_of(incident) + " begins before " + span_of(*last) + " is over"};
    }
    last = &incident;
  }
  return ok_status();
}

}  // namespace hf
