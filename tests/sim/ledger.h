// What may be true of each job, learned from acknowledgements and the committed feed alone. Whoever breaks it throws
// a Violation that says how.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/requests.h"

namespace hf::sim {

struct Violation {
  std::string what;
};

// What happened between the last committed turn and what is there now.
enum class Loss {
  turn,   // a turn failed; the process goes on
  kill,   // the process ended; the system's cache is whole
  power,  // what was not synced may be gone
};

class Ledger {
 public:
  // A turn that may have been committed though nobody was told.
  void in_doubt(const std::vector<Op>& ops);
  // A committed turn. `replies` are the ops'. The first one after reconcile() tells of the opening too.
  void committed(const std::vector<Op>& ops, const std::vector<Reply>& replies, const Tick& tick);
  // All that a freshly opened engine has, before its first claim. Not `recovered`: there was no room to write, so what
  // an earlier process left running is as it was left.
  void reconcile(const std::vector<JobInfo>& there, Loss loss, bool recovered = true);

  struct Job {
    std::set<std::string> tags;  // one of them: a replaced job has those of the replacer
    State state = State::pending;
    int max_attempts = 0;        // of its own policy; 0: the handler's
    bool durable = false;        // a power cut leaves it there
    bool state_durable = false;  // ... in this state, where that is final
    bool expires = false;
    bool cancel_asked = false;  // it may be cancelled
    bool cancel_owed = false;   // it must not go on after the process has ended
    bool synced_end = false;    // each end of a run waits for the disk
    bool callback = false;      // tells how another one ended
    std::string queue;          // in which it came in
  };
  const Job* find(JobId id) const;
  std::vector<JobId> pending(Random& random, size_t most) const;  // some that wait, near each other
  size_t size() const { return jobs_.size(); }
  const std::map<JobId, Job>& jobs() const { return jobs_; }
  static bool may_have_left(const Job& job);  // nothing is kept of it
  bool ever_seen(JobId id) const { return ever_.count(id) != 0; }

 private:
  struct Doubt {
    std::set<std::string> tags;                    // of jobs that may have come in
    std::set<JobId> ended, removed, back;  // jobs that may have ...
    bool any_back = false, any_displaced = false;
  };
  // The turn was on the disk, or a power cut may bring the job back.
  struct Displaced {
    Job job;
    bool durable = false;
  };
  void synced();
  void offer(const JobSpec& spec, Doubt& doubt);
  void learn(const Op& op, const Reply& reply, const Tick& tick);
  void apply(const Transition& t);
  void compare(JobId id, Job& known, const JobInfo& now, Loss loss, bool recovered);
  [[noreturn]] void violated(JobId id, const std::string& what) const;

  std::map<JobId, Job> jobs_;
  std::map<JobId, Displaced> displaced_;  // gave way to others: each is counted
  int64_t maybe_displaced_ = 0;           // of those that a power cut took, or took back: perhaps
  std::set<JobId> gone_;  // removed, or taken by a cut before it was promised
  std::set<JobId> ever_;  // every id that was seen: none is used again
  std::set<std::string> given_;  // tags of children that another job may have taken over
  Doubt doubt_;
  bool opened_ = false;  // reconciled, and no turn since
};

}  // namespace hf::sim
