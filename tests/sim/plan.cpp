// What goes wrong in a seed, and the least of it that breaks something.
#include <algorithm>
#include <cstddef>

#include "world.h"

namespace hf::sim {

const char* fault_name(FaultKind k) {
  static constexpr const char* kNames[kFaultKinds] = {"kill", "cut", "io_error", "disk_full", "bad_sync", "no_memory", "wall_step", "suspend", "untrusted", "partition", "restart"};
  return kNames[static_cast<int>(k)];
}

Plan make_plan(uint64_t seed, int jobs) {
  Plan plan;
  plan.seed = seed;
  plan.jobs = jobs;
  Random random(seed * 2 + 1);
  int64_t horizon = jobs * 1000LL;
  // From one fault upon the next to long quiet times, in which the queue, the log and the history grow: each finds what the
  // others do not (Groce et al., "Swarm Testing", ISSTA 2012).
  const uint64_t gap_ms = 30000ULL << random.below(4);
  int64_t at = 0;
  while ((at += 1 + static_cast<int64_t>(random.below(gap_ms))) < horizon) {
    auto kind = static_cast<FaultKind>(random.below(kFaultKinds));
    uint64_t n = kind == FaultKind::no_memory ? random.below(400) : random.below(random.below(4) == 0 ? 300 : 25);
    plan.faults.push_back({at, kind, n, random.next()});
  }
  return plan;
}

// Delta debugging (Zeller, Hildebrandt 2002): ever smaller pieces are left out as long as it still fails.
std::vector<Fault> shorten(const Plan& plan) {
  std::vector<Fault> faults = plan.faults;
  for (size_t piece = std::max<size_t>(faults.size() / 2, 1); piece > 0 && !faults.empty();) {
    bool shorter = false;
    for (size_t from = 0; from < faults.size();) {
      Plan less = plan;
      less.trace = false;
      less.faults = faults;
      auto first = less.faults.begin() + static_cast<std::ptrdiff_t>(from);
      less.faults.erase(first, first + static_cast<std::ptrdiff_t>(std::min(piece, faults.size() - from)));
      if (!simulate(less).violation.empty()) {
        faults = less.faults;
        shorter = true;
      } else {
        from += piece;
      }
    }
    if (!shorter) piece /= 2;
  }
  return faults;
}

}  // namespace hf::sim
