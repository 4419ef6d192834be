// The clocks of the device, what becomes of them, and a right clock beside them, against which the elapsed time of the
// engine and its delays are held.
#pragma once

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/requests.h"
#include "workload.h"

namespace hf::sim {

class Clocks {
 public:
  static constexpr int64_t kStartMs = 3000;
  static constexpr int64_t kStartWall = 1790000000000;  // 2026-09-21

  const Now& now() const { return now_; }
  // Right, and over reboots.
  int64_t time() const { return booted_at_ + now_.boot_ms; }
  int64_t right_wall_ms() const { return kStartWall + time() - kStartMs; }

  void pass(int64_t ms) {
    now_.boot_ms += ms;
    now_.wall_ms += ms;
  }
  // Somebody sets the wall clock: mostly by a little, now and then back by an hour, on by three, or to another year.
  // Whoever called it right goes on to do so. True: it is far off.
  bool step(Random& random) {
    static constexpr int64_t kFar[] = {-3600000, 3 * 3600000, 10LL * 366 * 86400000, -30LL * 86400000};
    const bool far = random.below(4) == 0;
    const int64_t by = far ? kFar[random.below(std::size(kFar))] : random.between(-100000, 100000);
    now_.wall_ms = std::max<int64_t>(1000, now_.wall_ms + by);
    heard();
    return far;
  }
  void distrust() { now_.synced = false; }
  void put_right() {
    now_.wall_ms = right_wall_ms();
    now_.synced = true;
    heard();
  }
  // Without power for a while. True: the clock begins in 1970.
  bool reboot(int64_t off_ms, Random& random) {
    booted_at_ += now_.boot_ms + off_ms - kStartMs;
    now_.boot_ms = kStartMs;
    now_.wall_ms += off_ms;
    std::erase_if(not_before_, [](const auto& wait) { return !wait.second.on_disk; });  // the power cut may have taken it back
    ahead_ms_ = may_be_ahead_ms();
    least_wrong_ = std::min(least_wrong_, boots_least_wrong_);
    rebooted_ = true;
    heard_ = jumped_ = false;
    offset_ = kUnknown;
    boots_least_wrong_ = boots_most_wrong_ = 0;
    const bool lost = random.below(3) == 0 && now_.synced;
    if (lost) {
      now_.wall_ms = 1000;
      now_.synced = false;
    }
    heard();
    return lost;
  }

  // No step of the wall clock moves a delay, a wait before a retry, or the time that has passed. "" if all is well.
  std::string check(const std::vector<Op>& ops, const std::vector<Reply>& replies, const Tick& tick) {
    for (const Transition& t : tick.feed) {
      if (t.id != 0 && t.change != Change::started) waits(t.id, t.change == Change::retried || t.change == Change::deferred ? t.wait_ms : 0, false);
    }
    std::string wrong;
    for (size_t i = 0; i < ops.size(); ++i) {
      if (const auto* stats = std::get_if<Stats>(&replies[i])) wrong = check_elapsed(stats->clock.elapsed_ms);
      const auto* ids = std::get_if<std::vector<JobId>>(&replies[i]);
      const std::vector<JobSpec> added = added_by(ops[i]);
      for (size_t n = 0; n < added.size() && ids != nullptr; ++n) {
        if (added[n].unique_key.empty()) plain_.insert((*ids)[n]);
        waits((*ids)[n], added[n].delay_ms, true);
      }
    }
    for (const Action& a : tick.actions) {
      const auto* start = std::get_if<StartRun>(&a);
      for (size_t n = 0; start != nullptr && n < start->jobs.size() && wrong.empty(); ++n) wrong = check_begin(start->jobs[n].id);
      if (start != nullptr && start->runner == kPaced && wrong.empty()) wrong = check_pace(std::string("handler ") + kPaced, kPace);
    }
    return wrong;
  }
  // One begins: so many in no stretch of time, whatever its beginning.
  std::string check_pace(const std::string& whose, const Rate& pace) {
    std::deque<Begun>& begun = begun_[whose];
    begun.push_back({time(), may_be_ahead_ms()});
    if (begun.size() > 40) begun.pop_front();
    for (size_t first = 0; first < begun.size(); ++first) {
      const auto runs = static_cast<int64_t>(begun.size() - first);
      const int64_t passed = time() - begun[first].at + std::max<int64_t>(may_be_ahead_ms() - begun[first].ahead, 0);
      if (runs <= pace.burst + passed * pace.runs / pace.per_ms) continue;
      return std::to_string(runs) + " runs of " + whose + " within " + std::to_string(passed) + " ms";
    }
    return "";
  }
  // The turn failed, and may be in the file all the same.
  void in_doubt(const std::vector<Op>& ops) {
    for (const Op& op : ops) {
      if (const auto* edit = std::get_if<Edit>(&op)) not_before_.erase(edit->id);
      if (const auto* retry = std::get_if<Retry>(&op)) not_before_.erase(retry->id);
    }
  }

 private:
  static constexpr int64_t kUnknown = -1;

  // What the engine says that has passed. In one boot it goes with the boot clock, but for one jump: the time in which
  // the device was off, once the wall clock is trusted. It is never ahead of the right one.
  std::string check_elapsed(int64_t elapsed_ms) {
    const int64_t offset = elapsed_ms - now_.boot_ms;
    std::string wrong;
    if (offset_ != kUnknown && offset != offset_) {
      if (offset < offset_) wrong = "elapsed time went back by " + std::to_string(offset_ - offset) + " ms";
      else if (!rebooted_) wrong = "elapsed time jumped by " + std::to_string(offset - offset_) + " ms";
      else if (jumped_) wrong = "elapsed time jumped twice in a boot";
      jumped_ = true;
    }
    offset_ = offset;
    if (first_ == kUnknown) first_ = elapsed_ms - time();
    const int64_t ahead = elapsed_ms - time() - first_;
    if (ahead > may_be_ahead_ms()) wrong = "elapsed time is " + std::to_string(ahead) + " ms ahead of the right one, and at most " + std::to_string(may_be_ahead_ms()) + " of them are a wrong clock's";
    return wrong;
  }

  // A job waits so long from now on; 0: not, or nobody knows. `on_disk`: that was acknowledged.
  void waits(JobId id, int64_t wait_ms, bool on_disk) {
    if (wait_ms > 0 && plain_.contains(id)) not_before_[id] = {time() + wait_ms, may_be_ahead_ms(), on_disk};
    else not_before_.erase(id);
  }
  // It begins.
  std::string check_begin(JobId id) {
    const auto it = not_before_.find(id);
    if (it == not_before_.end()) return "";
    const int64_t early = it->second.at - time() - (may_be_ahead_ms() - it->second.ahead);
    not_before_.erase(it);
    return early > 0 ? "job " + std::to_string(id) + " runs " + std::to_string(early) + " ms too early" : "";
  }

  int64_t wrong_ms() const { return now_.wall_ms - right_wall_ms(); }
  // Somebody calls this time right: the engine may believe it.
  void heard() {
    if (!now_.synced) return;
    const int64_t wrong = wrong_ms();
    boots_least_wrong_ = heard_ ? std::min(boots_least_wrong_, wrong) : wrong;
    boots_most_wrong_ = heard_ ? std::max(boots_most_wrong_, wrong) : wrong;
    heard_ = true;
  }
  // By what the wall clock said before a reboot and after it the device was off for longer than it was.
  int64_t may_be_ahead_ms() const {
    return ahead_ms_ + (rebooted_ && heard_ ? std::max<int64_t>(boots_most_wrong_ - least_wrong_, 0) : 0);
  }

  Now now_{kStartMs, kStartWall, true};
  int64_t booted_at_ = 0;
  bool heard_ = true, rebooted_ = false;
  int64_t boots_least_wrong_ = 0, boots_most_wrong_ = 0;  // in this boot, of the times that were called right
  int64_t least_wrong_ = 0;                               // in those before
  int64_t ahead_ms_ = 0;                                  // by what was said then

  int64_t offset_ = kUnknown, first_ = kUnknown;
  bool jumped_ = false;
  struct Wait {
    int64_t at, ahead;
    bool on_disk;
  };
  std::map<JobId, Wait> not_before_;
  struct Begun {
    int64_t at, ahead;
  };
  std::map<std::string, std::deque<Begun>> begun_;  // runs of whom
  std::set<JobId> plain_;  // without a unique key, by which another may take its place, at another time
};

}  // namespace hf::sim
