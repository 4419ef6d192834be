#include "apps/simulate_view.h"

#include <cstdio>
#include <map>
#include <set>
#include <tuple>

#include "core/units.h"
#include "platform/json_text.h"

namespace hf {
namespace {

using Kind = Happening::Kind;

constexpr size_t kSchedulesShown = 50;  // of the summary for people

struct Word {
  const char* event;  // of --json
  const char* text;
  Colour colour = Colour::none;
};

Word word_of(Kind kind) {
  switch (kind) {
    case Kind::power_off: return {"power_off", "power off", Colour::red};
    case Kind::power_on: return {"power_on", "power on", Colour::green};
    case Kind::suspended: return {"suspended", "suspended", Colour::yellow};
    case Kind::resumed: return {"resumed", "resumed", Colour::green};
    case Kind::clock_lost: return {"clock_lost", "clock lost", Colour::red};
    case Kind::clock_right: return {"clock_right", "clock right", Colour::green};
    case Kind::clock_set: return {"clock_set", "clock set", Colour::yellow};
    case Kind::woken: return {"wake_up", "wake-up", Colour::dim};
    case Kind::change: break;
  }
  return {"", ""};
}

// Of what the engine tells.
Word word_of(const Transition& change, bool made_up) {
  switch (change.change) {
    case Change::fired:
      if (change.id == 0) return {"skipped", "skipped", Colour::yellow};
      return made_up ? Word{"made_up", "made up", Colour::cyan} : Word{"fired", "fires"};
    case Change::recovered: return {"recovered", "put back", Colour::yellow};
    case Change::died: return {"died", "dead", Colour::red};
    case Change::expired: case Change::displaced: return {change_name(change.change), change_name(change.change), Colour::red};
    case Change::schedule_paused: return {"schedule_paused", "paused itself", Colour::red};
    case Change::window_opened: return {"window_opened", "opens", Colour::green};
    case Change::window_closed: return {"window_closed", "closes", Colour::dim};
    case Change::safe_mode: return {"safe_mode", "safe mode", Colour::red};
    case Change::safe_mode_over: return {"safe_mode_over", "safe mode over", Colour::green};
    default: return {change_name(change.change), change_name(change.change), Colour::dim};
  }
}
Word word_of(const Happening& happening) {
  return happening.change != nullptr ? word_of(*happening.change, happening.made_up) : word_of(happening.kind);
}

// What is about times, and not the plain life of a job.
bool is_told(Change change) {
  switch (change) {
    case Change::fired: case Change::recovered: case Change::died: case Change::cancelled: case Change::expired: case Change::displaced:
    case Change::schedule_paused: case Change::safe_mode: case Change::safe_mode_over:
      return true;
    default: return is_of_window(change);
  }
}

std::string rounded(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

std::string signed_duration(int64_t ms) {
  return (ms < 0 ? "-" : "+") + format_duration(ms < 0 ? -ms : ms);
}

// What it says behind "NAME: skipped: ".
std::string reason_of(const std::string& detail) {
  constexpr std::string_view kSkipped = ": skipped: ";
  const size_t at = detail.find(kSkipped);
  return at == detail.npos ? detail : detail.substr(at + kSkipped.size());
}

bool is_off(const Happening& happening) {
  const int64_t off = happening.clock_ms - happening.at_ms;
  return off >= 1000 || off <= -1000;
}

}  // namespace

SimulationView::SimulationView(const Session& session, SimulationShown shown)
    : session_(session),
      shown_(std::move(shown)),
      table_({{"TIME"}, {"ITS CLOCK"}, {"UP", Table::Align::right}, {"WHAT"}, {"SCHEDULE"}, {"JOB", Table::Align::right}, {"NOTE"}}) {}

bool SimulationView::wanted(const Happening& happening) const {
  if (!shown_.lines) return false;
  if (happening.kind == Kind::woken) return shown_.wakeups;
  return happening.change == nullptr || shown_.jobs || is_told(happening.change->change);
}

void SimulationView::add(const Happening& happening) {
  if (!wanted(happening)) return;
  if (lines_ == shown_.limit) {
    ++left_out_;
    return;
  }
  ++lines_;
  if (session_.json) {
    write_json(happening);
  } else {
    add_row(happening);
  }
}

// "Sun 2026-10-25 02:30:00 CEST"
std::string SimulationView::local(int64_t ms) const {
  const LocalTime local = shown_.zone->local(floor_div(ms, 1000));
  const CivilTime& t = local.civil;
  char text[48];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d ", t.date.year, t.date.month, t.date.day, t.hour, t.minute, t.second);
  return weekday_name(days_from_civil(t.date)) + " " + text + std::string(local.abbreviation);
}

std::string SimulationView::note(const Happening& happening) const {
  switch (happening.kind) {
    case Kind::power_off:
    case Kind::suspended:
    case Kind::clock_lost: return "for " + format_duration(happening.length_ms);
    case Kind::clock_set: return "by " + signed_duration(happening.length_ms);
    case Kind::change: break;
    default: return "";
  }
  const Transition& change = *happening.change;
  if (is_of_window(change.change)) return "queue " + change.queue;
  if (change.change != Change::fired) {
    if (change.detail.empty() && happening.schedule != nullptr) return happening.schedule->job.type;
    return change.detail;
  }
  if (change.id == 0) return reason_of(change.detail);
  std::string text = happening.schedule != nullptr ? happening.schedule->job.type : "";
  if (happening.planned_ms != 0 && floor_div(happening.planned_ms, 1000) != floor_div(happening.clock_ms, 1000)) text += ", of " + local(happening.planned_ms);
  return text;
}

void SimulationView::add_row(const Happening& happening) {
  const Word word = word_of(happening);
  const JobId job = happening.change != nullptr ? happening.change->id : 0;
  table_.add({local(happening.at_ms),
              is_off(happening) ? local(happening.clock_ms) : "",
              format_duration_human(happening.uptime_ms / 1000 * 1000),
              {word.text, word.colour},
              happening.schedule != nullptr ? happening.schedule->name : "",
              job != 0 ? std::to_string(job) : "",
              note(happening)});
}

void SimulationView::write_json(const Happening& happening) const {
  JsonObject json;
  json["event"] = word_of(happening).event;
  json["time"] = format_time(happening.at_ms);
  json["local"] = format_time_at_offset(happening.at_ms, shown_.zone->local(floor_div(happening.at_ms, 1000)).offset_s);
  if (is_off(happening)) json["clock"] = format_time(happening.clock_ms);
  json["uptime_ms"] = happening.uptime_ms;
  if (happening.schedule != nullptr) json["schedule"] = happening.schedule->name;
  if (happening.kind == Kind::clock_set) json["by_ms"] = happening.length_ms;
  else if (happening.length_ms != 0) json["for_ms"] = happening.length_ms;
  if (happening.change != nullptr) {
    const Transition& change = *happening.change;
    if (change.id != 0) json["job"] = change.id;
    if (change.id == 0 && !change.queue.empty()) json["queue"] = change.queue.text();
    if (happening.schedule != nullptr) json["type"] = happening.schedule->job.type;
    if (happening.planned_ms != 0) json["planned"] = format_time(happening.planned_ms);
    if (change.change == Change::fired && change.id == 0) json["why"] = reason_of(change.detail);
    else if (change.change != Change::fired && !change.detail.empty()) json["why"] = change.detail;
  }
  session_.print(json.text() + "\n");
}

// ---- the summary --------------------------------------------------------------------------------------------

double SimulationView::a_day(int64_t count) const {
  return static_cast<double>(count) * 86400000.0 / static_cast<double>(shown_.to_ms - shown_.from_ms);
}

void SimulationView::print(const Tally& tally, const std::vector<ScheduleInfo>& schedules) {
  if (session_.json) return print_json_summary(tally, schedules);
  if (!table_.empty()) session_.print(table_.text(session_.out) + "\n");
  print_summary(tally, schedules);
}

void SimulationView::print_summary(const Tally& tally, const std::vector<ScheduleInfo>& schedules) const {
  const Tally::Count& total = tally.total;
  const auto line = [&](const std::string& name, const std::string& text) {
    session_.print(session_.out.paint(name, Colour::dim) + std::string(12 - name.size(), ' ') + clean(text) + "\n");
  };
  line("device", shown_.device + ", for " + format_duration_human(shown_.to_ms - shown_.from_ms) + " from " + local(shown_.from_ms));
  line("firings", std::to_string(total.fired) + (total.made_up != 0 ? ", " + std::to_string(total.made_up) + " of them made up for" : "") +
                      (total.skipped != 0 ? "; " + std::to_string(total.skipped) + " skipped" : ""));
  line("wake-ups", std::to_string(total.woken) + ", " + rounded(a_day(total.woken)) + " a day" +
                       (tally.woken_for_none != 0 ? "; " + std::to_string(tally.woken_for_none) + " without a firing (retention, retries, timeouts)" : ""));
  if (tally.busiest != 0) line("busiest", local(tally.busiest_minute_ms) + ", " + std::to_string(tally.busiest) + (tally.busiest == 1 ? " firing" : " firings") + " in this minute");

  std::map<std::string, std::string> waiting;
  for (const ScheduleInfo& info : schedules) waiting[info.spec.name] = info.waiting;
  // What costs most comes first.
  using Cost = std::tuple<int64_t, int64_t, int64_t, std::string>;
  std::set<Cost> rows;
  for (const auto& [name, count] : tally.by_schedule()) rows.insert({-count.alone, -count.woken, -count.fired, name});
  Table table({{"SCHEDULE"},
               {"FIRED", Table::Align::right},
               {"MADE UP", Table::Align::right},
               {"SKIPPED", Table::Align::right},
               {"WAKE-UPS", Table::Align::right},
               {"ALONE", Table::Align::right},
               {"A DAY", Table::Align::right},
               {"AT THE END"}});
  const auto number = [](int64_t count) { return count != 0 ? std::to_string(count) : std::string(); };
  size_t shown = 0;
  for (const Cost& row : rows) {
    if (shown++ == kSchedulesShown) break;
    const std::string& name = std::get<3>(row);
    const Tally::Count& count = tally.by_schedule().at(name);
    table.add({name, std::to_string(count.fired), number(count.made_up), number(count.skipped), std::to_string(count.woken), std::to_string(count.alone),
               rounded(a_day(count.woken)), {waiting[name], Colour::yellow}});
  }
  if (!table.empty()) session_.print("\n" + table.text(session_.out));
  if (rows.size() > kSchedulesShown) {
    session_.print("and " + std::to_string(rows.size() - kSchedulesShown) + " more that cost less; --json has all\n");
  }
}

void SimulationView::print_json_summary(const Tally& tally, const std::vector<ScheduleInfo>& schedules) const {
  std::map<std::string, std::string> waiting;
  for (const ScheduleInfo& info : schedules) waiting[info.spec.name] = info.waiting;
  JsonArray list;
  for (const auto& [name, count] : tally.by_schedule()) {
    JsonObject one;
    one["name"] = name;
    one["fired"] = count.fired;
    one["made_up"] = count.made_up;
    one["skipped"] = count.skipped;
    one["wake_ups"] = count.woken;
    one["wake_ups_alone"] = count.alone;
    if (!waiting[name].empty()) one["waiting"] = waiting[name];
    list.push_back(one);
  }
  JsonObject json;
  json["event"] = "summary";
  json["device"] = shown_.device;
  json["from"] = format_time(shown_.from_ms);
  json["to"] = format_time(shown_.to_ms);
  json["fired"] = tally.total.fired;
  json["made_up"] = tally.total.made_up;
  json["skipped"] = tally.total.skipped;
  json["wake_ups"] = tally.total.woken;
  json["wake_ups_without_firing"] = tally.woken_for_none;
  if (tally.busiest != 0) {
    JsonObject busiest;
    busiest["time"] = format_time(tally.busiest_minute_ms);
    busiest["fired"] = tally.busiest;
    json["busiest_minute"] = busiest;
  }
  json["lines_left_out"] = left_out_;
  json["schedules"] = list;
  session_.print(json.text() + "\n");
}

}  // namespace hf
