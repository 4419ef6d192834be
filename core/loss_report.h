// The loss ledger's way out: a job with a delivery and no run, whose result is what was lost since the last one
// (core/losses.h). One at a time: while it waits for its server the counts go on.
//
// Thread: the engine's.
#pragma once

#include "core/jobs.h"
#include "core/losses.h"

namespace hf {

class LossReporter {
 public:
  LossReporter(Turn& turn, Jobs& jobs) : turn_(turn), jobs_(jobs) {}

  void load();  // at the opening
  Status set(const SetLossReport& report);  // HF_E_INVALID names the field
  void act();   // makes one, if it is time; before jobs are claimed
  int64_t next_wake_ms() const;

 private:
  int64_t due_ms() const;
  bool under_way();  // the last one

  Turn& turn_;
  Jobs& jobs_;
  SetLossReport to_;
  JobId last_ = 0;
};

}  // namespace hf
