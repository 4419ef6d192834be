// An engine on a file of its own, with a clock that moves only when the test says so.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "faulty_vfs.h"
#include "tests/temp_folder.h"

namespace hf::test {

class EngineFixture {
 public:
  EngineFixture() {
    path = dir + "/queue.db";
    vfs = disk.name();
    open();
  }
  ~EngineFixture() { engine.reset(); }

  EngineOptions options() const {
    EngineOptions o;
    o.path = path;
    o.vfs = vfs;
    o.device = "gw";
    o.boot_id = boot_id;
    o.seed = seed;
    o.new_file_id = 0xabcd;
    o.limits = limits;
    o.clock = clock_rule;
    o.zones = zones;
    o.digest = [](std::string_view bytes) -> Result<std::string> { return std::to_string(std::hash<std::string_view>()(bytes)); };
    o.now = now;
    o.before = handover;
    return o;
  }
  void open() {
    open_with(options());
    tick({SetDispatch{true}});
  }
  // ... and no turn yet.
  void open_with(EngineOptions options) {
    auto opened = Engine::open(std::move(options));
    if (!opened) FAIL(opened.error().message);
    engine = std::move(*opened);
  }
  // As after SIGKILL: nothing is closed, the file and its log are what the process left. Goes on with a copy
  // of them, because SQLite tidies up when the old connection ends. What was started is forgotten.
  void crash() {
    leave();
    open();
  }
  void leave() {
    std::string copy = dir + "/crash-" + std::to_string(++crashes) + ".db";
    std::filesystem::copy_file(path, copy);
    if (std::filesystem::exists(path + "-wal")) std::filesystem::copy_file(path + "-wal", copy + "-wal");
    engine.reset();
    std::filesystem::remove(path);
    path = copy;
    started.clear();
    stopped.clear();
    questions.clear();
  }
  // A power cut and `off_ms` without power; the clock of the new boot begins near zero.
  void reboot(int64_t off_ms, bool trusted) {
    leave();
    now.boot_ms = 5000;
    now.wall_ms += off_ms;
    now.synced = trusted;
    boot_id += "+";
    open();
  }
  void close_cleanly() {
    REQUIRE(engine->close(now).ok());
    engine.reset();
  }

  // One turn with these events. Fails the test if the turn fails.
  std::vector<Reply> tick(std::vector<Op> ops = {}) {
    Result<std::vector<Reply>> replies = try_tick(std::move(ops));
    if (!replies) FAIL(replies.error().message);
    return std::move(*replies);
  }
  Result<std::vector<Reply>> try_tick(std::vector<Op> ops = {}) {
    std::vector<Request> requests;
    for (Op& op : ops) requests.push_back({std::move(op), {}, {}});
    std::vector<Request*> pointers;
    for (Request& r : requests) pointers.push_back(&r);
    const std::vector<std::string> payloads = payloads_of(requests);
    auto ticked = engine->tick(now, pointers);
    std::vector<Reply> replies;
    for (Request& r : requests) replies.push_back(std::move(r.reply));
    if (!ticked) {
      for (Reply& r : replies) CHECK(std::holds_alternative<Error>(r));
      CHECK(payloads_of(requests) == payloads);  // they may be asked for again
      return ticked.error();
    }
    last = std::move(*ticked);
    for (Action& a : last.actions) {
      if (auto* start = std::get_if<StartRun>(&a)) started.push_back(*start);
      if (auto* stop = std::get_if<StopRun>(&a)) stopped.push_back(*stop);
      if (auto* ask = std::get_if<AskCondition>(&a)) questions.push_back(*ask);
    }
    return replies;
  }
  static std::vector<std::string> payloads_of(const std::vector<Request>& requests) {
    std::vector<std::string> payloads;
    for (const Request& r : requests) {
      const auto* e = std::get_if<Enqueue>(&r.op);
      for (size_t i = 0; e != nullptr && i < e->specs.size(); ++i) payloads.push_back(e->specs[i].payload);
    }
    return payloads;
  }
  template <class T>
  T ask(Op op) {
    std::vector<Op> ops;
    ops.push_back(std::move(op));
    Reply reply = tick(std::move(ops)).front();
    if (auto* error = std::get_if<Error>(&reply)) FAIL(error->message);
    REQUIRE(std::holds_alternative<T>(reply));
    return std::get<T>(reply);
  }
  Error refused(Op op) {
    std::vector<Op> ops;
    ops.push_back(std::move(op));
    Reply reply = tick(std::move(ops)).front();
    REQUIRE(std::holds_alternative<Error>(reply));
    return std::get<Error>(reply);
  }

  void handler(const std::string& type, RunnerSpec spec = {}) {
    spec.name = type;
    ask<Done>(SetRunner{spec});
  }
  static JobSpec spec(const std::string& type, const std::string& payload = "") {
    JobSpec s;
    s.type = type;
    s.payload = payload;
    return s;
  }
  static Transact transaction(std::function<Status(Transaction&)> body) {
    Transact t;
    t.body = std::move(body);
    t.overdue = [] { return false; };
    return t;
  }
  JobId add(JobSpec s) { return ask<std::vector<JobId>>(Enqueue{{std::move(s)}}).front(); }
  static RunEnded ended(const RunJob& job, Outcome outcome, const std::string& text = "") {
    RunEnded e;
    e.id = job.id;
    e.attempt = job.attempt;
    e.run = job.run;
    e.outcome = outcome;
    (outcome == Outcome::done ? e.result : e.error) = text;
    return e;
  }
  void end(const RunJob& job, Outcome outcome, const std::string& text = "") { ask<Done>(ended(job, outcome, text)); }
  RunJob take_started() {
    REQUIRE_FALSE(started.empty());
    RunJob job = started.front().jobs.front();
    started.erase(started.begin());
    return job;
  }
  StopRun take_stopped() {
    REQUIRE_FALSE(stopped.empty());
    StopRun stop = stopped.front();
    stopped.erase(stopped.begin());
    return stop;
  }
  // The ids of the jobs that were started, in order; forgets them.
  std::vector<JobId> started_ids() {
    std::vector<JobId> ids;
    for (const StartRun& s : started) {
      for (const RunJob& j : s.jobs) ids.push_back(j.id);
    }
    started.clear();
    return ids;
  }
  JobInfo get(JobId id) { return ask<JobInfo>(Get{id}); }
  State state(JobId id) { return get(id).state; }
  Stats stats() { return ask<Stats>(GetStats{}); }
  // The closed gates of a job, by name: "due queue".
  std::string gates(JobId id) {
    std::string names;
    for (const ClosedGate& g : ask<WhyInfo>(Why{id}).gates) names += (names.empty() ? "" : " ") + g.gate;
    return names;
  }

  // Moves both clocks.
  void pass(int64_t ms) {
    now.boot_ms += ms;
    now.wall_ms += ms;
    tick();
  }
  // The boot time at which the engine wants to be called, whichever clock says so.
  int64_t wake() const {
    int64_t at = last.next_wake_boot_ms;
    if (last.next_wake_wall_ms != kNever) at = std::min(at, now.boot_ms + last.next_wake_wall_ms - now.wall_ms);
    return at;
  }
  // Moves the clocks from wake-up to wake-up until `ms` are over. Fails if the engine runs in circles.
  void run_for(int64_t ms) {
    int64_t end = now.boot_ms + ms;
    for (int guard = 0; wake() <= end; ++guard) {
      REQUIRE(guard < 100000);
      pass(std::max<int64_t>(wake() - now.boot_ms, 0));
    }
    pass(end - now.boot_ms);
  }

  FaultyVfs disk;
  const TempFolder home;
  const std::string dir = home.path();
  std::string path, vfs;
  std::string boot_id = "boot-1";
  uint64_t seed = 1;
  Limits limits;
  ClockRule clock_rule;
  const ZoneSource* zones = nullptr;
  Handover handover;  // as if an engine of this process had failed
  Now now{1000000, 1790000000000, true};  // 2026-09-21
  std::unique_ptr<Engine> engine;
  Tick last;
  std::vector<StartRun> started;
  std::vector<StopRun> stopped;
  std::vector<AskCondition> questions;
  int crashes = 0;
};

}  // namespace hf::test
