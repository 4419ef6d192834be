#include "apps/virtual_device.h"

#include <algorithm>

#include "core/scheduler.h"

namespace hf {
namespace {

constexpr char kPath[] = "queue.db";
constexpr size_t kDiskMax = size_t{1} << 30;
constexpr int kTurnsMax = 10000;  // at one moment; then the engine goes in circles

// Of what begins or ends at the same moment: the clock first, so that who starts then finds it so.
constexpr int kRankOfPower = 2;
int rank(Happening::Kind kind) {
  using Kind = Happening::Kind;
  return kind == Kind::clock_right ? 0 : kind == Kind::clock_lost || kind == Kind::clock_set ? 1 : kRankOfPower;
}

bool is_end_of_job(Change change) {
  return change == Change::completed || change == Change::died || change == Change::cancelled || change == Change::expired || change == Change::displaced;
}

}  // namespace

VirtualDevice::VirtualDevice(DeviceSpec spec, std::vector<Incident> incidents, Tell tell)
    : spec_(std::move(spec)), tell_(std::move(tell)), disk_(kDiskMax) {
  using Kind = Happening::Kind;
  for (const Incident& incident : incidents) {
    const auto stretch = [&](Kind from, Kind to) {
      add_point(incident.at_ms, {from, incident.end_ms - incident.at_ms, 0});
      add_point(incident.end_ms, {to, 0, 0});
    };
    switch (incident.kind) {
      case Incident::Kind::off: stretch(Kind::power_off, Kind::power_on); break;
      case Incident::Kind::suspended: stretch(Kind::suspended, Kind::resumed); break;
      case Incident::Kind::clock_lost: stretch(Kind::clock_lost, Kind::clock_right); break;
      case Incident::Kind::clock_set: add_point(incident.at_ms, {Kind::clock_set, incident.by_ms, incident.to_ms}); break;
    }
  }
  for (const ScheduleSpec& schedule : spec_.schedules) by_name_.emplace(schedule.name, &schedule);
  for (const auto& [name, settings] : spec_.queues) {
    WindowGate gate;
    gate.restore(settings, spec_.zones != nullptr ? *spec_.zones : utc_only());
    if (!gate.none()) windows_.emplace_back(name, std::move(gate));
  }
}

void VirtualDevice::add_point(int64_t at_ms, Point point) { points_.emplace(std::pair(at_ms, rank(point.kind)), point); }

VirtualDevice::~VirtualDevice() { engine_.reset(); }

Now VirtualDevice::now() const {
  Now now;
  now.boot_ms = time_ms_ - boot_at_ms_;
  now.wall_ms = time_ms_ + error_ms_;
  now.synced = !lost_;
  return now;
}

// ---- its life -----------------------------------------------------------------------------------------------

Status VirtualDevice::run(int64_t from_ms, int64_t until_ms) {
  time_ms_ = from_ms;
  HF_TRY(start());
  for (;;) {
    const int64_t wake = awake() ? wake_ms() : kNever;
    const int64_t end = awake() && !runs_.empty() ? runs_.begin()->first : kNever;
    const int64_t incident = points_.empty() ? kNever : points_.begin()->first.first;
    const int64_t next = std::max(std::min({wake, end, incident, next_window_ms()}), time_ms_);
    if (next >= until_ms) return ok_status();
    time_ms_ = next;
    look_at_windows();
    if (next < std::min({wake, end, incident})) continue;
    if (incident <= next) {
      HF_TRY(befall_next());
      continue;
    }
    // Turns at the same moment are one time that the device was woken.
    if (wake <= next && turn_ms_ < next) tell_(happening(Happening::Kind::woken));
    std::vector<Op> ended;
    while (!runs_.empty() && runs_.begin()->first <= next) ended.emplace_back(std::move(runs_.extract(runs_.begin()).mapped()));
    HF_TRY(turn(std::move(ended)));
  }
}

int64_t VirtualDevice::next_window_ms() const {
  int64_t next = kNever;
  for (const auto& [queue, gate] : windows_) {
    const int64_t changes = gate.changes_wall_ms();
    if (awake() && changes != 0 && changes != kNever) next = std::min(next, changes - error_ms_);
  }
  return next;
}

// The engine needs no turn when they close, and none when they open unless jobs wait; told they are all the same.
void VirtualDevice::look_at_windows() {
  for (auto& [queue, gate] : windows_) {
    if (!awake() || !gate.look(now().wall_ms, now().synced)) continue;
    Transition change = {};
    change.change = gate.open() ? Change::window_opened : Change::window_closed;
    change.queue = queue;
    Happening told = happening(Happening::Kind::change);
    told.change = &change;
    tell_(told);
  }
}

// Lines of the calendar are there a moment before, so that a time of theirs which is that of the start counts.
Status VirtualDevice::start() {
  const auto is_of_clock = [&](const auto& next) { return next.first.first <= time_ms_ && next.first.second < kRankOfPower; };
  while (!points_.empty() && is_of_clock(*points_.begin())) HF_TRY(befall_next());
  --time_ms_;
  switch_on();
  HF_TRY(boot(true));
  ++time_ms_;
  std::vector<Op> ops;
  for (const ScheduleSpec& schedule : spec_.schedules) {
    if (by_elapsed(schedule)) ops.emplace_back(SchedulePut{schedule});
  }
  return turn(std::move(ops));
}

void VirtualDevice::switch_on() {
  ++boots_;
  boot_at_ms_ = time_ms_;
  if (lost_) error_ms_ = -boot_at_ms_;
}

// As apps/serve.cpp does it: what the configuration says is said at each start.
Status VirtualDevice::boot(bool first) {
  EngineOptions options;
  options.path = kPath;
  options.vfs = disk_.name();
  options.device = spec_.name;
  options.boot_id = "boot-" + std::to_string(boots_);
  options.seed = spec_.seed + static_cast<uint64_t>(boots_);
  options.new_file_id = 1;
  options.limits = spec_.limits;
  options.clock = spec_.clock;
  options.zones = spec_.zones;
  options.now = now();
  auto engine = Engine::open(std::move(options));
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  std::vector<Op> ops;
  ops.emplace_back(spec_.budgets);
  ops.emplace_back(spec_.loss_report);
  // Conditions are taken for open.
  for (auto [name, settings] : spec_.queues) {
    settings.when.reset();
    ops.emplace_back(SetQueueDefaults{name, std::move(settings)});
  }
  for (RunnerSpec runner : spec_.runners) {
    runner.when.clear();
    ops.emplace_back(SetRunner{std::move(runner)});
  }
  for (const ScheduleSpec& schedule : spec_.schedules) {
    if (!first || !by_elapsed(schedule)) ops.emplace_back(SchedulePut{schedule});
  }
  ops.emplace_back(SetDispatch{true});
  return turn(std::move(ops));
}

Status VirtualDevice::befall_next() {
  Point point = points_.extract(points_.begin()).mapped();
  using Kind = Happening::Kind;
  incident_ms_ = time_ms_;
  switch (point.kind) {
    case Kind::power_off:
      tell_(happening(point.kind, point.length_ms));
      engine_.reset();  // as a kill leaves it: nothing is closed
      runs_.clear();
      return ok_status();
    case Kind::power_on:
      switch_on();
      tell_(happening(point.kind));
      return boot(false);
    case Kind::suspended: suspended_ = true; break;
    case Kind::resumed: suspended_ = false; break;
    case Kind::clock_lost:
      lost_ = true;
      error_ms_ = -boot_at_ms_;
      break;
    case Kind::clock_right:
      lost_ = false;
      error_ms_ = 0;
      break;
    case Kind::clock_set:
      if (point.to_ms != 0) point.length_ms = point.to_ms - (time_ms_ + error_ms_);
      error_ms_ += point.length_ms;
      break;
    case Kind::woken:
    case Kind::change: break;
  }
  tell_(happening(point.kind, point.length_ms));
  if (point.kind == Kind::suspended) {  // runs stand still
    std::multimap<int64_t, RunEnded> later;
    for (auto& [end_ms, run] : runs_) later.emplace(end_ms + point.length_ms, std::move(run));
    runs_ = std::move(later);
  }
  return awake() ? turn({ClockStepped{}}) : ok_status();
}

// ---- a turn of its engine -------------------------------------------------------------------------------------

Result<Tick> VirtualDevice::tick(std::vector<Op> ops, std::vector<Reply>* replies) {
  turns_ = turn_ms_ == time_ms_ ? turns_ + 1 : 0;
  turn_ms_ = time_ms_;
  if (turns_ > kTurnsMax) return Error{HF_E_INTERNAL, "the engine asks to be called again and again, at the same moment"};
  std::vector<Request> requests;
  for (Op& op : ops) requests.push_back({std::move(op), {}, {}});
  std::vector<Request*> events;
  for (Request& request : requests) events.push_back(&request);
  auto ticked = engine_->tick(now(), events);
  if (!ticked) return ticked.error();
  wake_boot_ms_ = ticked->next_wake_boot_ms;
  wake_wall_ms_ = ticked->next_wake_wall_ms;
  for (Request& request : requests) {
    const auto* error = std::get_if<Error>(&request.reply);
    // The end of a run that the engine has ended is no error, nor is a job that is not kept.
    if (error != nullptr && error->code != HF_E_STALE && !std::holds_alternative<Get>(request.op)) {
      const auto* put = std::get_if<SchedulePut>(&request.op);
      return put == nullptr ? *error : Error{error->code, "schedules." + put->spec.name + ": " + error->message};
    }
    if (replies != nullptr) replies->push_back(std::move(request.reply));
  }
  return ticked;
}

namespace {
// Which time each job stands for that was started in this turn.
void note_times(const Tick& tick, std::map<JobId, int64_t>* times) {
  for (const Action& action : tick.actions) {
    const auto* start = std::get_if<StartRun>(&action);
    if (start == nullptr) continue;
    for (const RunJob& job : start->jobs) times->emplace(job.id, job.occurrence_wall_ms);
  }
}
}  // namespace

Status VirtualDevice::turn(std::vector<Op> ops, std::vector<Reply>* replies) {
  auto ticked = tick(std::move(ops), replies);
  while (ticked) {
    std::map<JobId, int64_t> times;
    note_times(*ticked, &times);
    // Those that wait for others are asked for.
    std::vector<Op> asks;
    for (const Transition& change : ticked->feed) {
      if (change.change == Change::fired && change.id != 0 && !times.contains(change.id)) asks.emplace_back(Get{change.id});
    }
    const bool asked = !asks.empty();
    Result<Tick> next = Tick();
    if (asked) {
      std::vector<Reply> jobs;
      next = tick(std::move(asks), &jobs);
      for (const Reply& reply : jobs) {
        if (const auto* job = std::get_if<JobInfo>(&reply)) times.emplace(job->id, job->occurrence_wall_ms);
      }
    }
    for (const Transition& change : ticked->feed) {
      const auto time = times.find(change.id);
      report_change(change, time != times.end() ? time->second : 0);
    }
    for (const Action& action : ticked->actions) obey(action);
    if (!asked) return ok_status();
    ticked = std::move(next);
  }
  return ticked.error();
}

void VirtualDevice::obey(const Action& action) {
  if (const auto* start = std::get_if<StartRun>(&action)) {
    const auto own = spec_.run_ms_of.find(start->runner);
    const int64_t takes = own != spec_.run_ms_of.end() ? own->second : spec_.run_ms;
    for (const RunJob& job : start->jobs) {
      RunEnded end;
      end.id = job.id;
      end.attempt = job.attempt;
      end.run = job.run;
      end.result = "{}";
      runs_.emplace(time_ms_ + takes, std::move(end));
    }
    return;
  }
  // A run that is asked to end does so at once.
  const auto& stop = std::get<StopRun>(action);
  if (stop.reason == StopReason::soft_timeout) return;  // what its program makes of that nobody knows
  const auto run = std::find_if(runs_.begin(), runs_.end(), [&](const auto& r) { return r.second.id == stop.id && r.second.run == stop.run; });
  if (run == runs_.end()) return;
  RunEnded end = std::move(run->second);
  runs_.erase(run);
  end.result.clear();
  end.outcome = stop.reason == StopReason::cancel ? Outcome::cancelled : Outcome::retry;
  runs_.emplace(time_ms_, std::move(end));
}

int64_t VirtualDevice::wake_ms() const {
  int64_t at = kNever;
  if (wake_boot_ms_ != kNever) at = boot_at_ms_ + wake_boot_ms_;
  if (wake_wall_ms_ != kNever) at = std::min(at, wake_wall_ms_ - error_ms_);
  return at;
}

bool VirtualDevice::by_elapsed(const ScheduleSpec& schedule) const {
  const auto line = CronExpr::parse(schedule.cron);
  return line && line->kind() != CronLine::Kind::calendar;
}

Result<std::vector<ScheduleInfo>> VirtualDevice::schedules() {
  if (!engine_) return std::vector<ScheduleInfo>();
  std::vector<Reply> replies;
  HF_TRY(turn({ScheduleList{}}, &replies));
  return std::move(std::get<std::vector<ScheduleInfo>>(replies.front()));
}

// ---- what is told -----------------------------------------------------------------------------------------------

Happening VirtualDevice::happening(Happening::Kind kind, int64_t length_ms) const {
  Happening happening;
  happening.kind = kind;
  happening.at_ms = time_ms_;
  happening.clock_ms = time_ms_ + error_ms_;
  happening.uptime_ms = time_ms_ - boot_at_ms_;
  happening.length_ms = length_ms;
  return happening;
}

const ScheduleSpec* VirtualDevice::schedule_of(const Transition& change) const {
  if (change.change == Change::fired || change.change == Change::schedule_paused) {
    // "NAME", or "NAME: " and more: a name has no blank.
    const auto named = by_name_.find(std::string_view(change.detail).substr(0, change.detail.find(": ")));
    return named != by_name_.end() ? named->second : nullptr;
  }
  const auto job = jobs_.find(change.id);
  return job != jobs_.end() ? job->second : nullptr;
}

void VirtualDevice::report_change(const Transition& change, int64_t planned_ms) {
  if (is_of_window(change.change)) return;  // look_at_windows()
  Happening told = happening(Happening::Kind::change);
  told.change = &change;
  told.schedule = schedule_of(change);
  if (change.change == Change::fired && change.id != 0) {
    told.planned_ms = planned_ms;
    // What is late is late because of what befell the device: it is called in time otherwise.
    told.made_up = incident_ms_ == time_ms_ && planned_ms != 0 && told.clock_ms - planned_ms > kMisfireMs;
    if (told.schedule != nullptr) jobs_.emplace(change.id, told.schedule);
  }
  tell_(told);
  if (is_end_of_job(change.change)) jobs_.erase(change.id);
}

}  // namespace hf
