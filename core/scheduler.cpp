#include "core/scheduler.h"

#include <algorithm>

#include "core/names.h"
#include "core/units.h"

namespace hf {

namespace {
constexpr int64_t kDayMs = 86400000;
}

void Scheduler::load() {
  for (ScheduleRow& row : turn_.store.schedules()) {
    Entry entry;
    entry.row = std::move(row);
    // A line that a newer version wrote or a zone that is gone: kept, shown as waiting.
    if (Status ok = prepare(entry); !ok) entry.waiting = ok.error().message;
    auto [it, added] = entries_.emplace(entry.row.spec.name, std::move(entry));
    arm(it->second);
  }
}

Status Scheduler::prepare(Entry& entry) const {
  const ScheduleSpec& spec = entry.row.spec;
  Result<CronExpr> cron = CronExpr::parse(spec.cron, cron_seed(device_, spec.name));
  if (!cron) return Error{HF_E_INVALID, "cron " + quoted(spec.cron) + ": " + cron.error().message};
  std::string zone = cron->zone_name().empty() ? spec.zone : cron->zone_name();
  Result<std::shared_ptr<const Zone>> found = zones_.find(zone);
  if (!found) return Error{HF_E_INVALID, "time zone " + quoted(zone) + ": " + found.error().message};
  entry.cron = std::move(*cron);
  entry.zone = std::move(*found);
  entry.waiting.clear();
  return ok_status();
}

int64_t Scheduler::following(const Entry& entry, int64_t at) const {
  return entry.every() ? at + entry.cron->every_ms() : entry.cron->next(at, *entry.zone).value_or(kNever);
}

void Scheduler::set_next(Entry& entry, int64_t next_ms) {
  ScheduleRow& row = entry.row;
  row.next_ms = row.fire_ms = next_ms;
  if (next_ms != kNever && row.spec.jitter_ms > 0) row.fire_ms += turn_.random.between(0, row.spec.jitter_ms);
}

void Scheduler::set_next_from_now(Entry& entry) {
  bool known = entry.every() || turn_.wall_trusted;
  if (known) {
    set_next(entry, following(entry, axis_now(entry)));
  } else {
    entry.row.next_ms = entry.row.fire_ms = 0;  // found once the clock is trusted
  }
}

void Scheduler::arm(Entry& entry) {
  disarm(entry);
  if (entry.row.paused || !entry.waiting.empty() || entry.row.fire_ms == kNever) return;
  // 0: no first time yet. A calendar line finds it when the clock is trusted: due at once then.
  (entry.every() ? by_elapsed_ : by_wall_).insert({entry.row.fire_ms, entry.row.spec.name});
}

void Scheduler::disarm(const Entry& entry) {
  by_wall_.erase({entry.row.fire_ms, entry.row.spec.name});
  by_elapsed_.erase({entry.row.fire_ms, entry.row.spec.name});
}

Status Scheduler::put(const ScheduleSpec& spec) {
  HF_TRY(check_name("schedule", spec.name));
  if (spec.jitter_ms < 0 || spec.jitter_ms > kDayMs) {
    return Error{HF_E_INVALID, "jitter is " + std::to_string(spec.jitter_ms) + " ms; allowed is 0 to 1d"};
  }
  if (spec.job.delay_ms != 0 || spec.job.at_wall_ms != 0 || !spec.job.unique_key.empty()) {
    return Error{HF_E_INVALID, "a schedule's job has no delay, at or unique_key of its own"};
  }
  HF_TRY(jobs_.validate(spec.job));
  auto it = entries_.find(spec.name);
  if (it != entries_.end() && it->second.row.spec == spec && it->second.waiting.empty()) return ok_status();
  if (it == entries_.end() && entries_.size() >= kSchedulesMax) {
    return Error{HF_E_FULL, "there are " + std::to_string(entries_.size()) + " schedules, the most there may be"};
  }
  Entry entry;
  if (it != entries_.end()) entry = it->second;
  bool same_times = it != entries_.end() && entry.row.spec.cron == spec.cron && entry.row.spec.zone == spec.zone &&
                    entry.row.spec.jitter_ms == spec.jitter_ms && entry.row.next_ms != 0;
  entry.row.spec = spec;
  HF_TRY(prepare(entry));
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

Result<std::vector<ScheduleInfo>> Scheduler::list(const std::string& name) const {
  std::vector<ScheduleInfo> infos;
  if (!name.empty()) {
    Result<Entry*> found = const_cast<Scheduler*>(this)->find(name);
    if (!found) return found.error();
  }
  for (auto& [key, entry] : entries_) {
    if (!name.empty() && key != name) continue;
    ScheduleInfo info;
    info.spec = entry.row.spec;
    info.paused = entry.row.paused;
    info.waiting = entry.waiting;
    if (info.waiting.empty() && !entry.every() && !turn_.wall_trusted) info.waiting = "the clock is not trusted yet";
    if (entry.row.fire_ms != kNever && entry.row.fire_ms != 0) {
      info.next_wall_ms = entry.every() ? turn_.wall_of(entry.row.fire_ms) : entry.row.fire_ms;
    }
    info.last_wall_ms = entry.row.last_wall_ms;
    info.last_job = entry.row.last_job;
    info.fired = entry.row.fired;
    info.skipped = entry.row.skipped;
    infos.push_back(std::move(info));
  }
  return infos;
}

Result<JobId> Scheduler::enqueue(const Entry& entry, int64_t occurrence_wall_ms) {
  const JobSpec& job = entry.row.spec.job;
  HF_TRY(jobs_.takes_jobs(job.queue));
  HF_TRY(jobs_.has_room(1, static_cast<int64_t>(job.payload.size())));
  return jobs_.enqueue_one(job, 0, entry.row.spec.name, occurrence_wall_ms);
}

bool Scheduler::last_job_open(const Entry& entry) const {
  if (entry.row.last_job == 0) return false;
  jobs_.flush();
  FullRow row = turn_.store.read(entry.row.last_job, false);
  return row.found && !is_final(row.job.state);
}

bool Scheduler::fire_occurrence(Entry& entry, int64_t occurrence_wall_ms) {
  ScheduleRow& row = entry.row;
  std::string refused;
  if (last_job_open(entry)) {
    if (row.spec.overlap == Overlap::skip) refused = "the job of the last firing is not finished (overlap: skip)";
    if (row.spec.overlap == Overlap::cancel) (void)jobs_.cancel(row.last_job);  // it was open a line above
  }
  if (refused.empty()) {
    Result<JobId> id = enqueue(entry, occurrence_wall_ms);
    if (id) {
      row.last_job = *id;
      row.last_wall_ms = occurrence_wall_ms;
      ++row.fired;
      ++turn_.stats.fired;
      turn_.tell(Change::fired, *id, nullptr).detail = row.spec.name;
      return true;
    }
    refused = id.error().message;
  }
  ++row.skipped;
  turn_.tell(Change::fired, 0, nullptr).detail = row.spec.name + ": skipped: " + refused;
  return false;
}

void Scheduler::fire_one(Entry& entry) {
  ScheduleRow& row = entry.row;
  int64_t now = axis_now(entry);
  if (row.next_ms == 0) {  // the first time, now that the clock is trusted
    set_next(entry, following(entry, now));
    return;
  }
  auto occurrence = [&](int64_t at) { return entry.every() ? turn_.wall_of(at) : at; };
  bool missed = now - row.fire_ms > kMisfireMs;
  int64_t done = row.next_ms;  // what has been dealt with: the next firing lies behind it
  if (!missed) {
    fire_occurrence(entry, occurrence(done));
  } else if (row.spec.catch_up == CatchUp::once) {
    // The latest of those that were missed stands for all.
    if (entry.every()) {
      done += (now - done) / entry.cron->every_ms() * entry.cron->every_ms();
    } else {
      done = std::max(done, entry.cron->previous(now + 1, *entry.zone).value_or(done));
    }
    fire_occurrence(entry, occurrence(done));
  } else if (row.spec.catch_up == CatchUp::all) {
    fire_occurrence(entry, occurrence(done));
    for (int n = 1; n < kCatchUpMax && following(entry, done) <= now; ++n) {
      done = following(entry, done);
      fire_occurrence(entry, occurrence(done));
    }
  } else {
    ++row.skipped;
    turn_.tell(Change::fired, 0, nullptr).detail = row.spec.name + ": skipped: missed by " + format_duration_human(now - done) + " (catch_up: skip)";
  }
  int64_t next = following(entry, done);
  set_next(entry, missed && next <= now ? following(entry, now) : next);
}

void Scheduler::fire() {
  auto run = [&](Order& order, int64_t now) {
    for (int n = 0; n < kCatchUpMax && !order.empty() && order.begin()->first <= now && turn_.store.ok(); ++n) {
      Entry& entry = entries_.find(order.begin()->second)->second;
      disarm(entry);
      fire_one(entry);
      arm(entry);
      save(entry);
    }
  };
  run(by_elapsed_, turn_.now_ms);
  if (turn_.wall_trusted) run(by_wall_, turn_.wall_ms);
}

void Scheduler::clock_changed() {
  if (!turn_.wall_trusted) return;
  for (auto& [name, entry] : entries_) {
    if (entry.every() || !entry.waiting.empty() || entry.row.next_ms == 0 || entry.row.next_ms == kNever) continue;
    // An occurrence of the hours that come again has fired already; one of a far future never should have.
    int64_t last = entry.row.last_wall_ms;
    int64_t after = last > turn_.wall_ms && last - turn_.wall_ms <= kDayMs ? last : turn_.wall_ms;
    int64_t next = entry.cron->next(after, *entry.zone).value_or(kNever);
    if (next >= entry.row.next_ms) continue;
    disarm(entry);
    set_next(entry, next);
    arm(entry);
    save(entry);
  }
}

}  // namespace hf
