// What a simulated stretch of time costs: firings, and how often the device is woken for whom.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "apps/virtual_device.h"

namespace hf {

class Tally {
 public:
  struct Count {
    int64_t fired = 0;    // jobs that it made
    int64_t made_up = 0;  // ... of which for times that were missed
    int64_t skipped = 0;
    int64_t woken = 0;    // times that the device was woken and it fired
    int64_t alone = 0;    // ... and nothing else did: without it there were so many less
    int64_t last_ms = -1;  // when it was woken so last
  };

  explicit Tally(const std::vector<ScheduleSpec>& schedules);
  void add(const Happening& happening);
  void finish();  // nothing is added after it

  const std::map<std::string, Count>& by_schedule() const { return counts_; }
  Count total;  // `alone` is of no meaning here
  int64_t woken_for_none = 0;  // without a firing: retention, retries, timeouts, windows
  int64_t busiest = 0, busiest_minute_ms = 0;  // firings of a minute, and when it begins; 0: no firing

 private:
  void end_wake();
  void end_minute();

  std::map<std::string, Count> counts_;
  std::vector<Count*> of_wake_;  // those that have fired since it was woken
  int64_t wake_ms_ = -1;         // -1: it was not woken by itself
  int64_t minute_ = -1, of_minute_ = 0;
};

}  // namespace hf
