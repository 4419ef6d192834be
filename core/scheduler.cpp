#include "core/scheduler.h"

#include <algorithm>
#include <tuple>

#include "core/names.h"
#include "core/units.h"

namespace hf {

namespace {
constexpr int64_t kDayMs = 86400000;
}

void Scheduler::load(bool new_boot) {
  zones_version_ = zones_.version();
  for (ScheduleRow& row : turn_.store.schedules()) {
    Entry entry;
    entry.row = std::move(row);
    // A line that a newer version wrote or a zone that is gone: kept, shown as waiting.
    Status ok = parse_line(entry);
    if (ok) ok = find_zone(entry);
    if (!ok) entry.waiting = ok.error().message;
    auto [it, added] = entries_.emplace(entry.row.spec.name, std::move(entry));
    Entry& kept = it->second;
    if (new_boot && kept.is(CronLine::Kind::reboot) && !kept.row.paused && !kept.used_up()) {
      set_next(kept, turn_.now_ms);
      save(kept);  // in the transaction that names the boot: it fires once, whenever the process dies
    }
    arm(kept);
  }
}

Status Scheduler::parse_line(Entry& entry) const {
  const ScheduleSpec& spec = entry.row.spec;
  Result<CronExpr> cron = CronExpr::parse(spec.cron, cron_seed(device_, spec.name));
  if (!cron) return Error{HF_E_INVALID, "cron " + quoted(spec.cron) + ": " + cron.error().message};
  entry.cron = std::move(*cron);
  return ok_status();
}

// After parse_line().
Status Scheduler::find_zone(Entry& entry) const {
  const std::string& zone = entry.cron->zone_name().empty() ? entry.row.spec.zone : entry.cron->zone_name();
  Result<std::shared_ptr<const Zone>> found = zones_.find(zone);
  if (!found) return Error{HF_E_INVALID, "time zone " + quoted(zone) + ": " + found.error().message};
  entry.zone = std::move(*found);
  entry.waiting.clear();
  return ok_status();
}

// ---- its times ------------------------------------------------------------------------------------------

int64_t Scheduler::following(const Entry& entry, int64_t at) const {
  const ScheduleSpec& spec = entry.row.spec;
  if (entry.used_up() || entry.is(CronLine::Kind::reboot)) return kNever;
  if (entry.is(CronLine::Kind::every)) return at + entry.cron->every_ms();
  const int64_t next = entry.cron->next(std::max(at, spec.start_wall_ms - 1), *entry.zone, spec.dst).value_or(kNever);
  return spec.end_wall_ms != 0 && next >= spec.end_wall_ms ? kNever : next;
}

int64_t Scheduler::latest(const Entry& entry, int64_t until) const {
  const ScheduleSpec& spec = entry.row.spec;
  const int64_t first = entry.row.next_ms;
  if (until < first) return -1;
  if (entry.is(CronLine::Kind::reboot)) return first;
  if (entry.is(CronLine::Kind::every)) return until - (until - first) % entry.cron->every_ms();
  const int64_t before = spec.end_wall_ms != 0 ? std::min(until + 1, spec.end_wall_ms) : until + 1;
  return std::max(first, entry.cron->previous(before, *entry.zone, spec.dst).value_or(first));
}

// Of those that were missed, by its policy, the earliest first.
std::vector<int64_t> Scheduler::to_make_up(const Entry& entry, int64_t now) const {
  const ScheduleSpec& spec = entry.row.spec;
  if (spec.catch_up == CatchUp::skip) return {};
  const size_t most = spec.catch_up == CatchUp::once ? 1 : static_cast<size_t>(spec.catch_up_max);
  const int64_t oldest = spec.catch_up_window_ms != 0 ? now - spec.catch_up_window_ms : 0;
  std::vector<int64_t> late;
  for (int64_t at = latest(entry, now); at >= oldest && at >= 0 && late.size() < most; at = latest(entry, at - 1)) late.push_back(at);
  std::reverse(late.begin(), late.end());
  return late;
}

// The same for the same device and name, for ever: users see it.
int64_t Scheduler::splay_of(const ScheduleSpec& spec) const {
  if (spec.splay_ms == 0) return 0;
  return static_cast<int64_t>(cron_seed(device_, spec.name + " splay") % static_cast<uint64_t>(spec.splay_ms + 1));
}

void Scheduler::set_next(Entry& entry, int64_t next_ms) {
  ScheduleRow& row = entry.row;
  row.next_ms = row.fire_ms = next_ms;
  if (next_ms == kNever) return;
  row.fire_ms += splay_of(row.spec);
  if (row.spec.jitter_ms > 0) row.fire_ms += turn_.random.between(0, row.spec.jitter_ms);
}

void Scheduler::set_next_from_now(Entry& entry) {
  const bool known = entry.waiting.empty() && (!entry.by_wall() || turn_.wall_trusted);
  if (known) {
    set_next(entry, following(entry, axis_now(entry)));
  } else {
    entry.row.next_ms = entry.row.fire_ms = 0;  // found once the clock is trusted, and the zone there
  }
}

void Scheduler::arm(Entry& entry) {
  disarm(entry);
  if (entry.row.paused || !entry.waiting.empty() || entry.row.fire_ms == kNever) return;
  // 0: no first time yet. A calendar line finds it when the clock is trusted: due at once then.
  (entry.by_wall() ? by_wall_ : by_elapsed_).insert(entry.row.fire_ms, entry.row.spec.slack_ms, entry.row.spec.name);
}

void Scheduler::disarm(const Entry& entry) {
  for (Order* order : {&by_wall_, &by_elapsed_}) order->erase(entry.row.fire_ms, entry.row.spec.slack_ms, entry.row.spec.name);
}

// ---- what people do --------------------------------------------------------------------------------------

namespace {
Status check_numbers(const ScheduleSpec& spec) {
  HF_TRY(check_duration("jitter", spec.jitter_ms, 0, kScheduleMoveMaxMs));
  HF_TRY(check_duration("splay", spec.splay_ms, 0, kScheduleMoveMaxMs));
  HF_TRY(check_duration("slack", spec.slack_ms, 0, kSlackMaxMs));
  HF_TRY(check_duration("catch_up_window", spec.catch_up_window_ms, 0, kCatchUpWindowMaxMs));
  HF_TRY(check_range("catch_up_max", spec.catch_up_max, 1, kCatchUpMax));
  HF_TRY(check_range("limit", spec.limit, 0, kScheduleLimitMax));
  HF_TRY(check_range("pause_after_failures", spec.pause_after_failures, 0, kPauseAfterMax));
  for (int64_t at : {spec.start_wall_ms, spec.end_wall_ms}) {
    if (at < 0 || at > kMaxUnixMs) return Error{HF_E_INVALID, "start and end are times up to the year 9999"};
  }
  if (spec.end_wall_ms != 0 && spec.end_wall_ms <= spec.start_wall_ms) {
    return Error{HF_E_INVALID, "end " + format_time(spec.end_wall_ms) + " is not after start " + format_time(spec.start_wall_ms)};
  }
  return ok_status();
}
}  // namespace

// After find_zone().
Status Scheduler::check(const Entry& entry) const {
  const ScheduleSpec& spec = entry.row.spec;
  if (entry.is(CronLine::Kind::every) && spec.slack_ms >= entry.cron->every_ms()) {
    return Error{HF_E_INVALID, "slack is " + format_duration(spec.slack_ms) + "; of " + quoted(spec.cron) + " it is less than its period"};
  }
  if (spec.start_wall_ms == 0 && spec.end_wall_ms == 0) return ok_status();
  if (!entry.by_wall()) return Error{HF_E_INVALID, "start and end are for lines of the calendar; " + quoted(spec.cron) + " goes by elapsed time"};
  const int64_t first = entry.cron->next(std::max<int64_t>(spec.start_wall_ms, 0) - 1, *entry.zone, spec.dst).value_or(kNever);
  if (spec.end_wall_ms == 0 || first < spec.end_wall_ms) return ok_status();
  return Error{HF_E_INVALID, "it can never fire: none of its times lies between start and end" + (first == kNever ? "" : "; the first one is " + format_time(first))};
}

Status Scheduler::put(const ScheduleSpec& spec) {
  HF_TRY(check_name("schedule", spec.name));
  HF_TRY(check_numbers(spec));
  if (spec.job.delay_ms != 0 || spec.job.at_wall_ms != 0 || is_unique(spec.job) || !spec.job.after.empty()) {
    return Error{HF_E_INVALID, "a schedule's job has no delay, at, after, unique_key or unique_by of its own"};
  }
  HF_TRY(jobs_.validate(spec.job));
  auto it = entries_.find(spec.name);
  if (it != entries_.end() && it->second.row.spec == spec && it->second.waiting.empty()) return ok_status();
  if (it == entries_.end() && entries_.size() >= kSchedulesMax) {
    return Error{HF_E_FULL, "there are " + std::to_string(entries_.size()) + " schedules, the most there may be"};
  }
  Entry entry;
  if (it != entries_.end()) entry = it->second;
  // What says when it fires; what its jobs are may change without moving its next firing.
  auto times = [](const ScheduleSpec& s) { return std::tie(s.cron, s.zone, s.dst, s.jitter_ms, s.splay_ms, s.start_wall_ms, s.end_wall_ms, s.limit); };
  bool same_times = it != entries_.end() && times(entry.row.spec) == times(spec) && entry.row.next_ms != 0;
  entry.row.spec = spec;
  HF_TRY(parse_line(entry));
  // Whoever read the configuration knows that its zones are no mistakes: one that is not there is gone from the system.
  if (Status there = find_zone(entry); there) {
    HF_TRY(check(entry));
  } else if (spec.configured) {
    entry.waiting = there.error().message;
  } else {
    return there.error();
  }
  if (it != entries_.end()) disarm(it->second);
  Entry& kept = entries_[spec.name] = std::move(entry);
  if (!same_times) set_next_from_now(kept);
  arm(kept);
  save(kept);
  return ok_status();
}

Result<Scheduler::Entry*> Scheduler::find(const std::string& name) {
  auto it = entries_.find(name);
  if (it != entries_.end()) return &it->second;
  std::string text = "there is no schedule " + quoted(name);
  std::vector<std::string_view> known;
  for (auto& [key, entry] : entries_) known.push_back(key);
  if (auto near = nearest_name(name, known)) text += "; did you mean " + std::string(*near) + "?";
  return Error{HF_E_NOT_FOUND, text};
}

Status Scheduler::remove(const std::string& name) {
  Result<Entry*> entry = find(name);
  if (!entry) return entry.error();
  disarm(**entry);
  turn_.store.remove_schedule(name);
  entries_.erase(name);
  return ok_status();
}

Status Scheduler::pause(const std::string& name, bool paused) {
  Result<Entry*> found = find(name);
  if (!found) return found.error();
  Entry& entry = **found;
  if (entry.row.paused == paused) return ok_status();
  disarm(entry);
  entry.row.paused = paused;
  entry.row.failures = 0;
  // What it would have fired while paused is not made up for.
  if (!paused && entry.waiting.empty()) set_next_from_now(entry);
  arm(entry);
  save(entry);
  return ok_status();
}

Result<JobId> Scheduler::run_now(const std::string& name) {
  Result<Entry*> found = find(name);
  if (!found) return found.error();
  Entry& entry = **found;
  Result<JobId> id = enqueue(entry, turn_.wall_ms);
  if (!id) return id.error();
  entry.row.last_job = *id;
  save(entry);
  return *id;
}

Result<std::vector<JobId>> Scheduler::backfill(const std::string& name, int64_t from_wall_ms, int64_t to_wall_ms) {
  Result<Entry*> found = find(name);
  if (!found) return found.error();
  const Entry& entry = **found;
  const ScheduleSpec& spec = entry.row.spec;
  if (!entry.waiting.empty()) return Error{HF_E_CONFLICT, "schedule " + name + " waits: " + entry.waiting};
  if (!entry.by_wall()) return Error{HF_E_INVALID, "only a line of the calendar has times to fill in; " + quoted(spec.cron) + " goes by elapsed time"};
  if (!turn_.wall_trusted) return Error{HF_E_CONFLICT, "the clock is not trusted yet: which times are past is not known"};
  if (from_wall_ms < 0 || from_wall_ms >= to_wall_ms) return Error{HF_E_INVALID, "from " + format_time(from_wall_ms) + " is not before to " + format_time(to_wall_ms)};
  if (to_wall_ms > turn_.wall_ms) return Error{HF_E_INVALID, "to " + format_time(to_wall_ms) + " is not past: what is to come fires by itself"};
  std::vector<int64_t> times;
  int64_t at = std::max(from_wall_ms, spec.start_wall_ms) - 1;
  const int64_t to = spec.end_wall_ms != 0 ? std::min(to_wall_ms, spec.end_wall_ms) : to_wall_ms;
  for (auto next = entry.cron->next(at, *entry.zone, spec.dst); next && *next < to; next = entry.cron->next(*next, *entry.zone, spec.dst)) {
    if (times.size() == kBackfillMax) {
      return Error{HF_E_INVALID, "it has more than " + std::to_string(kBackfillMax) + " times from " + format_time(from_wall_ms) + " on; the next part begins at " + format_time(*next)};
    }
    times.push_back(*next);
  }
  return jobs_.enqueue_scheduled(spec.job, entry.row.spec.name, times);
}

Result<std::vector<ScheduleInfo>> Scheduler::list(const std::string& name) const {
  std::vector<ScheduleInfo> infos;
  if (!name.empty()) {
    Result<Entry*> found = const_cast<Scheduler*>(this)->find(name);
    if (!found) return found.error();
  }
  for (auto& [key, entry] : entries_) {
    if (!name.empty() && key != name) continue;
    const ScheduleRow& row = entry.row;
    ScheduleInfo info;
    info.spec = row.spec;
    info.paused = row.paused;
    info.failures = row.failures;
    info.waiting = entry.waiting;
    if (!info.waiting.empty()) {
      // that is why
    } else if (row.paused && row.spec.pause_after_failures != 0 && row.failures >= row.spec.pause_after_failures) {
      info.waiting = "it has paused itself: the last " + std::to_string(row.failures) + " jobs failed";
    } else if (entry.used_up()) {
      info.waiting = "it has ended: it fired " + std::to_string(row.fired) + " of " + std::to_string(row.spec.limit) + " times";
    } else if (entry.ended()) {
      info.waiting = row.spec.end_wall_ms != 0 ? "it has ended: none of its times is left before " + format_time(row.spec.end_wall_ms) : "it has no time left before the year 10000";
    } else if (entry.by_wall() && !turn_.wall_trusted) {
      info.waiting = "the clock is not trusted yet";
    }
    if (row.fire_ms != kNever && row.fire_ms != 0) info.next_wall_ms = wall_of(entry, row.fire_ms);
    info.last_wall_ms = row.last_wall_ms;
    info.last_job = row.last_job;
    info.fired = row.fired;
    info.skipped = row.skipped;
    infos.push_back(std::move(info));
  }
  return infos;
}

// ---- firing -----------------------------------------------------------------------------------------------

Result<JobId> Scheduler::enqueue(const Entry& entry, int64_t occurrence_wall_ms) {
  const JobSpec& job = entry.row.spec.job;
  Result<std::vector<JobId>> ids = jobs_.enqueue_scheduled(job, entry.row.spec.name, {occurrence_wall_ms});
  if (!ids) return ids.error();
  return ids->front();
}

bool Scheduler::last_job_open(const Entry& entry) const {
  if (entry.row.last_job == 0) return false;
  jobs_.flush();
  FullRow row = turn_.store.read(entry.row.last_job, false);
  // A result that waits for its sink is no run that goes on: it waits for days where the link is away.
  return row.found && !is_final(row.job.state) && !turn_.lanes.by_id(row.job.lane)->delivery();
}

void Scheduler::skip(Entry& entry, const std::string& why) {
  ++entry.row.skipped;
  turn_.tell(Change::fired, 0, nullptr).detail = entry.row.spec.name + ": skipped: " + why;
}

// Those of one turn do not overlap each other.
void Scheduler::make_jobs(Entry& entry, const std::vector<int64_t>& times) {
  ScheduleRow& row = entry.row;
  const bool overlaps = row.spec.overlap != Overlap::queue && last_job_open(entry);
  if (overlaps && row.spec.overlap == Overlap::cancel) (void)jobs_.cancel(row.last_job);  // it was open a line above
  for (int64_t at : times) {
    if (entry.used_up()) return;
    if (overlaps && row.spec.overlap == Overlap::skip) {
      skip(entry, "the job of the last firing is not finished (overlap: skip)");
      continue;
    }
    Result<JobId> id = enqueue(entry, wall_of(entry, at));
    if (!id) {
      if (id.error().code == HF_E_RATE) turn_.losses.add(LossCause::too_fast, row.spec.job.queue, turn_.now_ms);
      skip(entry, id.error().message);
      continue;
    }
    row.last_job = *id;
    row.last_wall_ms = wall_of(entry, at);
    ++row.fired;
    ++turn_.stats.fired;
    turn_.tell(Change::fired, *id, nullptr).detail = row.spec.name;
  }
}

void Scheduler::fire_one(Entry& entry) {
  ScheduleRow& row = entry.row;
  const int64_t now = axis_now(entry);
  if (row.next_ms == 0) {  // the first time, now that the clock is trusted
    set_next(entry, following(entry, now));
    return;
  }
  if (now - row.fire_ms <= kMisfireMs + row.spec.slack_ms) {
    const int64_t at = row.next_ms;
    make_jobs(entry, {at});
    set_next(entry, following(entry, at));
    return;
  }
  const std::vector<int64_t> late = to_make_up(entry, now);
  if (late.empty() && !entry.used_up()) {
    const bool by_window = row.spec.catch_up != CatchUp::skip;
    skip(entry, "missed by " + format_duration_human(now - row.next_ms) + (by_window ? " (catch_up_window)" : " (catch_up: skip)"));
  }
  make_jobs(entry, late);
  // @every keeps its beat.
  const int64_t done = entry.is(CronLine::Kind::every) ? latest(entry, now) : now;
  set_next(entry, following(entry, done));
}

void Scheduler::fire_due(Order& order, int64_t now) {
  for (int n = 0; n < kFiringsATurn && order.is_due(now) && turn_.store.ok(); ++n) {
    Entry& entry = entries_.find(order.first())->second;
    disarm(entry);
    fire_one(entry);
    arm(entry);
    save(entry);
  }
}

void Scheduler::count_ends() {
  for (const Turn::ScheduledEnd& end : turn_.scheduled_ends) {
    auto it = entries_.find(end.schedule);
    if (it == entries_.end() || it->second.row.spec.pause_after_failures == 0) continue;
    Entry& entry = it->second;
    ScheduleRow& row = entry.row;
    if (!end.dead && row.failures == 0) continue;
    row.failures = end.dead ? row.failures + 1 : 0;
    if (end.dead && row.failures >= row.spec.pause_after_failures && !row.paused) {
      disarm(entry);
      row.paused = true;
      turn_.tell(Change::schedule_paused, 0, nullptr).detail = row.spec.name + ": the last " + std::to_string(row.failures) + " jobs failed";
    }
    save(entry);
  }
  turn_.scheduled_ends.clear();
}

void Scheduler::work() {
  count_ends();
  if (turn_.room != Room::enough) return;
  find_zones_anew();
  fire_due(by_elapsed_, turn_.now_ms);
  if (turn_.wall_trusted) fire_due(by_wall_, turn_.wall_ms);
}

void Scheduler::clock_changed() {
  if (!turn_.wall_trusted) return;
  for (auto& [name, entry] : entries_) renew_next(entry);
}

void Scheduler::renew_next(Entry& entry) {
  const int64_t next = entry.row.next_ms;
  if (!entry.by_wall() || !entry.waiting.empty() || next == kNever || next <= turn_.wall_ms) return;  // <=: due, or not known yet
  // An occurrence of the hours that come again has fired already; one of a far future never should have.
  const int64_t last = entry.row.last_wall_ms;
  const int64_t after = last > turn_.wall_ms && last - turn_.wall_ms <= kDayMs ? last : turn_.wall_ms;
  const int64_t anew = following(entry, after);
  if (anew == next) return;
  disarm(entry);
  set_next(entry, anew);
  arm(entry);
  // Where nothing can be written, the engine that can will find it again.
  if (!only_reads(turn_.room)) save(entry);
}

// The rules of a zone may be others now: what lies ahead is looked for anew, as it is at the first turn, by clock_changed().
// One whose zone was gone makes up for what it missed.
void Scheduler::find_zones_anew() {
  if (zones_version_ == zones_.version()) return;
  zones_version_ = zones_.version();
  for (auto& [name, entry] : entries_) {
    if (!entry.cron) continue;  // nobody here understands its line
    const bool waited = !entry.waiting.empty();
    if (!find_zone(entry)) continue;  // it waits on, or goes on by the zone as it was read
    if (waited) arm(entry);
    if (turn_.wall_trusted) renew_next(entry);
  }
}

}  // namespace hf
