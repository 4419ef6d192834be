// Retention: finished jobs leave by age and by count, a bounded number a turn, driven by time.
#pragma once

#include "core/turn.h"

namespace hf {

class Retention {
 public:
  explicit Retention(Turn& turn) : turn_(turn) {}

  void sweep();               // what is over its age or count now, up to kRetentionBatch rows
  int64_t prune_all();        // all of it, and gives free pages back; rows deleted
  int64_t next_wake_ms() const { return next_ms_; }
  void changed() { next_ms_ = 0; }  // limits changed: look again

 private:
  int64_t sweep_state(State state, int64_t keep_ms, int64_t keep_count, int limit);
  int64_t sweep_once(int limit);

  Turn& turn_;
  int64_t next_ms_ = 0;  // look again then (elapsed)
  int filled_ = 0;       // the states that had jobs at the last look, as bits
};

inline constexpr int kRetentionBatch = 200;

}  // namespace hf
