// Functions that go on though their runs are over, or were asked to end: a C handler cannot be killed, and it holds its thread. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "platform/log.h"

namespace hf {

inline constexpr int64_t kStuckAfterMs = 10000;  // a function that goes on for longer is told of (health)

struct StuckReport {
  struct Run {
    JobId id = 0;
    std::string type;
    int64_t for_ms = 0;  // since its run was over, or it was asked to end
  };
  int threads = 0, held = 0;  // for functions; of them: by these
  std::vector<Run> runs;   // the longest first
};

class StuckRuns {
 public:
  explicit StuckRuns(Logger log) : log_(std::move(log)) {}

  void set_threads(int threads) { threads_.store(threads); }
  // Where the function of a run is. kInside is set by the one who calls it, with `call`, which is the same for those of a batch.
  enum : int { kIdle, kInside, kStuck };
  struct Place {
    std::atomic<int> at{kIdle};
    const void* call = nullptr;
  };
  // The run is over, or was asked to end (`timed_out`: the first). Nothing, unless the function is inside.
  void stopped(Place& place, JobId id, const std::string& type, bool timed_out, int64_t now_ms);
  void returned(Place& place);
  StuckReport report(int64_t now_ms, int64_t after_ms = kStuckAfterMs) const;

 private:
  struct Since {
    JobId id;
    std::string type;
    int64_t ms;
  };
  Logger log_;
  std::atomic<int> threads_{0};
  mutable std::mutex mutex_;
  std::unordered_map<const Place*, Since> runs_;  // those that are kStuck; at most as many as there are threads, and their batches
};

}  // namespace hf
