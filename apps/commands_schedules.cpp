// schedule list, show, put, rm, pause, resume, run, backfill, next
#include <algorithm>
#include <optional>

#include "apps/command.h"
#include "apps/job_view.h"
#include "core/cron.h"
#include "core/names.h"
#include "core/types.h"
#include "core/units.h"
#include "platform/clock.h"
#include "platform/json_choices.h"
#include "platform/zones.h"

namespace hf {
namespace {

std::string schedule_path(const std::string& name, const char* verb = "") {
  return "/v1/schedules/" + percent_encode(name) + verb;
}

std::string state_of(const Json& schedule) {
  if (schedule.value("paused", false)) return "paused";
  return schedule.contains("waiting") ? "waiting: " + schedule.value("waiting", "") : "on";
}

std::string schedule_table(const Json& schedules, const Terminal& terminal, int64_t now_ms) {
  if (schedules.empty()) return "no schedules\n";
  Table table({{"NAME"},
               {"CRON"},
               {"ZONE"},
               {"TYPE"},
               {"NEXT"},
               {"LAST"},
               {"FIRED", Table::Align::right},
               {"STATE"}});
  for (const Json& schedule : schedules) {
    const int64_t next = time_of(schedule, "next");
    const int64_t last = time_of(schedule, "last");
    const std::string state = state_of(schedule);
    table.add({schedule.value("name", ""),
               schedule.value("cron", ""),
               schedule.value("tz", ""),
               schedule.value("type", ""),
               next ? time_in_words(next, now_ms) : "-",
               last ? time_in_words(last, now_ms) : "-",
               std::to_string(schedule.value("fired", int64_t{0})),
               {state, state == "on" ? Colour::green : Colour::yellow}});
  }
  return table.text(terminal);
}

std::string schedule_line(const Json& schedule, int64_t now_ms) {
  const int64_t next = time_of(schedule, "next");
  const std::string state = state_of(schedule);
  std::string text = "schedule " + schedule.value("name", "") + " is " + state;
  if (next && state == "on")
    text += ", next " + schedule.value("next", "") + " (" + time_in_words(next, now_ms) + ")";
  return clean(text) + "\n";
}

struct ListSchedules : Command {
  void describe(CLI::App& app) override { app.footer("Example:\n  holdfast schedule list"); }
  void run(Session& session) override {
    const auto answer = session.ask("GET", "/v1/schedules");
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(schedule_table((*answer)["schedules"], session.out, wall_ms()));
  }
};

struct PutSchedule : Command {
  std::string name, cron, type, payload, tz, dst, jitter, splay, catch_up, window, overlap, start, end, slack;
  int64_t catch_up_max = 0, limit = 0, pause_after_failures = 0;
  JobOptions options;
  void describe(CLI::App& app) override {
    app.add_option("NAME", name, "its name; one that exists is replaced")->required();
    app.add_option("CRON", cron, "when, in quotes: '30 2 * * 1-5', '@daily', '@every 90s'")
        ->required();
    app.add_option("TYPE", type, "what runs its jobs")->required();
    app.add_option("PAYLOAD", payload, "of each job");
    app.add_option("--tz", tz, "time zone, such as Europe/Berlin [UTC]")->option_text("ZONE");
    app.add_option("--dst", dst, "a time that is skipped or comes twice: vixie, skip, both [vixie]")
        ->option_text("HOW");
    app.add_option("--jitter", jitter, "each firing is moved by a random part of it [0s]")
        ->option_text("10m");
    app.add_option("--splay", splay, "all firings of this device by one and the same part of it [0s]")
        ->option_text("1h");
    app.add_option("--catch-up", catch_up, "firings missed while off: once, skip, all [once]")
        ->option_text("HOW");
    app.add_option("--catch-up-window", window, "but those missed longer ago [none]")
        ->option_text("1d");
    app.add_option("--catch-up-max", catch_up_max, "of all: the latest so many, 1 to 1000 [100]")
        ->option_text("N")
        ->check(CLI::Range(1, kCatchUpMax));
    app.add_option("--overlap", overlap, "the last job is not finished: skip, queue, cancel [skip]")
        ->option_text("HOW");
    app.add_option("--start", start, "no firing before [none]")->option_text("TIME");
    app.add_option("--end", end, "no firing from then on [none]")->option_text("TIME");
    app.add_option("--slack", slack, "a firing may be so late, to share a wake-up [0s]")
        ->option_text("30s");
    app.add_option("--limit", limit, "it ends after so many firings [none]")
        ->option_text("N")
        ->check(CLI::Range(int64_t{1}, kScheduleLimitMax));
    app.add_option("--pause-after-failures", pause_after_failures,
                   "it pauses itself after so many dead jobs in a row, 1 to 1000 [never]")
        ->option_text("N")
        ->check(CLI::Range(1, kPauseAfterMax));
    options.describe(app);
    app.footer(
        "H in a cron line is a time that this device picks for itself, always the same.\n"
        "\n"
        "Examples:\n"
        "  holdfast schedule put nightly 'H 2 * * *' report --tz Europe/Berlin --jitter 10m\n"
        "  holdfast schedule put probe '@every 90s' measure '{\"channel\": 1}'");
  }
  void run(Session& session) override {
    Json body = {{"cron", cron}, {"type", type}};
    put_text(&body, "payload", payload);
    put_text(&body, "tz", tz);
    put_text(&body, "dst", dst);
    put_text(&body, "jitter", jitter);
    put_text(&body, "splay", splay);
    put_text(&body, "catch_up", catch_up);
    put_text(&body, "catch_up_window", window);
    if (catch_up_max) body["catch_up_max"] = catch_up_max;
    put_text(&body, "overlap", overlap);
    put_text(&body, "start", start);
    put_text(&body, "end", end);
    put_text(&body, "slack", slack);
    if (limit) body["limit"] = limit;
    if (pause_after_failures) body["pause_after_failures"] = pause_after_failures;
    options.put(&body);
    const auto answer = session.ask("PUT", schedule_path(name), body);
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(schedule_line(*answer, wall_ms()));
  }
};

struct RemoveSchedules : Command {
  std::vector<std::string> names;
  void describe(CLI::App& app) override {
    app.add_option("NAME", names, "the schedules")->required();
    app.footer("Jobs that they made stay.\n\nExample:\n  holdfast schedule rm nightly");
  }
  void run(Session& session) override {
    for (const std::string& name : names) (void)session.ask("DELETE", schedule_path(name));
    (void)session.asked_for_json(Json::object());
  }
};

// pause and resume
struct ChangeSchedules : Command {
  std::vector<std::string> names;
  const char* verb;
  const char* example;
  ChangeSchedules(const char* how, const char* help) : verb(how), example(help) {}
  void describe(CLI::App& app) override {
    app.add_option("NAME", names, "the schedules")->required();
    app.footer("Example:\n  " + std::string(example));
  }
  void run(Session& session) override {
    for (const std::string& name : names) {
      const auto answer = session.ask("POST", schedule_path(name, verb));
      if (answer && !session.asked_for_json(*answer))
        session.print(schedule_line(*answer, wall_ms()));
    }
  }
};
struct PauseSchedules : ChangeSchedules {
  PauseSchedules() : ChangeSchedules{"/pause", "holdfast schedule pause nightly"} {}
};
struct ResumeSchedules : ChangeSchedules {
  ResumeSchedules() : ChangeSchedules{"/resume", "holdfast schedule resume nightly"} {}
};

struct RunSchedule : Command {
  std::string name;
  void describe(CLI::App& app) override {
    app.add_option("NAME", name, "the schedule")->required();
    app.footer(
        "Makes its job now, beside its times; prints the job's id.\n\nExample:\n  holdfast "
        "schedule run nightly");
  }
  void run(Session& session) override {
    const auto answer = session.ask("POST", schedule_path(name, "/run"));
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(answer->contains("id") ? std::to_string(answer->value("id", int64_t{0})) + "\n"
                                         : "no job: its last one is not finished\n");
  }
};

struct BackfillSchedule : Command {
  std::string name, from, to;
  void describe(CLI::App& app) override {
    app.add_option("NAME", name, "the schedule")->required();
    app.add_option("--from", from, "the first time that may count")->required()->option_text("TIME");
    app.add_option("--to", to, "the times before this count; not in the future")
        ->required()
        ->option_text("TIME");
    app.footer(
        "Makes a job for each of the schedule's times of the past between them, at most 1000;\n"
        "prints their ids. Those that fired then are made again.\n"
        "\n"
        "Example:\n"
        "  holdfast schedule backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z");
  }
  void run(Session& session) override {
    const Json body = {{"from", from}, {"to", to}};
    const auto answer = session.ask("POST", schedule_path(name, "/backfill"), body);
    if (!answer || session.asked_for_json(*answer)) return;
    for (const Json& id : (*answer)["ids"]) session.print(std::to_string(id.get<int64_t>()) + "\n");
    if ((*answer)["ids"].empty()) session.print("no job: it has no time between them\n");
  }
};

// ---- next: needs no daemon, unless it is asked by name

struct Times {
  CronExpr cron;
  std::shared_ptr<const Zone> zone;
  std::vector<int64_t> times;
};

// Of a schedule, or of a line alone.
struct TimesAsked {
  std::string line, tz;
  uint64_t seed = 0;
  DstPolicy dst = DstPolicy::vixie;
  int64_t from_ms = 0, end_ms = kMaxUnixMs;
  int count = 10;
};

Result<Times> times_of(const TimesAsked& asked) {
  const auto& [line, tz, seed, dst, from_ms, end_ms, count] = asked;
  auto cron = CronExpr::parse(line, seed);
  if (!cron) return cron.error();
  if (!tz.empty() && !cron->zone_name().empty()) {
    return Error{HF_E_INVALID, "--tz and CRON_TZ= exclude each other"};
  }
  const SystemZones zones;
  auto zone = zones.find(!tz.empty() ? tz : !cron->zone_name().empty() ? cron->zone_name() : "UTC");
  if (!zone) return Error{HF_E_INVALID, zone.error().message};
  Times result{std::move(*cron), std::move(*zone), {}};
  int64_t at = from_ms;
  while (static_cast<int>(result.times.size()) < count) {
    const auto next = result.cron.next(at, *result.zone, dst);
    if (!next || *next >= end_ms) break;
    result.times.push_back(at = *next);
  }
  return result;
}

struct NextTimes : Command {
  std::vector<std::string> words;
  int count = 10;
  std::string tz, from, dst;

  void describe(CLI::App& app) override {
    app.add_option("NAME|CRON", words, "a schedule, or a cron line in quotes")->required();
    app.add_option("-n", count, "how many, 1 to 1000 [10]")
        ->option_text("N")
        ->check(CLI::Range(1, 1000));
    app.add_option("--tz", tz, "time zone of a cron line [UTC]")->option_text("ZONE");
    app.add_option("--dst", dst, "a time that is skipped or comes twice: vixie, skip, both [vixie]")
        ->option_text("HOW");
    app.add_option("--from", from, "after this time [now]")->option_text("TIME");
    app.footer(
        "A cron line needs no daemon.\n"
        "\n"
        "Examples:\n"
        "  holdfast schedule next '30 2 * * 1-5' --tz Europe/Berlin\n"
        "  holdfast schedule next '@monthly' -n 3 --from 2027-01-01T00:00:00Z --json\n"
        "  holdfast schedule next nightly");
  }

  void run(Session& session) override {
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    const int64_t now_ms = wall_ms();
    int64_t from_ms = now_ms - now_ms % 1000;
    if (!from.empty()) {
      const auto parsed = parse_time(from);
      if (!parsed) return session.fail(kUsage, "--from: " + parsed.error().message);
      from_ms = *parsed;
    }
    TimesAsked asked;
    asked.count = count;
    asked.from_ms = from_ms;
    std::string moved;
    // A name has no blank and no @ at its start.
    if (line.find(' ') == std::string::npos && line[0] != '@') {
      const auto schedule = session.ask("GET", schedule_path(line));
      if (!schedule) return;
      if (!tz.empty()) return session.fail(kUsage, "--tz: the schedule has a zone of its own");
      if (!dst.empty()) return session.fail(kUsage, "--dst: the schedule has a policy of its own");
      asked.seed = cron_seed(schedule->value("device", ""), line);
      line = schedule->value("cron", "");
      tz = schedule->value("tz", "");
      dst = schedule->value("dst", "");
      if (schedule->contains("jitter")) moved = ", each up to " + schedule->value("jitter", "") + " later";
      if (schedule->contains("splay")) moved += ", splayed over " + schedule->value("splay", "");
      // An interval counts from the last firing, which the daemon knows.
      const int64_t next = time_of(*schedule, "next");
      const auto cron = CronExpr::parse(line, asked.seed);
      if (cron && cron->kind() == CronLine::Kind::every && next && from.empty())
        asked.from_ms = next - cron->every_ms();
      if (cron && !cron->zone_name().empty()) tz.clear();
      asked.from_ms = std::max(asked.from_ms, time_of(*schedule, "start") - 1);
      if (const int64_t end = time_of(*schedule, "end")) asked.end_ms = end;
      const int64_t limit = schedule->value("limit", int64_t{0});
      if (limit) asked.count = static_cast<int>(std::clamp<int64_t>(limit - schedule->value("fired", int64_t{0}), 0, count));
    }
    const std::optional<DstPolicy> policy = dst.empty() ? DstPolicy::vixie : value_in(kDstPolicies, dst);
    if (!policy) return session.fail(kUsage, "--dst is " + hf::quoted(dst) + ": allowed are vixie, skip and both");
    asked.dst = *policy;
    asked.line = line;
    asked.tz = tz;
    const auto times = times_of(asked);
    if (!times) return session.fail(times.error());
    if (session.json) return print_json(session, *times, line);
    print_table(session, *times, line, moved, now_ms);
  }

  void print_json(Session& session, const Times& times, const std::string& line) const {
    Json json;
    json["next"] = Json::array();
    for (const int64_t ms : times.times) {
      const auto local = times.zone->local(floor_div(ms, 1000));
      json["next"].push_back(
          {{"time", format_time(ms)}, {"local", format_time_at_offset(ms, local.offset_s)}});
    }
    json["cron"] = line;
    json["tz"] = times.zone->name();
    json["description"] = times.cron.describe();
    (void)session.asked_for_json(json);
  }

  void print_table(Session& session, const Times& times, const std::string& line,
                   const std::string& moved, int64_t now_ms) const {
    std::string what = times.cron.describe();
    if (times.cron.kind() == CronLine::Kind::calendar) what += ", " + times.zone->name();
    what += moved;
    session.print(session.out.paint(clean(line), Colour::bold) + "  " + clean(what) + "\n");
    if (times.times.empty()) {
      const bool reboot = times.cron.kind() == CronLine::Kind::reboot;
      return session.print(reboot ? "  when the device starts the next time\n" : "  no time to come\n");
    }
    Table table({{"DAY"}, {"LOCAL TIME"}, {"UTC"}, {"WHEN"}});
    const bool utc = is_utc_name(times.zone->name());
    for (const int64_t ms : times.times) {
      const auto local = times.zone->local(floor_div(ms, 1000));
      table.add(
          {weekday_name(floor_div(floor_div(ms, 1000) + local.offset_s, kSecondsPerDay)),
           utc ? ""
               : format_time_at_offset(ms, local.offset_s) + " " + std::string(local.abbreviation),
           format_time(ms), time_in_words(ms, now_ms)});
    }
    session.print(table.text(session.out, "  "));
  }
};

}  // namespace

void add_schedule_commands(CLI::App& app, Session& session) {
  CLI::App* schedule =
      app.add_subcommand("schedule", "times at which jobs are made")->group("Schedules and queues");
  schedule->require_subcommand(1);
  schedule->footer(
      "Examples:\n  holdfast schedule list\n  holdfast schedule put nightly 'H 2 * * *' report "
      "--tz Europe/Berlin\n  holdfast schedule next '30 2 * * 1-5'");
  add_command<ListSchedules>(*schedule, session, "list", "all schedules");
  add_command<PutSchedule>(*schedule, session, "put", "make or replace a schedule");
  add_command<RemoveSchedules>(*schedule, session, "rm", "delete schedules");
  add_command<PauseSchedules>(*schedule, session, "pause", "keep schedules from firing");
  add_command<ResumeSchedules>(*schedule, session, "resume", "let them fire again");
  add_command<RunSchedule>(*schedule, session, "run", "make a schedule's job now");
  add_command<BackfillSchedule>(*schedule, session, "backfill", "make the jobs of times gone by");
  add_command<NextTimes>(*schedule, session, "next", "the next times of a schedule or a cron line");
}

}  // namespace hf
