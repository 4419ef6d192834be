// Rows of a program and jobs in one commit, while everything fails at random: a row has its job, a job its row.
#pragma once

#include "passes.h"

namespace hf::sim {

struct RowsPass {
  PassReport report;  // tried: transactions
  uint64_t kept = 0, undone = 0, failed_turns = 0, kills = 0, cuts = 0;
};
// Each seed has a disk of its own and `transactions` of them: some are kept, some fail or misbehave in each way that there is,
// in some a call of the disk fails, or the process or the power ends. After each that did not go well, and now and then, all rows are
// held against all jobs. `apart`: the program's rows go in by a transaction of their own, which has to be found out.
RowsPass rows_and_jobs(uint64_t seed, int seeds, int transactions, bool apart = false);

}  // namespace hf::sim
