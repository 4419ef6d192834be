#include "world.h"

#include <algorithm>

#include "agenda.h"
#include "clocks.h"
#include "limits.h"
#include "peer.h"
#include "trace.h"
#include "trouble.h"
#include "verdict.h"
#include "workload.h"

namespace hf::sim {

namespace {

constexpr int64_t kReopenFirstMs = 1000, kReopenMaxMs = 60000;  // as the Host waits
std::string result_of(JobId id) { return "result of " + std::to_string(id) + std::string(static_cast<size_t>(id % 700), 'r'); }

class World {
 public:
  explicit World(const Plan& plan) : plan_(plan), random_(plan.seed), fault_random_(plan.seed ^ 0xfa017) {
    install_allocator();
    sqlite3_initialize();
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(plan.seed & 0x7fffffff) | 1, nullptr);
    limits_.concurrency = work_.concurrency();
    limits_.keep_completed_ms = limits_.keep_dead_ms = 50LL * 366 * 86400 * 1000;
    disk_.on_call = [this](Call c) {
      if (plan_.before_change && changes(c)) plan_.before_change({disk_, ledger_, in_flight_, used_options_});
      return trouble_.at(c, disk_.calls, fault_random_);
    };
  }
  ~World() {
    disk_.process_dies();
    engine_.reset();
  }

  Report run() {
    try {
      open(Loss::turn);
      for (const ScheduleSpec& spec : Workload::schedules()) turn({SchedulePut{spec}});
      int64_t end = Clocks::kStartMs + plan_.jobs * 1000LL;
      for (const Fault& f : plan_.faults) at(Clocks::kStartMs + f.at_ms, Event::fault, static_cast<size_t>(&f - plan_.faults.data()));
      at(clock() + 1, Event::user);
      go_on_until(end);
      heal();
    } catch (const Violation& v) {
      out_.violation = v.what;
    }
    out_.virtual_ms = clock() - Clocks::kStartMs;
    out_.uploads = peer_.uploads;
    out_.jobs = static_cast<int64_t>(ledger_.size());
    out_.hash = trace_.hash();
    out_.calls = disk_.calls;
    out_.changes = disk_.changes_made;
    out_.allocations = trouble_.allocations();
    return out_;
  }

 private:
  struct Live { RunJob job; bool delivery = false; };
  int64_t clock() const { return clocks_.time(); }
  void at(int64_t when, Event e, size_t index = 0) { agenda_.add(when, e, index); }
  uint64_t below(uint64_t n) { return random_.below(n); }
  bool one_in(uint64_t n) { return random_.below(n) == 0; }
  void note(const auto& what) { trace_.note(what); }
  [[noreturn]] static void violated(const std::string& what) { throw Violation{what}; }
  static void all_well(const std::string& wrong) { if (!wrong.empty()) violated(wrong); }

  // ---- the engine
  EngineOptions options() {
    EngineOptions o;
    o.path = "/sim/queue.db";
    o.vfs = disk_.vfs();
    o.device = "gw";
    o.boot_id = "boot-" + std::to_string(boots_);
    o.seed = plan_.seed + opens_;
    o.new_file_id = 0xabcd;
    o.limits = limits_;
    o.now = clocks_.now();
    o.room = room_;
    o.before = before_;
    return o;
  }

  // Until it is open: what the disk does meanwhile is part of the plan.
  void open(Loss loss) {
    opening_ = true;
    for (int tries = 0;; ++tries) {
      if (tries == 100) violated("the engine does not open any more: " + last_error_);
      ++opens_;
      used_options_ = options();
      EngineOptions handed = used_options_;
      Result<std::unique_ptr<Engine>> opened = trouble_.failing([&] { return Engine::open(std::move(handed)); });
      if (!opened) last_error_ = opened.error().message;
      if (disk_.process_died()) {
        if (opened) engine_ = std::move(*opened);
        loss = std::max(loss, end_process());
        continue;
      }
      if (!opened) {
        note("open: " + opened.error().message);
        before_.opening_failed(opened.error().code);
        if (opened.error().code == HF_E_FULL && room_ != Room::none) {
          less_room();
          continue;
        }
        if (opened.error().code == HF_E_CORRUPT || opened.error().code == HF_E_FOREIGN) violated("the file is damaged: " + opened.error().message);
        clocks_.pass(reopen_wait_ms_);
        reopen_wait_ms_ = std::clamp(reopen_wait_ms_ * 2, kReopenFirstMs, kReopenMaxMs);
        continue;
      }
      engine_ = std::move(*opened);
      opening_ = false;
      if (!look(loss)) {
        opening_ = true;
        continue;
      }
      return;
    }
  }

  // The first turns of an opened engine: all that is there, then its set-up. False: it failed again.
  bool look(Loss& loss) {
    std::vector<JobInfo> all;
    JobId before = 0;
    do {
      ListQuery q;
      q.limit = 1000;
      q.before = before;
      std::vector<Reply> replies;
      Tick tick;
      std::vector<Op> ops = {List{q}};
      if (!try_turn(ops, replies, tick, loss)) return false;
      auto* page = std::get_if<JobPage>(&replies[0]);
      if (page == nullptr) violated("list: " + std::get<Error>(replies[0]).message);
      all.insert(all.end(), page->jobs.begin(), page->jobs.end());
      before = page->next;
      if (before == 0) {
        ledger_.reconcile(all, loss, room_ != Room::none);
        all_well(run_limits_.opened(all, loss == Loss::turn));
        loss = Loss::turn;  // what follows is another loss
      }
      learn(ops, replies, tick);
    } while (before != 0);
    std::vector<Op> ops = set_up(limits_, dispatch_);
    std::vector<Reply> replies;
    Tick tick;
    if (!try_turn(ops, replies, tick, loss)) return false;
    learn(ops, replies, tick);
    return true;
  }

  // The process has ended, by the fault that was set. What is left of it is gone.
  Loss end_process() {
    const bool power = trouble_.by_power();
    const bool new_process = !before_.reopened;
    note(power ? "power cut" : "killed");
    trouble_.process_ended();
    disk_.process_dies();
    engine_.reset();
    before_ = {};
    live_.clear();
    held_.clear();
    room_ = Room::enough;
    reopen_wait_ms_ = 0;
    doubted_.clear();
    if (!power) {
      ++out_.kills;
      return Loss::kill;
    }
    ++out_.cuts;
    trouble_.disk_is_whole();
    // Beyond the promise: the power goes while a log is moved of which, unknown to this process, a sync had failed.
    if (opening_ && new_process) disk_.forgive();
    disk_.cut(kCuts[fault_random_.below(std::size(kCuts))], fault_random_);
    int64_t off = static_cast<int64_t>(fault_random_.below(3) == 0 ? fault_random_.below(3600000) : fault_random_.below(20000));
    if (clocks_.reboot(off, fault_random_)) at(clock() + static_cast<int64_t>(fault_random_.below(60000)), Event::trust);
    ++boots_;
    return Loss::power;
  }

  // One turn. False: it failed or the process ended; the engine is gone, `loss` says how.
  bool try_turn(std::vector<Op>& ops, std::vector<Reply>& replies, Tick& tick, Loss& loss) {
    std::vector<Request> requests;
    for (const Op& op : ops) requests.push_back({op, {}, {}});
    std::vector<Request*> pointers;
    for (Request& r : requests) pointers.push_back(&r);
    ++out_.steps;
    if (plan_.before_change) in_flight_ = ops;
    Result<Tick> ticked = trouble_.failing([&] { return engine_->tick(clocks_.now(), pointers); });
    if (!disk_.process_died() && ticked) {
      for (Request& r : requests) replies.push_back(std::move(r.reply));
      tick = std::move(*ticked);
      in_flight_.clear();
      return true;
    }
    ledger_.in_doubt(ops);
    clocks_.in_doubt(ops);
    run_limits_.in_doubt(ops);
    // What was told has ended: whether that was committed is not known.
    for (const Op& op : ops) {
      auto* end = std::get_if<RunEnded>(&op);
      if (end == nullptr) continue;
      auto it = live_.find(end->id);
      if (it == live_.end() || it->second.job.run != end->run) continue;
      live_.erase(it);
      doubted_.insert({end->id, end->run});
    }
    if (disk_.process_died()) {
      loss = std::max(loss, end_process());
      return false;
    }
    last_error_ = ticked.error().message;
    last_code_ = ticked.error().code;
    note("turn failed: " + last_error_);
    if (last_code_ == HF_E_FULL) less_room();
    if (ticked.error().code == HF_E_CORRUPT) violated("the file is damaged: " + last_error_);
    if (ticked.error().code == HF_E_INTERNAL) violated("internal: " + last_error_);
    for (Request& r : requests) {
      if (!std::holds_alternative<Error>(r.reply)) violated("a failed turn answered a request");
    }
    ++out_.failed_turns;
    keep_for_next();
    if (disk_.process_died()) {
      loss = std::max(loss, end_process());
      return false;
    }
    loss = std::max(loss, Loss::turn);
    return false;
  }

  // As the Host on a full disk: with less room, until it looks again.
  void less_room() {
    if (room_ == Room::enough) at(clock() + 1000 + static_cast<int64_t>(fault_random_.below(10000)), Event::room);
    room_ = room_ == Room::enough ? Room::little : Room::none;
    ++out_.times_full;
    note(room_ == Room::little ? "little room" : "no room");
  }
  void room_again() {
    if (room_ == Room::enough) return;
    std::vector<Op> ops = std::exchange(held_, {});
    if (std::exchange(room_, Room::enough) == Room::none) {
      keep_for_next();
      open(before_.recorded ? Loss::turn : Loss::kill);  // what an earlier process left running is put back only now
    }
    ops.insert(ops.begin(), SetRoom{room_});
    turn(std::move(ops));
  }
  void keep_for_next() {
    before_ = engine_->handover();
    engine_.reset();
  }

  // A turn as the Host makes it: after a failure the engine is opened again and results are told once more.
  std::vector<Reply> turn(std::vector<Op> ops = {}) {
    while (true) {
      std::vector<Reply> replies;
      Tick tick;
      Loss loss = Loss::turn;
      if (try_turn(ops, replies, tick, loss)) {
        reopen_wait_ms_ = 0;
        learn(ops, replies, tick);
        return replies;
      }
      open(loss);
      std::vector<Op> again;
      if (loss == Loss::turn) {
        for (Op& op : ops) {
          if (std::holds_alternative<RunEnded>(op) || (last_code_ == HF_E_FULL && !std::holds_alternative<SetRoom>(op))) again.push_back(std::move(op));
        }
      }
      ops = std::move(again);
    }
  }

  void learn(const std::vector<Op>& ops, const std::vector<Reply>& replies, Tick& tick) {
    for (const Transition& t : tick.feed) note(t);
    ledger_.committed(ops, replies, tick);
    all_well(clocks_.check(ops, replies, tick));
    all_well(run_limits_.check(ops, replies, tick, clock()));
    learned_at_ = clock();
    for (size_t i = 0; i < ops.size(); ++i) {
      auto* end = std::get_if<RunEnded>(&ops[i]);
      if (end == nullptr) continue;
      bool stale = std::holds_alternative<Error>(replies[i]);
      if (stale && std::get<Error>(replies[i]).code == HF_E_FULL) {  // told again when there is room
        held_.push_back(ops[i]);
        continue;
      }
      if (doubted_.erase({end->id, end->run}) != 0) continue;
      auto it = live_.find(end->id);
      bool current = it != live_.end() && it->second.job.run == end->run;
      if (stale && current) violated("job " + std::to_string(end->id) + ": the end of a live run was refused: " + std::get<Error>(replies[i]).message);
      if (!stale && !current) violated("job " + std::to_string(end->id) + ": a stale end counted: run " + std::to_string(end->run) + ", live " + (it == live_.end() ? "none" : std::to_string(it->second.job.run)));
      if (current) live_.erase(it);
    }
    for (const Transition& t : tick.feed) {
      if (t.change == Change::completed && peer_.lacks(t.id)) violated("job " + std::to_string(t.id) + " is completed, and the peer does not hold its result");
    }
    // What StopAll ended without the runner's word.
    for (const Transition& t : tick.feed) {
      if (t.change == Change::handed_back || t.change == Change::cancelled || t.change == Change::retried || t.change == Change::died) {
        auto it = live_.find(t.id);
        if (it != live_.end() && it->second.job.attempt == t.attempt) live_.erase(it);
      }
    }
    for (Action& a : tick.actions) {
      if (auto* start = std::get_if<StartRun>(&a)) begin(*start);
      if (auto* stop = std::get_if<StopRun>(&a)) stop_run(*stop);
      if (auto* ask = std::get_if<AskCondition>(&a)) {
        questions_.push_back({ask->name, healing_ || one_in(2), "", 0, ask->number});
        at(clock() + static_cast<int64_t>(below(one_in(10) ? 20000 : 100)), Event::said, questions_.size() - 1);
      }
    }
    int64_t wake = tick.next_wake_boot_ms;
    if (tick.next_wake_wall_ms != kNever) wake = std::min(wake, clocks_.now().boot_ms + tick.next_wake_wall_ms - clocks_.now().wall_ms);
    wake_at_ = wake == kNever ? kNever : clock() + wake - clocks_.now().boot_ms;
    if (wake_at_ <= clock() && tick.feed.empty() && tick.actions.empty() && ops.empty()) {
      if (++idle_ > 3) violated("the engine asks to be called at once, again and again, and does nothing");
    } else {
      idle_ = 0;
    }
  }

  // ---- runs
  void begin(const StartRun& start) {
    bool delivery = start.runner.text().rfind("sink:", 0) == 0;
    for (const RunJob& j : start.jobs) {
      std::string who = "job " + std::to_string(j.id);
      const Ledger::Job* known = ledger_.find(j.id);
      if (known == nullptr) violated(who + " runs and is not known");
      if (known->state != State::running) violated(who + " runs and is " + state_name(known->state));
      if (j.attempt < 1 || j.attempt > std::max(known->max_attempts, kMaxAttempts)) violated(who + " runs for the " + std::to_string(j.attempt) + "th time");
      if (!numbers_.insert({boots_, j.id, j.run}).second) violated(who + ": two runs with one number");
      if (!live_.emplace(j.id, Live{j, delivery}).second) violated(who + " runs twice at once");
      ++out_.runs;
      if (j.key.text() != "gw-0000abcd-" + std::to_string(j.id)) violated(who + " has the key " + j.key.text());
      if (delivery && j.type != kCallbackType && j.bytes != result_of(j.id)) violated(who + ": what is uploaded is not its result");
    }
    if (delivery) {
      Peer::Answer a = peer_.upload(start, random_);
      if (peer_.spoiled != 0) violated("job " + std::to_string(peer_.spoiled) + ": one key, two results, or one sequence, two keys");
      end_later(start, a.outcome, a.error, a.after_ms, a.retry_after_ms, a.park, a.silent);
      return;
    }
    for (const RunJob& j : start.jobs) {
      if (const std::string key = j.queue == kPacedQueue ? run_limits_.key_of(start, j) : ""; !key.empty()) all_well(clocks_.check_pace("key " + key, kKeyPace));
    }
    for (const StartRun& part : work_.parts_that_end(start)) {
      const Workload::Course course = work_.course(healing_);
      end_later(part, course.how, "it failed", course.takes_ms, -1, false, course.hangs);
    }
  }

  void end_later(const StartRun& start, Outcome how, const std::string& error, int64_t after_ms, int64_t retry_after, bool park, bool hangs) {
    std::vector<RunEnded> ends;
    for (const RunJob& j : start.jobs) {
      RunEnded e;
      e.id = j.id;
      e.attempt = j.attempt;
      e.run = j.run;
      e.outcome = how;
      e.park_runner = park;
      e.retry_after_ms = retry_after;
      (how == Outcome::done ? e.result : e.error) = how == Outcome::done ? result_of(j.id) : error;
      ends.push_back(std::move(e));
    }
    ends_.push_back(std::move(ends));
    if (!hangs) at(clock() + after_ms, Event::ended, ends_.size() - 1);
    for (const RunJob& j : start.jobs) end_of_[{j.id, j.run}] = ends_.size() - 1;
  }
  // The runner obeys soon, or late.
  void stop_run(const StopRun& s) {
    auto it = live_.find(s.id);
    if (it == live_.end() || (s.reason == StopReason::soft_timeout && one_in(2))) return;  // it is only asked
    auto end = end_of_.find({s.id, it->second.job.run});
    if (end != end_of_.end()) at(clock() + static_cast<int64_t>(below(one_in(4) ? 8000 : 50)) + 1, Event::ended, end->second);
  }
  void ended(size_t index) {
    std::vector<Op> ops;
    for (RunEnded& e : ends_[index]) {
      if (told_.insert({boots_, e.id, e.run}).second || one_in(20)) ops.push_back(e);  // now and then a second time: stale
    }
    ends_of_children(ops);
    if (!ops.empty() && one_in(4)) turn({work_.log_line(std::get<RunEnded>(ops.front()))});
    if (!ops.empty()) turn(std::move(ops));
  }
  void ends_of_children(std::vector<Op>& ops) {
    if (ops.empty() || !one_in(12)) return;
    auto& e = std::get<RunEnded>(ops.front());
    auto it = live_.find(e.id);
    if (e.outcome != Outcome::done || it == live_.end() || it->second.delivery) return;
    std::vector<Reply> ids = turn({ReserveIds{2}});
    if (ids.empty()) return;  // the turn failed
    auto* reserved = std::get_if<std::vector<JobId>>(&ids.front());
    if (reserved == nullptr) return;
    for (JobId id : *reserved) {
      if (ledger_.ever_seen(id)) violated("job " + std::to_string(id) + ": a reserved id was used before");
      e.children.push_back({id, work_.spec(clocks_.right_wall_ms())});
    }
  }

  // ---- people
  void user() {
    std::vector<JobSpec> specs;
    for (uint64_t n = one_in(10) ? below(12) + 1 : 1; n > 0; --n) specs.push_back(work_.asked(ledger_, clocks_.right_wall_ms()));
    asked_ += static_cast<int>(specs.size());
    at(clock() + static_cast<int64_t>(specs.size() * (500 + below(1000))), Event::user);
    turn({Enqueue{std::move(specs)}});
    if (one_in(4)) turn({GetStats{}});
    if (one_in(20)) {
      limits_.concurrency = work_.concurrency();
      turn({SetLimits{limits_}});
    }
    if (!one_in(6)) return;
    turn(work_.verbs(ledger_));
  }
  // The engine has just done all that it could. True: some of its jobs were asked why they wait.
  bool ask_why() {
    if (learned_at_ != clock() || asked_why_at_ == clock()) return false;
    asked_why_at_ = clock();
    std::vector<Op> ops;
    for (const JobId id : ledger_.pending(why_random_, 8)) ops.push_back(Why{id});
    for (const Reply& reply : turn(ops)) {
      const int64_t wake_in = wake_at_ == kNever ? kNever : wake_at_ - clock();
      all_well(run_limits_.check_waits(std::get<WhyInfo>(reply), clocks_.now().wall_ms, wake_in));
    }
    return !ops.empty();
  }
  // ---- faults
  void fault(const Fault& f) {
    note(std::string("fault ") + fault_name(f.kind) + " " + std::to_string(f.n));
    fault_random_ = Random(f.how);
    switch (f.kind) {
      case FaultKind::kill: case FaultKind::cut:
        trouble_.begin(f, fault_random_);
        if (f.n == 0) open(end_process());
        break;
      case FaultKind::io_error: case FaultKind::disk_full: case FaultKind::bad_sync: case FaultKind::no_memory:
        trouble_.begin(f, fault_random_);
        break;
      case FaultKind::wall_step:
        if (clocks_.step(fault_random_)) at(clock() + static_cast<int64_t>(fault_random_.below(120000)), Event::trust);
        turn({ClockStepped{}});
        break;
      case FaultKind::suspend: clocks_.pass(static_cast<int64_t>(fault_random_.below(fault_random_.below(3) == 0 ? 8 * 3600000 : 60000))); break;
      case FaultKind::untrusted:
        clocks_.distrust();
        at(clock() + static_cast<int64_t>(fault_random_.below(60000)), Event::trust);
        turn();
        break;
      case FaultKind::partition:
        peer_.reachable = false;
        at(clock() + static_cast<int64_t>(fault_random_.below(120000)), Event::reach);
        break;
      case FaultKind::restart: restart(); break;
    }
  }
  void restart() {
    dispatch_ = false;
    int64_t ends = out_.kills + out_.cuts;
    turn({SetDispatch{false}, StopAll{true}});
    dispatch_ = true;
    if (ends != out_.kills + out_.cuts) {  // it ended before it could stop
      turn({SetDispatch{true}});
      return;
    }
    live_.clear();
    Status closed = trouble_.failing([&] { return engine_->close(clocks_.now()); });
    Loss loss = Loss::kill;
    if (disk_.process_died()) {
      loss = end_process();
    } else {
      note(closed ? "closed" : "close: " + closed.error().message);
      engine_.reset();
      disk_.process_dies();
      doubted_.clear();
      held_.clear();
      before_ = {};
      room_ = Room::enough;
    }
    open(loss);
  }

  // ---- time
  void go_on_until(int64_t end) {
    while (true) {
      bool wake_first = wake_at_ <= agenda_.next_at();
      int64_t next = wake_first ? wake_at_ : agenda_.next_at();
      if (next > end) break;
      if (next > clock() && ask_why()) continue;
      if (next > clock()) clocks_.pass(next - clock());
      if (wake_first) {
        turn();
        continue;
      }
      const Agenda::Due due = agenda_.take();
      switch (due.event) {
        case Event::user: if (asked_ < plan_.jobs && !healing_) user(); break;
        case Event::ended: ended(due.index); break;
        case Event::fault: fault(plan_.faults[due.index]); break;
        case Event::trust: trust(); break;
        case Event::reach: peer_.reachable = true; break;
        case Event::room: room_again(); break;
        case Event::said: turn({questions_[due.index]}); break;
      }
    }
    if (end > clock()) clocks_.pass(end - clock());
  }
  void trust() {
    clocks_.put_right();
    turn({ClockStepped{}, ForgetClockFloor{}});  // an operator: the wrong time may have been a later one
  }

  // Everything works from now on: every job comes to its end.
  void heal() {
    note("heal");
    healing_ = true;
    trouble_.heal();
    room_again();
    peer_.reachable = peer_.behaves = true;
    trust();
    // A pause ends by itself, and what waits for it is run.
    for (const std::string& q : kQueues) turn({QueuePause{q, true, "heals", 60000}, QueueSet{q, {}}, QueueList{}});
    turn({SetRunner{handler("b")}, TellCondition{kTold, true}});
    turn({ScheduleRemove{"every"}, ScheduleRemove{"minute"}});
    for (int hours = 0; hours < 48; ++hours) {
      Stats s = std::get<Stats>(turn({GetStats{}}).front());
      if (s.by_state[0] + s.by_state[1] == 0) break;
      if (wake_at_ == kNever && live_.empty()) violated(std::to_string(s.by_state[0]) + " jobs wait for nothing");
      go_on_until(clock() + 3600000);
    }
    for (auto& [id, job] : ledger_.jobs()) {
      if (is_final(job.state)) continue;
      WhyInfo why = std::get<WhyInfo>(turn({Why{id}}).front());
      std::string gates;
      for (const ClosedGate& g : why.gates) gates += g.gate + " (" + g.why + ") ";
      violated("job " + std::to_string(id) + " is " + state_name(job.state) + " at the end: " + why.summary + " " + gates);
    }
    verify();
  }
  void verify() {
    std::string check = std::get<std::string>(turn({Check{}}).front());
    if (!check.empty()) violated("check: " + check);
    Told told;
    std::vector<JobInfo> infos;
    for (auto& [id, job] : ledger_.jobs()) {
      const Reply reply = turn({Get{id}}).front();
      if (std::holds_alternative<Error>(reply) && Ledger::may_have_left(job)) continue;
      if (std::holds_alternative<Error>(reply)) violated("job " + std::to_string(id) + " of " + job.queue + " is " + state_name(job.state) + " and is not there");
      const JobInfo& info = infos.emplace_back(std::get<JobInfo>(reply));
      all_well(verdict(info, job.state, peer_, result_of(id)));
      told.add(info);
    }
    for (const JobInfo& info : infos) all_well(told.verdict(info));
  }

  const Plan& plan_;
  Random random_, fault_random_, why_random_{plan_.seed ^ 0x3a17};
  Disk disk_;
  Ledger ledger_;
  Workload work_{random_};
  Peer peer_;
  Limits limits_;
  Clocks clocks_;
  RunLimits run_limits_;
  int64_t learned_at_ = kNever, asked_why_at_ = kNever;  // clock()
  int boots_ = 1;
  uint64_t opens_ = 0;
  std::unique_ptr<Engine> engine_;
  Handover before_;
  Room room_ = Room::enough;
  std::vector<Op> held_;  // results that found no room
  int last_code_ = HF_OK;
  std::string last_error_;
  int64_t reopen_wait_ms_ = 0;
  bool healing_ = false, dispatch_ = true, opening_ = false;
  std::map<JobId, Live> live_;
  std::set<std::pair<JobId, uint64_t>> doubted_;  // told in a turn that failed
  std::vector<TellCondition> questions_;  // and what is said to them
  std::vector<std::vector<RunEnded>> ends_;
  std::map<std::pair<JobId, uint64_t>, size_t> end_of_;
  std::set<std::tuple<int, JobId, uint64_t>> numbers_, told_;
  std::vector<Op> in_flight_;
  EngineOptions used_options_;
  Trouble trouble_{plan_, [this] { return clock(); }};
  Agenda agenda_;
  int64_t wake_at_ = kNever;
  int idle_ = 0, asked_ = 0;
  Trace trace_{plan_.trace, [this] { return clock() - Clocks::kStartMs; }};
  Report out_;
};

}  // namespace

Report simulate(const Plan& plan) { return World(plan).run(); }

}  // namespace hf::sim
