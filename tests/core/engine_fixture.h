// An engine on a file of its own, with a clock that moves only when the test says so.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"

namespace hf::test {

class EngineFixture {
 public:
  EngineFixture() {
    char name[] = "/tmp/hf-core-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    dir = name;
    open();
  }
  ~EngineFixture() {
    engine.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }

  EngineOptions options() const {
    EngineOptions o;
    o.path = dir + "/queue.db";
    o.device = "gw";
    o.boot_id = boot_id;
    o.new_file_id = 0xabcd;
    o.limits = limits;
    o.zones = zones;
    o.now = now;
    o.live = live;
    return o;
  }
  void open() {
    auto opened = Engine::open(options());
    if (!opened) FAIL(opened.error().message);
    engine = std::move(*opened);
    tick({SetDispatch{true}});
  }
  // As after SIGKILL: nothing is closed.
  void crash() {
    engine.reset();
    open();
  }
  void close_cleanly() {
    REQUIRE(engine->close(now).ok());
    engine.reset();
  }

  // One turn with these events. Fails the test if the turn fails.
  std::vector<Reply> tick(std::vector<Op> ops = {}) {
    std::vector<Request> requests;
    for (Op& op : ops) requests.push_back({std::move(op), {}, {}});
    std::vector<Request*> pointers;
    for (Request& r : requests) pointers.push_back(&r);
    auto ticked = engine->tick(now, pointers);
    if (!ticked) FAIL(ticked.error().message);
    last = std::move(*ticked);
    for (Action& a : last.actions) {
      if (auto* start = std::get_if<StartRun>(&a)) started.push_back(*start);
      if (auto* stop = std::get_if<StopRun>(&a)) stopped.push_back(*stop);
    }
    std::vector<Reply> replies;
    for (Request& r : requests) replies.push_back(std::move(r.reply));
    return replies;
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
  JobId add(JobSpec s) { return ask<std::vector<JobId>>(Enqueue{{std::move(s)}}).front(); }
  void end(const RunJob& job, Outcome outcome, const std::string& text = "") {
    RunEnded e;
    e.id = job.id;
    e.attempt = job.attempt;
    e.outcome = outcome;
    (outcome == Outcome::done ? e.result : e.error) = text;
    ask<Done>(std::move(e));
  }
  RunJob take_started() {
    REQUIRE_FALSE(started.empty());
    RunJob job = started.front().jobs.front();
    started.erase(started.begin());
    return job;
  }
  JobInfo get(JobId id) { return ask<JobInfo>(Get{id}); }
  Stats stats() { return ask<Stats>(GetStats{}); }

  // Moves both clocks.
  void pass(int64_t ms) {
    now.boot_ms += ms;
    now.wall_ms += ms;
    tick();
  }
  // Moves the clocks from wake-up to wake-up until `ms` are over.
  void run_for(int64_t ms) {
    int64_t end = now.boot_ms + ms;
    for (int guard = 0; guard < 100000; ++guard) {
      int64_t wake = last.next_wake_boot_ms;
      if (last.next_wake_wall_ms != kNever) wake = std::min(wake, now.boot_ms + last.next_wake_wall_ms - now.wall_ms);
      if (wake > end) break;
      pass(std::max<int64_t>(wake - now.boot_ms, 0));
    }
    pass(end - now.boot_ms);
  }

  std::string dir;
  std::string boot_id = "boot-1";
  Limits limits;
  const ZoneSource* zones = nullptr;
  std::vector<LiveRun> live;
  Now now{1000000, 1790000000000, true};  // 2026-09-21
  std::unique_ptr<Engine> engine;
  Tick last;
  std::vector<StartRun> started;
  std::vector<StopRun> stopped;
};

}  // namespace hf::test
