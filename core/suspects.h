// Jobs in whose runs the process ended so often that the next time would quarantine them: they run alone, so that
// no other job is blamed with them (core/dispatcher.h).
//
// meta keeps their ids, so that an opening need not look at every job. There are never many: each ran when a
// process ended.
#pragma once

#include <map>

#include "core/lanes.h"
#include "core/record.h"
#include "core/store.h"

namespace hf {

inline constexpr int kCrashLimit = 3;   // ends of the process, within one boot, in a row
inline constexpr int kRebootLimit = 5;  // ends by a restart of the device: of these most are nobody's fault

inline constexpr int64_t kAloneMs = 300000;  // 5 min, the default timeout of a run: others wait no longer for one

inline bool is_suspect(const JobOpts& opts) { return opts.crashes >= kCrashLimit - 1 || opts.reboots >= kRebootLimit - 1; }

class Suspects {
 public:
  bool empty() const { return jobs_.empty(); }
  const std::map<JobId, Lane*>& all() const { return jobs_; }  // some may be none any more: their row tells
  void add(JobId id, Lane* lane) { changed_ |= jobs_.emplace(id, lane).second; }
  void remove(JobId id) { changed_ |= jobs_.erase(id) > 0; }

  void load(Store& store, Lanes& lanes);
  void save(Store& store);  // if something changed

 private:
  std::map<JobId, Lane*> jobs_;
  bool changed_ = false;
};

}  // namespace hf
