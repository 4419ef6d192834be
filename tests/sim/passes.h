// The exhaustive passes: not chance but every place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "world.h"

namespace hf::sim {

struct PassReport {
  uint64_t tried = 0;
  std::vector<std::string> violations;  // the first ten, each with what plays it again
  uint64_t broken = 0;
  void add(const std::string& where, const std::string& what) {
    ++broken;
    if (violations.size() < 10) violations.push_back(where + ": " + what);
  }
};

// The power goes at every `every`-th change of the disk while the seed's script runs, in each variant of Cut; what is
// left is opened, checked, and used. With `again`, the power goes once more at every change of that opening.
struct CutPass {
  PassReport first, again;
};
CutPass cut_everywhere(uint64_t seed, int jobs, int every, bool again, bool no_sync = false);

// Every `every`-th call of the disk fails, once or for 20 s from then on.
PassReport fail_every_call(uint64_t seed, int jobs, int every, Verdict how, bool on);
// The same for allocations of the engine and of SQLite.
PassReport fail_every_allocation(uint64_t seed, int jobs, int every, bool on);

}  // namespace hf::sim
