// What the file costs the flash below it: bytes written in the last 24 hours and since the file was made, and a budget of them a day.
//
// Hours are of the elapsed axis, as for links (core/budget.h): a device without a clock has days too. The counts are kept in the file, but
// never a reason to write: they go along with what is written anyhow, once an hour and after each MiB. So a process that is killed takes
// at most that much of them with it, and a clean close what its own last checkpoint writes.
//
// What costs is the number of commits, since each writes every page that it touched. So while the budget runs out the commits of what is
// not to be on the disk at once are made fewer: Tick::gather_ms.
//
// Thread: the engine's.
#pragma once

#include <cstdint>

#include "core/budget.h"
#include "core/store.h"

namespace hf {

inline constexpr int64_t kFlashSaveBytes = 1 << 20;
// From this share of the budget on (24ths) what can wait is gathered for kGatherMs, twice as long with each further 24th, kGatherMaxMs
// when all of it is used up.
inline constexpr int64_t kFlashFreeParts = 18, kFlashParts = 24;
inline constexpr int64_t kGatherMs = 20, kGatherMaxMs = 1000;

class Flash {
 public:
  explicit Flash(Store& store) : store_(store) {}

  void load();  // at the opening
  void count(int64_t now_ms);  // what was written since the last time
  void save_if_due(int64_t now_ms);  // before a commit: if it writes something, and it is time to
  void save(int64_t now_ms);

  int64_t day_bytes(int64_t now_ms) const { return day_.sum(now_ms); }
  int64_t total_bytes() const { return total_; }  // since the file was made
  int64_t gather_ms(int64_t now_ms, int64_t budget) const;  // budget <= 0: there is none

 private:
  Store& store_;
  SlidingCount<3600'000, 25> day_;
  int64_t total_ = 0, saved_total_ = 0;
  int64_t saved_hour_ = -1;
};

}  // namespace hf
