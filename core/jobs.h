// The life of a job: how it comes in, how a run ends, and what people may do to it. Every transition of
// the state picture (docs/design.md) but the claim is made here.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/callbacks.h"
#include "core/intake.h"
#include "core/turn.h"

namespace hf {

inline constexpr const char* kPayloadKeyPrefix = "sha256:";  // of the unique_key of a job with unique_by payload
inline constexpr int64_t kDisplacedMax = 100;        // pending jobs that give way to a new one, at most
inline constexpr int64_t kPassedOverMax = 256;       // of a lane, that may not give way, in a search for one that may
inline constexpr const char* kOwnQueue = "holdfast";  // of jobs that are the queue's own: deliveries without a run

// What can be seen of it alone; HF_E_INVALID names the field.
Status validate(const JobSpec& spec);
Status validate_after(const JobSpec& spec);  // ... of `after`
inline bool is_unique(const JobSpec& spec) { return !spec.unique_key.empty() || spec.unique_by == UniqueBy::payload; }
Status payload_fits(std::string_view payload, const Limits& limits);  // HF_E_TOO_LARGE

class Jobs {
 public:
  explicit Jobs(Turn& turn) : turn_(turn) {}

  // Recovery at open: ids, and the jobs that a dead process left running (core/recovery.cpp).
  struct Opening {
    const std::vector<LiveRun>& live;  // runs of this very process, which stay what they are
    bool clean = false;
    bool reopened = false;   // by this process, after an error: what was left running never began
    bool same_boot = false;  // the process died, not the device
    bool log_lost = false;   // ids that the log knew may have been given out
    bool writes = true;      // false: what was left running stays what it is until the next opening
  };
  void open(const Opening& opening);

  // ---- events
  // `specs` get the unique keys that their payloads make. `called`: what a job of them is called in an error; null: "job 3", or nothing
  // if it is the only one. `ids`: memory for the answer.
  struct How {
    std::function<std::string(size_t)> called = nullptr;
    bool lent = false;  // the specs are there until the turn is committed, and their payloads may go then to those who run (RunJob::lent)
    std::vector<JobId> ids = {};
  };
  Result<std::vector<JobId>> enqueue(std::vector<JobSpec>& specs, How how);
  // A schedule's job for each of these occurrences, all or none.
  Result<std::vector<JobId>> enqueue_scheduled(const JobSpec& spec, const std::string& schedule, const std::vector<int64_t>& occurrences_wall_ms);
  // A job of ours that has run already: its result waits for the sink. The limits are no matter. HF_E_FULL: no lane is left.
  struct Delivery {
    const char* type;
    std::string sink;
    std::string result;
    int priority = 0;
  };
  Result<JobId> add_delivery(const Delivery& delivery);
  Result<std::vector<JobId>> reserve(int count);
  // Jobs that may yet be taken back (Transact): promise() checks one and gives it its id, keep_promises() puts them in. Between
  // expect_promises() and the last promise nothing else is put in. False: it wrote nothing.
  bool expect_promises();
  void save_ids();  // what it wrote, once more
  Result<JobId> promise(JobSpec spec);
  std::vector<JobId> keep_promises();
  void break_promises() { promises_ = {}; }
  Status run_ended(RunEnded& ended);
  bool end_is_synced(const RunEnded& ended) const;  // it asked for that
  void end_waits(const RunEnded& ended);  // for room, and comes again: the run is over, and its timeout no matter any more
  Status progress(const Progress& p);
  Status remember(const Remember& r);
  Status log_line(const LogLine& l);
  void heard_from(JobId id, int attempt);  // there is no room for what it said
  Status cancel(JobId id);
  Status retry(JobId id);
  Result<int64_t> retry_all_dead(const RetryAllDead& which);
  Status remove(JobId id);
  Status edit(const Edit& edit);
  void stop_all(bool hand_back);

  Status validate(const JobSpec& spec) const;  // also its size
  Status takes_jobs(const Queue* queue) const;  // HF_E_CONFLICT: it is draining. Null: nobody has heard of it
  Status let_in(Intake& intake, const JobSpec& spec);  // HF_E_RATE, HF_E_TOO_LARGE
  Status name_by_payload(JobSpec& spec) const;         // of unique_by payload: its unique_key
  void limits_changed() { room_bytes_ = 0; }
  void room_used() { room_bytes_ = 0; }  // by somebody else
  void room_changed() { expiry_next_ = 0; }

  // ---- time
  void wake_wall_jobs();   // `at` jobs whose wall time has come
  void expire();           // past their ttl
  void stop_overdue_runs();
  int64_t next_wake_ms() const;  // elapsed; kNever if nothing waits
  int64_t next_wall_wake_ms() const;  // 0: not known yet
  void slack_changed() { wall_jobs_next_ = 0; }
  void save_counts();  // before a clean close

  // ---- for the dispatcher
  struct Fresh {  // enqueued in this turn, not written yet
    JobRow row;
    std::string* lent = nullptr;  // its payload, where it is lent; else
    std::string own;
    bool written = false;
    const std::string& payload() const { return lent != nullptr ? *lent : own; }
  };
  Fresh* fresh(JobId id);
  // Enqueued and claimed in one transaction: its row is written once, as running. Its payload goes to `job`.
  void write_running(Fresh& fresh, const Lane& lane, RunJob& job);
  void flush();  // writes what is held back
  // A pending job, no longer in its lane's window, becomes dead without a run.
  void end_unrun(JobId id, Lane& lane, const JobOpts& opts, const std::string& why, Change change);

  // What the ends of this turn are followed by: those that waited for them, and what call_back() has noted. False if there was nothing.
  // Not while lanes are being looked through.
  bool follow_up();

  ResolvedPolicy policy_of(const Lane& lane, const JobOpts& opts) const;
  AttemptLimits attempt_limits_of(const Lane& lane, const JobOpts& opts) const;
  // What the job says goes before what its handler does. "": none.
  const std::string& sink_of(const Lane& lane, const JobOpts& opts) const;  // to which the result goes next: none of a delivery
  const std::string& callback_of(const Lane& lane, const JobOpts& opts, State end) const;  // the sink that is told
  // This end makes the file larger than the few bytes that each has earned: its result is large, it has children, or somebody is
  // told of it. On a full disk it waits in memory, so that the room which is left is there for ends, cancels and deletions.
  bool end_adds(const RunEnded& ended) const;
  std::string after_text(const JobOpts& opts) const;  // of a job that waits for others
  std::string doom_text(const JobOpts& opts) const;   // ... that is to end for one of them
  void set_handler(const RunnerSpec& spec);  // what it says for its jobs, also after it is gone
  void save_handler_callbacks();             // at the end of a turn, if something changed
  void save_doomed();                        // ... too
  int64_t total() const;  // jobs in the file

 private:
  // ---- room for those who come in (quota.cpp)
  struct Arrivals {  // of one call
    std::vector<const JobSpec*> jobs;  // that are new, in their order
    std::set<JobId> stay;              // stand for others of the call, as they hold their unique keys, or are waited for by some
    int64_t bytes = 0;                 // of all payloads
    bool promised = false;             // nothing is refused any more
  };
  struct Leaving {  // who gives way to them
    std::map<JobId, bool> ids;  // true: as the file is full, not only its queue
    int64_t rows = 0, bytes = 0;  // that the file has less then
    std::map<std::string_view, int64_t> by_queue;  // of `rows`
    void add(const FullRow& row, const Lane& lane, bool silent, bool of_file);
  };
  struct Shortage {
    bool any = false;
    int64_t found = 0;
    LaneName lane = {};  // which has too few; of no queue if that is no matter
    std::string text() const;
  };
  struct Coming {  // into one lane
    int64_t jobs = 0, bytes = 0;
  };
  Arrivals arrivals(const std::vector<const JobSpec*>& specs);
  // Looks only. HF_E_FULL names the limit; else displace() makes the room.
  Result<Leaving> room_for(const Arrivals& in);
  Result<Leaving> room_for(const std::vector<const JobSpec*>& specs);  // of a call
  bool has_max_pending(const JobSpec& spec) const;  // its queue
  Status room_in_queue(Queue& queue, const std::vector<int>& priorities, const Arrivals& in, Leaving& leave);
  Status room_in_file(const Arrivals& in, Leaving& leave);
  Status room_in_bytes(const Arrivals& in, Leaving& leave);
  Shortage find_leaving(Front& front, const Queue* queue, const std::vector<int>& priorities, int64_t over, int64_t ahead, const Arrivals& in, Leaving& leave);
  void each_in_front(Front& front, const Queue* queue, const Arrivals& in, const Leaving& leave,
                     const std::function<bool(const FullRow&, const Lane&)>& take);
  Shortage find_in_lanes(const Queue* queue, int64_t n, const Arrivals& in, Leaving& leave);
  void find_bytes(int64_t n, const Arrivals& in, Leaving& leave);
  void find_bytes_in_lanes(int64_t n, const Arrivals& in, Leaving& leave);
  std::map<LaneName, Coming> last_coming(const Queue* queue, int64_t n, const Arrivals& in, std::map<std::string_view, int64_t> placed) const;
  void each_in_lane(const LaneName& name, int64_t wanted, const Queue* queue, const Arrivals& in, const Leaving& leave,
                    const std::function<bool(const FullRow&, const Lane&)>& take);
  bool stays(JobId id, const Arrivals& in, const Leaving& leave) const;
  bool may_leave(const FullRow& row, const Lane& lane, const Queue* queue) const;
  void read_on(Front& front, const Queue* queue, size_t most);
  void displace(const Leaving& leave);

  // ---- those that wait for others (follow.cpp)
  struct Following {  // of one call
    std::set<JobId> coming;       // jobs that it puts in before
    std::map<JobId, int> more;    // followers that each gets
    int64_t in_all = 0;
    void add(const JobSpec& spec);
  };
  struct Left {
    JobId follower, id;  // the one that ended
    bool completed;
  };
  Status may_follow(const JobSpec& spec, const Following& call);
  void forget_strays(JobId id, JobOpts* opts);
  bool follow(JobId id, const std::vector<JobId>& after, JobOpts* opts);
  JobId successor(JobId id, const JobOpts& opts);
  bool take_over(JobId id, JobOpts* opts);
  void let_go(const Left& one);
  void ended(JobId id, const Lane& lane, const JobOpts& opts, State end);  // whoever waits for it learns of it, and whom it calls back
  void leave(JobId id, const JobOpts& opts, State end);                    // ... but for the second
  bool let_followers_go();  // false: there were none. Not while lanes are being looked through

  bool calls_back(const Run& run, Outcome outcome) const;
  JobId holder(const std::string& unique_key);  // the job that holds it; 0 if none
  JobId stand_in(const JobSpec& spec);  // the job that stands for this one, as its unique key is held; 0: it is a job of its own
  Status take_unique(JobId id, const JobOpts& opts);  // for a job that comes back; HF_E_CONFLICT if another has the key
  struct Origin {  // of a job that comes in
    JobId reserved = 0;         // its id
    std::string schedule = {};
    int64_t occurrence_wall_ms = 0;
    int chain = 0;              // JobOpts
    std::string* lent = nullptr;  // its payload: Fresh
  };
  JobId insert(const JobSpec& spec, Lane& lane, const Origin& origin);
  JobOpts opts_of(const JobSpec& spec, const Origin& origin) const;
  JobId insert_new(const JobSpec& spec, Lane& lane, const Origin& origin);
  void give_to_holder(JobId other, const JobSpec& spec);
  JobId next_id();
  int64_t load_lane_counts(bool clean);  // of all pending jobs
  void adopt(const LiveRun& live, std::set<uint64_t>& batches);
  void recover(JobId id, const Opening& opening);
  void unclaim(const FullRow& row, Lane& lane, const JobOpts& opts);
  void ran_orderly(Run& run);
  void count(State from, State to);
  struct PutBack {  // to pending
    int64_t due_ms;
    int attempts;
    const char* outcome;  // of the history; nullptr: not an attempt
    std::string_view error;
    Change change;
  };
  void put_back(Run& run, const PutBack& how);
  int64_t retry_ms(Queue& queue, int64_t wait_ms);  // when a run that failed is tried again: with its budget
  void finish(Run& run, State state, Change change, const char* outcome, std::string_view error);
  void fail(Run& run, std::string_view error, bool permanent, int64_t retry_after_ms, const char* outcome);
  void complete(Run& run, RunEnded& how);
  struct Refused {
    std::string error;
    bool permanent;
  };
  std::optional<Refused> add_children(Run& run, RunEnded& how, bool frees_key);  // children.cpp
  void number(JobId id, const Lane& to_sink, JobOpts& opts);  // if the sink wants it
  void call_back(JobId id, const Lane& lane, const JobOpts& opts, State end);  // to whom it wants to be told that it ended, if to anybody
  void park(RunnerState& runner, int64_t asked_ms, std::string_view why);
  void ask_to_stop(Run& run, StopReason reason);
  Status requeue(const FullRow& row, int64_t due_ms);
  Status rename_by_payload(const FullRow& row, JobOpts& opts, const std::string& payload);
  void set_memo(Run& run, std::string_view memo);
  void set_cancel_asked(JobId id, JobOpts& opts, bool asked);
  std::string timeout_text(const Run& run) const;
  Result<Run*> reporter(JobId id, int attempt, uint64_t number);  // which is heard of; HF_E_STALE
  void keep_log(const Run& run, const char* outcome, std::string_view error);
  std::string history_with(const Run& run, const char* outcome, std::string_view error);
  void release_slot(Run& run);  // `run` is gone when it returns
  Run* run_of(const RunEnded& ended) const;  // null: it is over
  bool keeps_completed(const Lane& lane) const;
  bool keeps_unique(const JobOpts& opts) const { return opts.unique_until_ms > turn_.now_ms; }

  Turn& turn_;
  std::vector<Fresh> fresh_;  // ids ascending
  std::vector<const JobSpec*> arriving_;  // enqueue()'s own
  std::vector<Lane*> arriving_at_;        // ... their lanes
  struct Promise {
    JobSpec spec;
    JobId id;
    bool new_job;  // else the one with this id holds its unique key
  };
  struct Promises {
    std::vector<Promise> all;
    std::map<std::string, JobId> by_key;  // unique keys
    std::optional<Intake> intake;
    std::set<LaneName> new_lanes;
    std::set<JobId> holders;                            // that stand for some of them, or are waited for
    Following following;
    std::map<std::string, int64_t, std::less<>> by_queue;  // new jobs
    int64_t new_jobs = 0;
    int64_t bytes = 0;  // of payloads
  };
  Promises promises_;
  JobId next_id_ = 1;
  JobId reserved_until_ = 1;  // ids below are on the disk as taken
  void look_at_wall_jobs();
  void becomes_due(const FullRow& row, int64_t due_ms);  // a pending one
  int64_t wall_jobs_next_ = 0;  // no job has an earlier `at`; 0: not known
  int64_t wall_jobs_wake_ = 0;  // ... nor one that cannot wait until then, by the slack of its queue
  int64_t expiry_next_ = 0;
  struct Callback {
    std::string to;     // a sink, or "job:TYPE"
    std::string queue;  // of a job
    std::string text;
    int priority = 0;
    int chain = 0;
  };
  Status put_in(const Callback& callback);
  std::vector<Callback> callbacks_;  // of this turn
  std::vector<Left> left_;           // ... too
  std::deque<JobId> doomed_;         // they are due, and end for one that did not complete
  int doomed_left_ = 0;              // so many still may in this turn
  int64_t doomed_turn_ = -1;         // Stats::ticks
  std::string doomed_saved_;         // those that the file knows of
  struct HandlerCallbacks {
    std::string completed, dead;
    bool operator==(const HandlerCallbacks&) const = default;
  };
  void load_handler_callbacks();
  void load_doomed();
  std::map<std::string, HandlerCallbacks> handlers_;  // those that have some
  bool handlers_changed_ = false;
  std::vector<JobId> cancel_again_;  // adopted runs whose StopRun may have been lost
  // What has no choice (a result, a history) takes its room too.
  void take_room(size_t bytes) { room_bytes_ -= static_cast<int64_t>(bytes); }
  int64_t room_bytes_ = 0;      // may be added before the file's size is looked at again
};

}  // namespace hf
