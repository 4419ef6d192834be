// simulate: what a configuration will do, in a made-up stretch of time. Needs no daemon.
#include <algorithm>
#include <map>
#include <vector>

#include "apps/command.h"
#include "apps/simulate_incidents.h"
#include "apps/simulate_view.h"
#include "core/cron.h"
#include "core/names.h"
#include "core/units.h"
#include "handlers/apply_config.h"
#include "platform/clock.h"
#include "platform/host_open.h"
#include "platform/json_fields.h"
#include "platform/zones.h"

namespace hf {
namespace {

constexpr int64_t kLongestMs = 3660LL * 86400000;  // ten years
constexpr int64_t kRunMaxMs = 366LL * 86400000;
constexpr int64_t kLinesMax = 1000000;

Error bad(const std::string& option, const Error& error) { return Error{HF_E_INVALID, option + ": " + error.message}; }

// The zone of most schedules.
std::string usual_zone(const std::vector<ScheduleSpec>& schedules) {
  std::map<std::string, int> count;
  for (const ScheduleSpec& schedule : schedules) {
    const auto line = CronExpr::parse(schedule.cron);
    ++count[line && !line->zone_name().empty() ? line->zone_name() : schedule.zone];
  }
  const auto most = std::max_element(count.begin(), count.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most != count.end() ? most->first : "UTC";
}

struct Simulate : Command {
  std::string config_file = kDefaultConfig, from, to, length, device, zone;
  std::vector<std::string> outages, suspends, losses, settings, run_times, only;
  uint64_t seed = 1;
  int64_t limit = 1000;
  bool wakeups = false, jobs = false, summary = false;

  void describe(CLI::App& app) override {
    const auto each = [&](const char* name, std::vector<std::string>& values, const char* what, const char* shape) {
      app.add_option(name, values, what)->option_text(shape)->allow_extra_args(false);
    };
    app.add_option("--config", config_file, "the configuration, a JSON file [" + std::string(kDefaultConfig) + "]")->option_text("FILE");
    app.add_option("--from", from, "where it begins [now]")->option_text("TIME");
    app.add_option("--for", length, "how long it is, up to 3660d [7d]")->option_text("DURATION");
    app.add_option("--to", to, "or where it ends")->option_text("TIME");
    each("--schedule", only, "this schedule alone; several may be named", "NAME");
    each("--run-time", run_times, "what a run takes, of all or of one type [1s]", "[TYPE=]1s");
    each("--outage", outages, "the device is without power", "START/LENGTH");
    each("--suspend", suspends, "it is suspended: nothing runs, and no timer wakes it", "START/LENGTH");
    each("--clock-lost", losses, "its clock shows 1970 and is not trusted; then it is right", "START/LENGTH");
    each("--set-clock", settings, "its clock is set: +1h, -90s, or to a time", "START/STEP");
    app.add_option("--device", device, "the name that H and splay go by [the configuration's, else this host's]")->option_text("NAME");
    app.add_option("--tz", zone, "the zone in which times are shown [that of most schedules]")->option_text("ZONE");
    app.add_option("--seed", seed, "of the jitter: with the same one all is the same [1]")->option_text("N");
    app.add_flag("--wakeups", wakeups, "a line for each time that the device is woken");
    app.add_flag("--jobs", jobs, "a line for each start and end of a run");
    app.add_flag("--summary", summary, "the summary alone");
    app.add_option("--limit", limit, "at most so many lines, 1 to 1000000 [1000]")
        ->option_text("N")
        ->check(CLI::Range(int64_t{1}, kLinesMax));
    app.footer(
        "The real engine on a clock and a disk that are made up: what fires, what is skipped and what is made up for,\n"
        "and how often the device is woken. No job runs and no file is written; all runs succeed. START is a time or a\n"
        "duration after --from; in place of LENGTH the time of its end may stand. What is shown as START/... may be given\n"
        "more than once. Exit status 5: there were more lines than --limit.\n"
        "\n"
        "Examples:\n"
        "  holdfast simulate --config holdfast.json --for 30d --summary\n"
        "  holdfast simulate --config holdfast.json --from 2026-10-24T00:00:00Z --for 3d --outage 1d/8h\n"
        "  holdfast simulate --for 2d --set-clock 12h/-1h --clock-lost 1d/10m --wakeups --json");
  }

  void run(Session& session) override {
    if (const Status done = simulate(session); !done) session.fail(done.error());
  }

 private:
  // From when to when.
  Result<std::pair<int64_t, int64_t>> stretch() const {
    int64_t from_ms = wall_ms();
    from_ms -= from_ms % 1000;
    if (!from.empty()) {
      const auto parsed = parse_time(from);
      if (!parsed) return bad("--from", parsed.error());
      from_ms = *parsed;
    }
    int64_t to_ms = 0;
    if (!to.empty()) {
      if (!length.empty()) return Error{HF_E_INVALID, "--for and --to exclude each other"};
      const auto parsed = parse_time(to);
      if (!parsed) return bad("--to", parsed.error());
      to_ms = *parsed;
      if (to_ms <= from_ms) return Error{HF_E_INVALID, "--to " + format_time(to_ms) + " is not after --from " + format_time(from_ms)};
      HF_TRY(check_duration("--from to --to", to_ms - from_ms, 1, kLongestMs));
    } else {
      const auto parsed = parse_duration(length.empty() ? "7d" : length);
      if (!parsed) return bad("--for", parsed.error());
      HF_TRY(check_duration("--for", *parsed, 1, kLongestMs));
      to_ms = from_ms + *parsed;
    }
    if (to_ms > kMaxUnixMs) return Error{HF_E_INVALID, "it ends after the year 9999"};
    return std::pair(from_ms, to_ms);
  }

  Result<std::vector<Incident>> incidents(int64_t from_ms, int64_t to_ms) const {
    std::vector<Incident> all;
    const std::pair<Incident::Kind, const std::vector<std::string>*> said[] = {{Incident::Kind::off, &outages},
                                                                               {Incident::Kind::suspended, &suspends},
                                                                               {Incident::Kind::clock_lost, &losses},
                                                                               {Incident::Kind::clock_set, &settings}};
    for (const auto& [kind, texts] : said) {
      for (const std::string& text : *texts) {
        const auto incident = parse_incident(kind, text, from_ms, to_ms);
        if (!incident) return incident.error();
        all.push_back(*incident);
      }
    }
    HF_TRY(check_incidents(all));
    return all;
  }

  Status keep_only(std::vector<ScheduleSpec>* schedules) const {
    if (only.empty()) return ok_status();
    std::vector<std::string_view> names;
    for (const ScheduleSpec& schedule : *schedules) names.push_back(schedule.name);
    for (const std::string& name : only) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        return Error{HF_E_NOT_FOUND, "--schedule: " + config_file + " has no schedule " + hf::quoted(name) + did_you_mean(name, names)};
      }
    }
    std::erase_if(*schedules, [&](const ScheduleSpec& s) { return std::find(only.begin(), only.end(), s.name) == only.end(); });
    return ok_status();
  }

  Status set_run_times(DeviceSpec* spec) const {
    std::vector<std::string_view> names;
    for (const RunnerSpec& runner : spec->runners) names.push_back(runner.name);
    for (const std::string& text : run_times) {
      const size_t equals = text.find('=');
      const std::string type = equals == text.npos ? "" : text.substr(0, equals);
      const auto time = parse_duration(std::string_view(text).substr(equals == text.npos ? 0 : equals + 1));
      if (!time) return bad("--run-time", time.error());
      HF_TRY(check_duration("--run-time", *time, 0, kRunMaxMs));
      if (equals == text.npos) {
        spec->run_ms = *time;
        continue;
      }
      if (std::find(names.begin(), names.end(), type) == names.end()) {
        return Error{HF_E_NOT_FOUND, "--run-time: " + config_file + " has no handler " + hf::quoted(type) + did_you_mean(type, names)};
      }
      spec->run_ms_of[type] = *time;
    }
    return ok_status();
  }

  Result<DeviceSpec> device_spec(const Config& config, const ZoneSource& zones) const {
    DeviceSpec spec;
    spec.name = !device.empty() ? device : !config.device.empty() ? config.device : host_name();
    if (const Status fits = check_device(spec.name); !fits) return bad("--device", fits.error());
    spec.seed = seed;
    spec.zones = &zones;
    spec.limits = config.limits;
    spec.clock = config.clock.options.rule;
    spec.queues = queue_settings(config);
    spec.budgets = config.link.budgets;
    spec.loss_report = config.losses;
    for (const SinkConfig& sink : config.sinks) spec.runners.push_back(runner_spec(sink));
    for (const HandlerConfig& handler : config.handlers) spec.runners.push_back(runner_spec(handler));
    spec.schedules = config.schedules;
    HF_TRY(keep_only(&spec.schedules));
    HF_TRY(set_run_times(&spec));
    return spec;
  }

  Status simulate(Session& session) const {
    const auto times = stretch();
    if (!times) return times.error();
    const auto [from_ms, to_ms] = *times;
    auto befalls = incidents(from_ms, to_ms);
    if (!befalls) return befalls.error();
    const auto config = load_config(config_file, ConfigOf::another);
    if (!config) return Error{HF_E_STATE, config.error().message};  // as of serve: the status of a failure
    const SystemZones zones;
    auto spec = device_spec(*config, zones);
    if (!spec) return spec.error();
    auto shown_in = zones.find(!zone.empty() ? zone : usual_zone(spec->schedules));
    if (!shown_in) return bad("--tz", shown_in.error());

    SimulationView view(session, {spec->name, from_ms, to_ms, *shown_in, !summary, wakeups, jobs, limit});
    Tally tally(spec->schedules);
    VirtualDevice virtual_device(std::move(*spec), std::move(*befalls), [&](const Happening& happening) {
      tally.add(happening);
      view.add(happening);
    });
    if (const Status ran = virtual_device.run(from_ms, to_ms); !ran) return Error{ran.error().code, config_file + ": " + ran.error().message};
    tally.finish();
    const auto schedules = virtual_device.schedules();
    if (!schedules) return schedules.error();
    view.print(tally, *schedules);
    if (view.left_out() == 0) return ok_status();
    const std::string lines = view.left_out() == 1 ? "1 more line is" : std::to_string(view.left_out()) + " more lines are";
    return Error{HF_E_TOO_LARGE, lines + " left out: --limit shows more of them, --summary none"};
  }
};

}  // namespace

void add_simulate_command(CLI::App& app, Session& session) {
  add_command<Simulate>(app, session, "simulate", "what a configuration will do, on a made-up clock", "The daemon");
}

}  // namespace hf
