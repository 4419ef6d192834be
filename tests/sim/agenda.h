// What happens in the world, and when.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "core/types.h"

namespace hf::sim {

enum class Event { user, ended, fault, trust, reach, room, said };

class Agenda {
 public:
  struct Due {
    int64_t at;
    uint64_t order;  // of those of one moment
    Event event;
    size_t index;
    bool operator>(const Due& o) const { return at != o.at ? at > o.at : order > o.order; }
  };

  void add(int64_t at, Event event, size_t index) { all_.push({at, ++order_, event, index}); }
  int64_t next_at() const { return all_.empty() ? kNever : all_.top().at; }
  // REQUIRES: there is one.
  Due take() {
    Due due = all_.top();
    all_.pop();
    return due;
  }

 private:
  std::priority_queue<Due, std::vector<Due>, std::greater<>> all_;
  uint64_t order_ = 0;
};

}  // namespace hf::sim
