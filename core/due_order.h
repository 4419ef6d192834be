// What waits for its time, in two orders: of the times at which it is due, and of those at which somebody has to wake up
// for it, which is up to its slack later. Whoever is awake takes all that is due; so waking at next_wake_ms() alone gathers
// the due times into the fewest wake-ups there can be (points that stab intervals, earliest end first).
#pragma once

#include <cstdint>
#include <set>
#include <utility>

#include "core/types.h"

namespace hf {

template <class Key>
class DueOrder {
 public:
  void insert(int64_t due_ms, int64_t slack_ms, const Key& key) {
    due_.insert({due_ms, key});
    wake_.insert({due_ms + slack_ms, key});
  }
  // With the times of its insertion; one that is not there is no mistake.
  void erase(int64_t due_ms, int64_t slack_ms, const Key& key) {
    due_.erase({due_ms, key});
    wake_.erase({due_ms + slack_ms, key});
  }
  bool empty() const { return due_.empty(); }
  bool is_due(int64_t now_ms) const { return !due_.empty() && due_.begin()->first <= now_ms; }
  const Key& first() const { return due_.begin()->second; }  // REQUIRES: !empty()
  int64_t next_wake_ms() const { return wake_.empty() ? kNever : wake_.begin()->first; }

 private:
  std::set<std::pair<int64_t, Key>> due_, wake_;
};

}  // namespace hf
