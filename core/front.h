// The front: of the pending jobs of a queue, or of all queues, those that give way first when there is no room for one more.
//
// They are read from the index of pending jobs, some hundred at a time, when somebody has to give way; where nothing is full
// nothing is read and nothing is kept. What comes in later and belongs in front is put there; what has gone, or is another
// one now, stays in it until it is looked at. So each job that gives way costs a few rows, however many wait.
//
// With WhenFull::coalesce it stays empty: who gives way is of the lane of the new one, and is found there (Jobs::each_in_lane()).
//
// Thread: the engine's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "core/types.h"

namespace hf {

inline constexpr size_t kFrontMin = 256, kFrontMax = 4096;  // jobs that are read at a time: a 64th of those that wait

class Front {
 public:
  // The smaller one gives way first: by priority, if that counts, then by the order in which they came in.
  using Place = std::pair<int, JobId>;
  Place place(int priority, JobId id) const { return {order_ == WhenFull::drop_lowest ? priority : 0, id}; }

  void follow(WhenFull order) {
    if (order != order_) forget();
    order_ = order;
  }
  bool by_priority() const { return order_ == WhenFull::drop_lowest; }
  bool by_lane() const { return order_ == WhenFull::coalesce; }
  void forget() {
    known_.clear();
    until_ = kFirst;
  }

  // A job is pending from now on, or has another priority.
  void came(int priority, JobId id) {
    const Place at = place(priority, id);
    if (at >= until_) return;
    known_.insert(at);
    if (known_.size() <= 2 * size_) return;
    const auto cut = std::next(known_.begin(), static_cast<std::ptrdiff_t>(size_));
    until_ = *cut;
    known_.erase(cut, known_.end());
  }

  // Every pending job before until() is in known().
  std::set<Place>& known() { return known_; }
  Place until() const { return until_; }
  bool whole() const { return until_ == kEnd; }

  // The next so many behind until(), of all that `each` is given.
  class Reading {
   public:
    Reading(Front& front, size_t most) : front_(front), most_(most) {}
    // False: neither it nor any of a higher priority can be among them.
    bool add(int priority, JobId id) {
      const Place at = front_.place(priority, id);
      if (at >= end_) return !front_.by_priority() || at.first <= end_.first;
      if (at < front_.until_) return true;
      found_.push_back(at);
      if (found_.size() == 2 * most_) cut();
      return true;
    }
    void done() {
      if (found_.size() > most_) cut();
      front_.known_.insert(found_.begin(), found_.end());
      front_.until_ = end_;
      front_.size_ = most_;
    }

   private:
    void cut() {
      const auto at = found_.begin() + static_cast<std::ptrdiff_t>(most_);
      std::nth_element(found_.begin(), at, found_.end());
      end_ = *at;
      found_.erase(at, found_.end());
    }
    Front& front_;
    size_t most_;
    std::vector<Place> found_;
    Place end_ = kEnd;  // all that were given and come before it are found
  };

 private:
  static constexpr Place kFirst{std::numeric_limits<int>::min(), 0};
  static constexpr Place kEnd{std::numeric_limits<int>::max(), 0};
  WhenFull order_ = WhenFull::reject;
  std::set<Place> known_;
  Place until_ = kFirst;
  size_t size_ = kFrontMin;  // of the last reading
};

}  // namespace hf
