#include "core/timekeeper.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/units.h"

namespace hf {
namespace {

constexpr int64_t kDayMs = 86400000;
constexpr int64_t kStepMs = 2000;  // wall minus boot time moved by more than this: the clock was set
// The saved progress is at most so old when work goes on, and when something only waits without a trusted clock: idle_ms().
constexpr int64_t kSaveMs = 60000, kSaveIdleMs = 15 * 60000, kSaveTrustedMs = 5 * 60000;
constexpr int64_t kLookMs = 5000;  // while work waits for a clock that nobody has called right
// A clock that is only plausible does not make more than this of the time in which the device was off: one that starts
// at a wrong time must not expire what is waiting.
constexpr int64_t kOffMaxMs = 31 * kDayMs;

}  // namespace

Status validate(const ClockRule& rule) {
  for (const int64_t at : {rule.floor_ms, rule.ceiling_ms}) {
    if (at < 0 || at > kMaxUnixMs) return Error{HF_E_INVALID, "the floor and the ceiling of the clock are times from 1970 to the year 9999"};
  }
  if (rule.ceiling_ms != 0 && rule.ceiling_ms <= rule.floor_ms) {
    return Error{HF_E_INVALID, "the clock's ceiling " + format_time(rule.ceiling_ms) + " is not after its floor " + format_time(rule.floor_ms)};
  }
  return check_duration("holdover", rule.holdover_ms, 0, kHoldoverMaxMs);
}

void Timekeeper::open(const Now& now, const std::string& boot_id, const ClockRule& rule) {
  Store& store = turn_.store;
  rule_ = rule;
  boot_id_ = boot_id;
  now_ = now;
  auto kept = [&](const char* key) { return std::max<int64_t>(store.meta(key, 0), 0); };
  // It begins at 1: 0 means "none". A row that was written since it was saved knows of a later time.
  const int64_t saved_elapsed = std::max<int64_t>(kept("elapsed"), 1), saved_boot = kept("boot_ms"), saved_wall = kept("wall_ms");
  // A boot clock that shows less than it did has begun anew, whatever the boot is called: a machine that was put back.
  same_boot_ = !boot_id.empty() && store.meta_text("boot_id") == boot_id && now.boot_ms >= saved_boot;
  confirmed_floor_ms_ = kept("floor_ms");
  turn_.stats.clock_steps = kept("steps");
  step_by_ms_ = std::max(store.meta("step_by_ms", 0), -kTimeMax);
  step_to_wall_ms_ = kept("step_to_wall_ms");
  step_at_ms_ = kept("step_at_ms");
  if (same_boot_ && kept("right_boot_ms") != 0) confirmed_ = {kept("right_wall_ms") - kept("right_boot_ms"), kept("right_boot_ms")};
  judge();
  int64_t elapsed = std::max(saved_elapsed, store.latest_time());
  if (same_boot_) {
    elapsed = std::max(elapsed, saved_elapsed + now.boot_ms - saved_boot);
    if (const int64_t seen = kept("seen_wall_ms"); seen != 0) last_offset_ms_ = seen - saved_boot;  // set since: the first turn sees it
  } else if (saved_wall != 0 && turn_.wall_trusted) {
    const int64_t off = now.wall_ms - saved_wall;
    elapsed = std::max(elapsed, saved_elapsed + (now.synced ? off : std::min(off, kOffMaxMs)));
  }
  elapsed = std::min(elapsed, kTimeMax / 2);  // of a damaged file; time still goes on
  base_ms_ = elapsed - now.boot_ms;
  opened_ms_ = saved_ms_ = elapsed;
  was_trusted_ = turn_.wall_trusted;
  set_time(now);
}

void Timekeeper::set_time(const Now& now) {
  now_ = now;
  turn_.now_ms = base_ms_ + now.boot_ms;
  turn_.wall_ms = now.wall_ms;
  // A job shows the same times whenever it is looked at, not a millisecond more or less.
  if (const int64_t offset = turn_.wall_ms - turn_.now_ms; std::abs(offset - turn_.offset_ms) > 1) turn_.offset_ms = offset;
  judge();
}

// ---- trust ------------------------------------------------------------------------------------------------

int64_t Timekeeper::floor_ms() const { return std::max(rule_.floor_ms, confirmed_floor_ms_); }
int64_t Timekeeper::ceiling_ms() const { return rule_.ceiling_ms != 0 ? rule_.ceiling_ms : floor_ms() + kClockSpanMs; }
bool Timekeeper::plausible() const { return now_.wall_ms >= floor_ms() && now_.wall_ms <= ceiling_ms(); }
bool Timekeeper::held() const {
  return confirmed_ && std::abs(offset() - confirmed_->offset_ms) <= kStepMs && now_.boot_ms - confirmed_->boot_ms < rule_.holdover_ms;
}

void Timekeeper::judge() {
  if (now_.synced) confirmed_ = {offset(), now_.boot_ms};
  turn_.wall_trusted = now_.synced || held() || (rule_.plausible && plausible());
}

bool Timekeeper::observe(const Now& now) {
  set_time(now);
  bool anew = std::exchange(first_turn_, false);
  if (last_offset_ms_ && std::abs(offset() - *last_offset_ms_) > kStepMs) anew |= note_step(offset() - *last_offset_ms_);
  last_offset_ms_ = offset();
  anew |= tell_trust();
  return anew;
}

bool Timekeeper::judge_anew() {
  judge();
  return tell_trust();
}

bool Timekeeper::tell_trust() {
  if (turn_.wall_trusted == was_trusted_) return false;
  was_trusted_ = turn_.wall_trusted;
  turn_.tell(was_trusted_ ? Change::clock_trusted : Change::clock_untrusted, 0, nullptr).detail = info().why;
  return true;
}

// Recorded with the turn: it is known after a restart, however the process ends.
bool Timekeeper::note_step(int64_t by_ms) {
  step_by_ms_ = by_ms;
  step_to_wall_ms_ = now_.wall_ms;
  step_at_ms_ = turn_.now_ms;
  ++turn_.stats.clock_steps;
  Transition& told = turn_.tell(Change::clock_stepped, 0, nullptr);
  told.wait_ms = by_ms;
  told.detail = "set " + std::string(by_ms < 0 ? "back" : "forward") + " by " + format_duration_human(std::abs(by_ms)) + " to " + format_time(now_.wall_ms);
  if (only_reads(turn_.room)) return by_ms < 0;
  turn_.store.set_meta("steps", turn_.stats.clock_steps);
  turn_.store.set_meta("step_by_ms", by_ms);
  turn_.store.set_meta("step_to_wall_ms", now_.wall_ms);
  turn_.store.set_meta("step_at_ms", turn_.now_ms);
  save();  // a new process is not to find it again
  return by_ms < 0;
}

Status Timekeeper::confirm() {
  if (now_.wall_ms < rule_.floor_ms || now_.wall_ms > kMaxUnixMs) {
    return Error{HF_E_CONFLICT, "the clock shows " + format_time(now_.wall_ms) + ", and no right clock shows less than " + format_time(rule_.floor_ms) + ": set it first"};
  }
  confirmed_ = {offset(), now_.boot_ms};
  confirmed_floor_ms_ = now_.wall_ms;
  turn_.store.set_meta("floor_ms", confirmed_floor_ms_);
  save();
  return ok_status();
}

void Timekeeper::forget_floor() {
  confirmed_floor_ms_ = 0;
  turn_.store.set_meta("floor_ms", 0);
}

// ---- what is saved ----------------------------------------------------------------------------------------

// Twice as long each time: a power cut takes back at most half of what has passed since the start. A trusted clock brings that
// back too, once it is trusted again, so that it may be more; without one it is lost, so there is a bound.
int64_t Timekeeper::idle_ms() const {
  const int64_t half = saved_ms_ - opened_ms_;
  return turn_.wall_trusted ? std::max(half, kSaveTrustedMs) : std::clamp(half, kSaveMs, kSaveIdleMs);
}

void Timekeeper::save_if_due(bool wrote) {
  if (turn_.now_ms - saved_ms_ >= (wrote ? kSaveMs : idle_ms())) save();
}

void Timekeeper::save() {
  Store& store = turn_.store;
  store.set_meta("elapsed", turn_.now_ms);
  store.set_meta("boot_ms", now_.boot_ms);
  store.set_meta("wall_ms", turn_.wall_trusted ? now_.wall_ms : 0);
  store.set_meta("seen_wall_ms", now_.wall_ms);
  store.set_meta_text("boot_id", boot_id_);
  store.set_meta("right_wall_ms", confirmed_ ? confirmed_->offset_ms + confirmed_->boot_ms : 0);
  store.set_meta("right_boot_ms", confirmed_ ? confirmed_->boot_ms : 0);
  // Only somebody's word raises the floor, never the clock's own: a wrong one would make every right one untrusted.
  if (now_.synced && now_.wall_ms > confirmed_floor_ms_ && now_.wall_ms <= kMaxUnixMs) {
    confirmed_floor_ms_ = now_.wall_ms;
    store.set_meta("floor_ms", confirmed_floor_ms_);
  }
  saved_ms_ = turn_.now_ms;
}

int64_t Timekeeper::next_wake_ms(int64_t next_due_ms, bool wall_work_waits) const {
  int64_t wake = kNever;
  // What is due soon after saves it as well.
  if (next_due_ms != kNever && next_due_ms > saved_ms_ + 2 * idle_ms()) wake = saved_ms_ + idle_ms();
  if (wall_work_waits && !turn_.wall_trusted) wake = std::min(wake, turn_.now_ms + kLookMs);
  return wake;
}

// ---- what is shown ----------------------------------------------------------------------------------------

ClockInfo Timekeeper::info() const {
  ClockInfo info;
  info.trusted = turn_.wall_trusted;
  info.synced = now_.synced;
  info.wall_ms = now_.wall_ms;
  info.elapsed_ms = turn_.now_ms;
  info.floor_ms = floor_ms();
  info.ceiling_ms = ceiling_ms();
  info.steps = turn_.stats.clock_steps;
  if (info.steps > 0) {
    info.step_by_ms = step_by_ms_;
    info.step_to_wall_ms = step_to_wall_ms_;
    info.step_age_ms = std::max<int64_t>(turn_.now_ms - step_at_ms_, 0);
  }
  const std::string shows = "it shows " + format_time(now_.wall_ms);
  if (now_.synced) {
    info.why = "it is synchronised";
  } else if (held()) {
    info.why = "it was right " + format_duration_human(now_.boot_ms - confirmed_->boot_ms) + " ago, and was not set since";
  } else if (now_.wall_ms < info.floor_ms) {
    info.why = shows + ", before " + format_time(info.floor_ms) + ", and no right clock does";
  } else if (now_.wall_ms > info.ceiling_ms) {
    info.why = shows + ", after " + format_time(info.ceiling_ms) + ", and no right clock does";
  } else if (rule_.plausible) {
    info.why = "it is plausible: not before " + format_time(info.floor_ms);
  } else {
    info.why = shows + ", and nothing has called it right yet";
  }
  return info;
}

}  // namespace hf
