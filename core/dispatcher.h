// The dispatcher: jobs make runs. A pending job runs when every gate is open; a gate is a question that is
// answered from memory, so a closed queue, runner or key costs nothing on the disk; and who is not in the ring of
// Lanes is not even asked.
#pragma once

#include <vector>

#include "core/jobs.h"
#include "core/safe_mode.h"
#include "core/turn.h"

namespace hf {

class Dispatcher {
 public:
  Dispatcher(Turn& turn, Jobs& jobs, const SafeMode& safe_mode) : turn_(turn), jobs_(jobs), safe_mode_(safe_mode) { used_.reserve(kUsedMax); }

  void set_on(bool on) { on_ = on; }
  bool on() const { return on_; }

  // Windows open and close by the clock of this turn.
  void look_at_windows();
  void tell_of_conditions();
  // Claims what may run now and adds the StartRun actions. The attempt is counted in the claim. What is late or has used its
  // attempts up ends here, and who is to be told of it is.
  void claim();
  void use_again(std::vector<RunJob>&& jobs) noexcept;  // their memory, for a StartRun to come
  void link_up();
  bool waits_for_link() const;
  int64_t next_wake_ms() const;       // elapsed: when a gate opens by time alone
  int64_t next_wall_wake_ms() const;  // a window; 0: once the clock is trusted

  // The closed gates of a pending job, in the order in which they are asked.
  void due_gates(const FullRow& row, const JobOpts& opts, std::vector<ClosedGate>* gates) const;
  std::vector<ClosedGate> closed_gates(const Lane& lane, const FullRow& row) const;

 private:
  void claim_all();
  bool may_go_on() const;  // in this turn: a slot of the engine is free, and not too many were given up
  // A suspect (core/suspects.h) runs alone: the others of the run leg wait for it, and it for them, each at most
  // kAloneMs, so that no run without a timeout holds everything. True: the others wait.
  bool claim_alone();
  struct Candidate {
    Lane* lane = nullptr;  // null: none
    ReadyEntry entry;
  };
  Candidate next_suspect();
  int runs() const;  // that could have ended the process: deliveries do not count
  bool runner_free(RunnerState& runner);  // but for its conditions
  int64_t opens_ms(Queue& queue);        // its rates
  int64_t opens_ms(RunnerState& runner);
  void began(Lane& lane);
  void began(RateGates* rates);
  void ask_again(Queue& queue);
  bool let_go();
  void settle(Queue& queue);
  // `along`: for one that goes with a run that has begun.
  bool budget_open(const Lane& lane, const ReadyEntry& entry, bool along = false);
  // False: one of these conditions is not open, and it is time to look again at look_ms, which is made earlier.
  bool conditions_open(const std::vector<std::string>& when, int64_t& look_ms);
  void look_at_conditions();
  bool has_none_for(const Group& group);  // a job that could begin now, but for what its runner waits for
  Lane* first_of(const Group& group, bool along);
  Lane* best_lane(Queue& queue);
  bool claim_from(Queue& queue);
  // False: it waits for more jobs, at most until batch_wake_ms_, which is made earlier.
  bool batch_ready(Group& group);
  bool claim_batch(Lane& first);
  enum class Taken { started, ended, too_large };
  Taken take(Lane& lane, const ReadyEntry& entry, StartRun& start, uint64_t batch, int64_t bytes_left);

  Turn& turn_;
  Jobs& jobs_;
  const SafeMode& safe_mode_;
  bool on_ = false;
  std::vector<Queue*> asked_again_;  // at each claim: those that wait for a budget, a batch, or others
  bool others_wait_ = false;          // for a suspect, or for room: all but deliveries
  std::vector<Queue*> held_;          // until something is said of a condition, or it is held_until_ms_
  int64_t held_until_ms_ = kNever;
  int give_up_left_ = 1;  // of this turn
  int64_t batch_wake_ms_ = kNever;
  int64_t budget_wake_ms_ = kNever;
  int64_t rate_wake_ms_ = kNever;  // of suspects
  int64_t condition_wake_ms_ = kNever;  // of runners, and of suspects
  int64_t alone_wake_ms_ = kNever;
  int64_t alone_asked_ms_ = 0;  // since when a suspect waits for the others; 0: none does
  JobId alone_ = 0;             // for whom the others wait
  static constexpr size_t kUsedMax = 64, kUsedJobsMax = 4;
  std::vector<std::vector<RunJob>> used_;  // empty
};

}  // namespace hf
