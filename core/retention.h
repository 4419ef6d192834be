// Retention: finished jobs leave by age and by count, a bounded number a turn, driven by time.
#pragma once

#include <algorithm>
#include <array>

#include "core/queue_retention.h"
#include "core/turn.h"

namespace hf {

inline constexpr int kRetentionBatch = 200;    // rows that leave in one turn
inline constexpr int kRetentionLookMax = 2000;  // rows of a state that one turn looks at: those whose unique key is held stay, and the next
                                               // turn goes on behind them

class Retention {
 public:
  explicit Retention(Turn& turn) : turn_(turn), queues_(turn) {}

  // What is over its age or count now, up to kRetentionBatch rows. Nothing leaves before jobs may run for the first time, or limits are
  // set: what the configuration says of queues is not known before.
  void sweep(bool dispatching);
  int64_t prune_all();        // all of it, and gives free pages back; rows deleted
  int64_t next_wake_ms() const { return waits_ ? kNever : std::min(next_ms_, queues_.next_wake_ms()); }
  void changed() {  // limits: look again
    waits_ = false;
    look_anew();
    queues_.limits_changed();
  }

 private:
  struct Rule {
    State state;
    int64_t keep_ms, keep_count;
  };
  std::array<Rule, 3> rules() const;
  int64_t count(State state) const { return turn_.stats.by_state[static_cast<int>(state)]; }
  struct Place {  // behind this row
    int64_t finished_ms = 0;
    JobId id = 0;
  };
  int64_t sweep_rule(const Rule& rule, Place& place, int limit);
  bool goes_on() const;  // the last sweep has not looked at all there is
  int64_t sweep_once(int limit);
  bool over_count(const std::array<Rule, 3>& all) const;
  void look_anew() {
    next_ms_ = over_quiet_ms_ = 0;
    places_ = {};
  }
  void look(size_t i, const Rule& rule);
  int64_t look_at(const Rule& rule, int64_t after_ms) const;

  Turn& turn_;
  QueueRetention queues_;
  bool waits_ = true;          // sweep()
  int64_t swept_ms_ = 0;       // the last complete sweep
  int64_t next_ms_ = 0;        // look again then (elapsed)
  int64_t held_until_ms_ = kNever;  // the first unique key that kept a row in the last sweep is free then
  std::array<Place, 3> places_{};   // of each rule: where its sweep goes on; none: from the oldest
  int64_t over_quiet_ms_ = 0;  // what is over the count is held: no sweep for it before then
  // Of each rule: -1: next_ms_ covers it. Else nothing waited for its age when the state had so many jobs: a job
  // more, and it is looked at again.
  std::array<int64_t, 3> quiet_count_{};
};

}  // namespace hf
