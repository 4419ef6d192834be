// Many jobs for one program: what it reads and what it says of each. docs/exec.md, "Batches".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "handlers/end_run.h"
#include "handlers/outcome_rules.h"
#include "handlers/process.h"

namespace hf {

inline constexpr int64_t kExecBatchBytes = 1 << 20;        // of payloads: they are encoded at one go, on the loop thread
inline constexpr int64_t kExecBatchOutputMax = 16 << 20;  // bytes of stdout, of all jobs together; more if one result may have more

// Its stdin: a line a job, as of a delivery (handlers/ndjson.h), with `payload` in the place of `result`.
std::string exec_batch_input(const std::vector<RunJob>& jobs);

// Bytes of stdout that are read.
size_t exec_batch_output_max(size_t jobs, int64_t max_result);

// One end for each of `jobs`, in their order and with their fences: what a line of stdout says of it, else what exec_outcome() makes of
// the end of the program. If a line cannot be read, nobody knows of whom it was: then a job without one is not done, however the
// program has ended. Pure.
std::vector<RunEnded> exec_batch_outcome(ProcessEnd end, const std::vector<Fence>& jobs, int64_t max_result, const OutcomeRules& on_exit,
                                         const ProcessLimits& limits, int64_t soft_ms = 0);

}  // namespace hf
