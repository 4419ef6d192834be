// Reading: what get, list, why and stats answer. Every query is bounded: a page of rows from an index.
#pragma once

#include <deque>
#include <utility>

#include "core/dispatcher.h"
#include "core/jobs.h"
#include "core/turn.h"

namespace hf {

inline constexpr size_t kListEndsMax = 64;   // pages whose end is remembered
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
  void remember_end(JobId id, int64_t finished_ms);
  Result<int64_t> finish_of(State state, JobId id);

  Turn& turn_;
  Jobs& jobs_;
  const Dispatcher& dispatcher_;
  // Where the last pages of final jobs ended: such a job may be gone or retried when the next page is asked for.
  std::deque<std::pair<JobId, int64_t>> ends_;
};

}  // namespace hf
