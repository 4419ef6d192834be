// Reading: what get, list, why and stats answer. Every query is bounded: a page of rows from an index.
#pragma once

#include "core/dispatcher.h"
#include "core/jobs.h"
#include "core/turn.h"

namespace hf {

inline constexpr int kListScanMax = 20000;  // rows that one list call looks at; then it returns what it has

class Queries {
 public:
  Queries(Turn& turn, Jobs& jobs, const Dispatcher& dispatcher) : turn_(turn), jobs_(jobs), dispatcher_(dispatcher) {}

  Result<JobInfo> get(JobId id, bool with_bodies = true);
  Result<JobPage> list(const ListQuery& query);
  Result<WhyInfo> why(JobId id);
  Stats stats();
  Result<std::vector<QueueInfo>> queues(const std::string& name);

 private:
  JobInfo info(const FullRow& row) const;

  Turn& turn_;
  Jobs& jobs_;
  const Dispatcher& dispatcher_;
};

}  // namespace hf
