// The Host's inside, for host.cpp (what its users call) and host_engine.cpp (the engine thread). Nobody else's.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/free_lists.h"
#include "platform/ballast.h"
#include "platform/engine_wait.h"
#include "platform/host.h"
#include "platform/json.h"
#include "platform/link_watch.h"
#include "platform/memory.h"
#include "platform/payload_digest.h"
#include "platform/thread.h"
#include "platform/zones.h"

namespace hf {

struct BegunRun {
  JobId id;
  int attempt;
  uint64_t run;
};

struct Host::State {
  // Lists, because moving a request from one to the other needs no memory.
  using Requests = std::list<Request>;
  static constexpr size_t kUsedMin = 16, kUsedMax = 256;
  static constexpr size_t kUsedIds = 16;  // of the answer of one of them
  enum class Phase { opened, started, stopped, closing, closed };

  // ---- constant after open
  std::string path;
  HostOptions options;
  SystemZones zones{"", true};  // of the engine thread
  const std::unique_ptr<LinkWatch> link = LinkWatch::create();  // the same; null: there is none
  std::string boot;
  std::unique_ptr<PeerBook> peers;
  std::shared_ptr<StuckRuns> stuck;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<EngineWait> wait;
  Thread thread;

  // ---- guarded by mutex
  std::mutex mutex;
  std::condition_variable changed;  // phase, running
  Phase phase = Phase::opened;
  bool quit = false;
  Requests inbox;
  Requests spare;  // at least one for each run in `live`: its end is told also when there is no memory
  Requests used;   // empty, for the next ones: about as many as there are in a turn
  std::map<std::string, std::shared_ptr<Runner>> runners;  // by name, the present ones
  std::map<std::string, RunnerSpec> specs;                 // to tell a reopened engine
  Limits limits;
  std::map<std::string, QueueSettings> queue_defaults;
  struct Condition {
    ConditionSpec spec;
    std::shared_ptr<Probe> probe = nullptr;  // null: nobody is asked
    bool asking = false;
    uint64_t number = 0;  // of the last question: an engine that was reopened may ask while an answer is awaited
  };
  std::map<std::string, Condition> conditions;
  std::map<std::string, SubscriptionSpec> subscriptions;
  ClockOptions clock;
  std::function<void()> stop_asking_clock;
  SetBudgets budgets;
  SetLossReport loss_report;
  std::function<void()> stop_watching_link;
  size_t running = 0;  // runs that were started and have not been answered for
  bool dispatching = false;
  bool stop_owed = false;  // a StopAll that the file's state refused: for the next engine, unless dispatching

  // ---- owned by whoever makes a turn, under `turning`: the engine thread, or one that asked for something when nobody else did (turn_here)
  std::mutex turning;  // before `mutex`
  int64_t next_boot = 0, next_wall = kNever;  // of the last Tick; 0: at once, to arm the first timer
  std::unique_ptr<Engine> engine;
  Requests unanswered;  // results that wait for the file to come back
  std::unique_ptr<Ballast> ballast;                  // host_room.cpp, as what follows
  Room room = Room::enough;
  std::unique_ptr<Store> read_only_store;            // of the engine that found it so, for the next one
  bool results_wait = false;                         // those of `unanswered`, for the next look at the room
  int64_t look_at_ms = 0, look_wait_ms = 0, over_at_ms = -(1 << 30);
  struct Live {
    int attempt;
    uint64_t run;
    std::shared_ptr<Runner> runner;
  };
  Handover before;                       // of the engine that failed
  FreeLists memory;
  std::pmr::unordered_map<JobId, Live> live{&memory};  // runs that were started and whose end is not on the disk
  std::pmr::unordered_map<Runner*, int> live_of{&memory};
  std::map<Runner*, std::shared_ptr<Runner>> retired;
  LoopPoster::Prepared for_loop;         // what answers ask of it
  bool loop_asked = false;               // for one of these
  std::vector<Request*> events;          // turn()
  std::vector<StartRun> together;        // turn(): for start_runs()
  std::vector<BegunRun> begun;           // start_runs()
  std::vector<std::shared_ptr<Runner>> begin_together;  // those not on the loop, for call_others(); each once
  size_t used_most = kUsedMin;           // of `used`
  size_t may_return = 0;  // events that those may send whom the last turn answered or started; see gather()
  int64_t gather_ms = 0;  // of the last Tick
  int64_t reopen_at_ms = 0, reopen_wait_ms = 0;
  std::string last_error;
  int last_error_code = HF_OK;  // of the turn that failed
  int away_code = HF_OK;        // of the opening that failed

  // ---- owned by the loop thread
  std::map<int, std::function<void(const Transition&)>> watchers;

  std::atomic<int> watcher_count{0};
  std::atomic<int> next_watcher{1};
  std::atomic<int64_t> next_wake_wall_ms{kNever};
  std::atomic<bool> clock_word{false}, wall_trusted{false};
  std::atomic<int64_t> clock_floor_ms{0};
  std::atomic<uint64_t> engine_pulse{0}, loop_pulse{0};
  std::atomic<int64_t> long_work_since_ms{0};  // 0: the engine is not at such
  std::atomic<size_t> inbox_size{0};  // of inbox, to be looked at without the lock

  // While it is there the engine thread is at what may take minutes, and is no hang. One may be within another.
  class LongWork {
   public:
    LongWork(State& state, bool is_long) : mark_(is_long && state.long_work_since_ms == 0 ? &state.long_work_since_ms : nullptr) {
      if (mark_ != nullptr) mark_->store(std::max<int64_t>(boot_ms(), 1));
    }
    ~LongWork() {
      if (mark_ != nullptr) mark_->store(0);
    }
    LongWork(const LongWork&) = delete;
    LongWork& operator=(const LongWork&) = delete;

   private:
    std::atomic<int64_t>* const mark_;
  };

  Now now();  // without the mutex

  // All but the time. Under the mutex.
  EngineOptions engine_options() {
    EngineOptions o;
    o.path = path;
    o.vfs = options.vfs;
    o.page_size = options.page_size;
    o.device = options.device;
    o.boot_id = boot;
    o.seed = options.seed != 0 ? options.seed : random_seed();
    o.new_file_id = static_cast<uint32_t>(random_seed());
    o.limits = limits;
    o.clock = clock.rule;
    o.room = room;
    o.zones = &zones;
    o.callback_text = callback_json;
    o.digest = payload_digest;
    return o;
  }

  // One that is empty: of `used`, or a new one.
  Requests new_request();
  void use_again(Requests& answered);
  enum class Where { engine_thread, here };  // who makes its turn: `here`, if take_turn() lets him
  // HF_E_BUSY if `most` requests are there already, HF_E_STATE once the engine thread ends.
  Status send(Op&& op, std::function<void(Request&)> done, size_t most, Where where = Where::engine_thread);
  void end_run(RunEnded&& ended, std::function<void(Request&)> done = {}, Where where = Where::engine_thread) noexcept;

  void run_engine();
  Requests take_inbox(bool& stop);
  void gather(Requests& batch, bool& stop);
  void hold(Requests& batch, bool& stop);
  // Moves a second Transact, and what came behind it, to the front of `rest`: there is one a turn.
  static void one_transaction(Requests& batch, Requests& rest);
  void save_results();
  void answer_rest();
  // False if the engine failed and is gone: `batch` was answered, but for results, which are in `unanswered`.
  bool turn(Requests& batch);
  // Whoever asks for something may make its turn on his own thread, which is spared a sleep, and the engine's thread a wake-up. Not
  // locked unless nobody else is at one, nobody else waits and nothing is wrong.
  std::unique_lock<std::mutex> take_turn();
  void turn_here(Requests& request);
  static bool may_be_here(const Op& op);  // not what takes long, what calls the program's own code, or what begins and ends it all
  bool in_turn() const;  // this thread is the engine's, or makes a turn
  int failed(const Error& error);  // the code by which to go on
  void drop_engine();
  void keep_ballast();                  // as the limits say, while there is room
  bool less_room(Requests& batch, int code);  // true: `batch` is in `unanswered`, to be asked again
  // With little room: moves to the front of `rest` what one turn does not take.
  void few_at_once(Requests& batch, Requests& rest) const;
  void keep_refused_results(Requests& batch);
  void look_for_room();
  void set_room(Room to);
  // Opens it with what room there is: a full disk is no reason not to. `met` as in open_healing().
  Result<std::unique_ptr<Engine>> open_engine(EngineOptions o, int met);
  void set_reopen_time();
  bool reopen(const Requests& batch);  // what is to be asked next
  void answer_all(Requests& batch, const Error& error);
  void tell_loop();
  void start_runs(std::span<StartRun> starts);
  void call_others();
  // To the loop; patient.
  template <class F>
  void post(const F& task) {
    auto prepared = patient([&] { return LoopPoster::prepare(task); });
    loop->poster().post(std::move(prepared));
  }
  void stop_run(const StopRun& stop);
  void ask_condition(const AskCondition& ask);
  void condition_answered(const std::string& name, const Probe* asked, const ProbeAnswer& said);
  void shut_down(std::shared_ptr<Probe> probe);
  void forget_run(JobId id, int attempt, uint64_t run);  // run 0: whichever
  void publish(std::vector<Transition>&& feed);
  void log_transition(const Transition& t, LogLevel level) const;
  void retire(std::shared_ptr<Runner> runner);
  void shut_down(std::shared_ptr<Runner> runner);
  void set_running_count() {
    std::lock_guard lock(mutex);
    while (spare.size() > live.size()) used.splice(used.begin(), spare, spare.begin());
    while (used.size() > used_most) used.pop_front();
    if (running == live.size()) return;
    running = live.size();
    changed.notify_all();
  }
};

}  // namespace hf
