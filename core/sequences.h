// The numbers of a sink's deliveries: 1, 2, 3 ... without a gap, so that a receiver sees what it has not got. Given in the
// transaction that gives the result to the sink, kept with the job, and on the disk before it is sent: a power cut takes back
// only numbers that nobody has seen.
//
// Thread: the engine's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/store.h"

namespace hf {

class Sequences {
 public:
  explicit Sequences(Store& store) : store_(store) {}

  // The sink is one that numbers: it is also after an opening, before it is configured again, though no number was given yet.
  void begin(const std::string& sink_queue) {
    if (has_begun(sink_queue)) return;
    last_[sink_queue].changed = true;
  }
  int64_t next(const std::string& sink_queue) {
    const auto [at, first] = last_.try_emplace(sink_queue);
    if (first) at->second.last = store_.meta(key(sink_queue).c_str(), 0);
    at->second.changed = true;
    return ++at->second.last;
  }
  bool has_begun(const std::string& sink_queue) const { return last_.contains(sink_queue) || store_.meta(key(sink_queue).c_str(), -1) >= 0; }
  void save() {  // at the end of a turn
    for (auto& [sink_queue, last] : last_) {
      if (last.changed) store_.set_meta(key(sink_queue).c_str(), last.last);
      last.changed = false;
    }
  }

 private:
  struct Last {
    int64_t last = 0;
    bool changed = false;
  };
  static std::string key(const std::string& sink_queue) { return "sequence:" + sink_queue; }

  Store& store_;
  std::map<std::string, Last> last_;
};

}  // namespace hf
