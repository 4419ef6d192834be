// Pauses of queues: their reason, and the end that comes by itself.
#include <doctest/doctest.h>

#include "core/units.h"
#include "engine_fixture.h"
#include "raw_db.h"

namespace hf::test {
namespace {

constexpr int64_t kHour = 3600000, kDay = 24 * kHour;

class PauseFixture : public EngineFixture {
 public:
  PauseFixture() { handler("x"); }
  void pause_for(int64_t ms, const std::string& reason = "", const std::string& name = "default") { ask<Done>(QueuePause{name, true, reason, ms}); }
  void pause_until(int64_t wall_ms, const std::string& reason = "") { ask<Done>(QueuePause{"default", true, reason, 0, wall_ms}); }
  void resume() { ask<Done>(QueuePause{"default", false}); }
  QueueInfo queue(const std::string& name = "default") { return ask<std::vector<QueueInfo>>(QueueList{name}).at(0); }
  ClosedGate gate(JobId id) {
    const std::vector<ClosedGate> gates = ask<WhyInfo>(Why{id}).gates;
    REQUIRE(gates.size() == 1);
    return gates.front();
  }
  // When it wants to be called for work, not to save how far time has come.
  int64_t due() const { return last.next_due_boot_ms; }
  // As the next process would read it: the engine has the file for itself.
  bool paused_in_file() {
    const std::string copy = dir + "/look.db";
    for (const char* part : {"", "-wal"}) {
      std::filesystem::remove(copy + part);
      if (std::filesystem::exists(path + part)) std::filesystem::copy_file(path + part, copy + part);
    }
    RawDb raw(copy);
    return raw.number("SELECT paused FROM queue WHERE name='default'") != 0;
  }
};

TEST_CASE_FIXTURE(PauseFixture, "a pause with a length ends by itself, at the time that why told") {
  pause_for(2 * kHour, "printer is broken");
  const JobId id = add(spec("x"));
  pass(kHour);
  const ClosedGate closed = gate(id);
  CHECK(closed.gate == "queue");
  CHECK(closed.why == "queue default is paused until " + format_time(now.wall_ms + kHour) + ": printer is broken");
  CHECK(closed.opens_wall_ms == now.wall_ms + kHour);
  CHECK(due() == now.boot_ms + kHour);
  CHECK(queue().paused);
  CHECK(queue().pause_reason == "printer is broken");
  CHECK(queue().resumes_wall_ms == closed.opens_wall_ms);
  run_for(kHour - 1);
  CHECK(started.empty());
  CHECK(paused_in_file());
  run_for(1);
  CHECK(now.wall_ms == closed.opens_wall_ms);
  CHECK(take_started().id == id);
  CHECK_FALSE(queue().paused);
  CHECK(queue().pause_reason.empty());
  CHECK(queue().resumes_wall_ms == 0);
  CHECK_FALSE(paused_in_file());
}

TEST_CASE_FIXTURE(PauseFixture, "a pause until a time ends then") {
  const int64_t at = now.wall_ms + kDay;
  pause_until(at, "night");
  const JobId id = add(spec("x"));
  CHECK(gate(id).opens_wall_ms == at);
  CHECK(gate(id).why == "queue default is paused until " + format_time(at) + ": night");
  run_for(kDay - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "without an end it lasts until it is resumed, and the text says no more than there is") {
  ask<Done>(QueuePause{"default"});
  const JobId id = add(spec("x"));
  CHECK(gate(id).why == "queue default is paused");
  CHECK(gate(id).opens_wall_ms == 0);
  CHECK(queue().resumes_wall_ms == 0);
  ask<Done>(QueuePause{"default", true, "two\nlines"});
  CHECK(gate(id).why == "queue default is paused: two?lines");
  CHECK(queue().pause_reason == "two\nlines");
  run_for(400 * kDay);
  CHECK(started.empty());
  resume();
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "pausing again replaces reason and end; resume ends both, and drain stays as it is") {
  pause_for(kHour, "first");
  pause_for(3 * kHour);
  const JobId id = add(spec("x"));
  CHECK(queue().pause_reason.empty());
  run_for(2 * kHour);
  CHECK(started.empty());
  pause_for(10 * kHour, "longer");
  pause_for(kHour, "shorter");
  CHECK(queue().resumes_wall_ms == now.wall_ms + kHour);
  ask<Done>(QueuePause{"default", true, "for good"});
  CHECK(due() > now.boot_ms + kHour);
  run_for(2 * kHour);
  CHECK(started.empty());
  CHECK(queue().pause_reason == "for good");
  pause_for(kHour, "once more");
  ask<Done>(QueueDrain{"default"});
  resume();
  CHECK(take_started().id == id);
  CHECK_FALSE(queue().draining);
  // The end that was taken back means nothing to the pause that came after it.
  ask<Done>(QueuePause{"default"});
  const JobId next = add(spec("x"));
  run_for(kDay);
  CHECK(started.empty());
  CHECK(queue().pause_reason.empty());
  CHECK(gates(next) == "queue");
  // The end of a pause ends no drain.
  ask<Done>(QueueDrain{"default"});
  pause_for(kHour);
  run_for(kHour);
  CHECK(take_started().id == next);
  CHECK(queue().draining);
}

TEST_CASE_FIXTURE(PauseFixture, "the engine wakes up for the end only if something waits in the queue") {
  pause_for(kHour);
  CHECK(due() > now.boot_ms + kHour);
  const JobId id = add(spec("x"));
  CHECK(due() == now.boot_ms + kHour);
  ask<Done>(Cancel{id});
  CHECK(due() > now.boot_ms + kHour);
  // There is no handler for it.
  add(spec("nobody"));
  CHECK(due() > now.boot_ms + kHour);
  // What comes in a while later is run all the same.
  pass(2 * kHour);
  const JobId late = add(spec("x"));
  CHECK(take_started().id == late);
}

TEST_CASE_FIXTURE(PauseFixture, "what runs when its queue is paused needs no wake-up when it has ended") {
  ask<Done>(QueueSet{"default", {.concurrency = 1}});
  const JobId id = add(spec("x"));
  const RunJob run = take_started();
  pause_for(kHour);
  end(run, Outcome::done);
  CHECK(state(id) == State::completed);
  CHECK(due() > now.boot_ms + kHour);
}

TEST_CASE_FIXTURE(PauseFixture, "no step of the wall clock moves the end") {
  pause_until(now.wall_ms + 2 * kHour);
  const JobId id = add(spec("x"));
  for (const int64_t step : {3 * kHour, -10 * kHour}) {
    now.wall_ms += step;
    tick();
    CHECK(started.empty());
    CHECK(gate(id).opens_wall_ms == now.wall_ms + 2 * kHour);
  }
  run_for(2 * kHour - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "it is kept over a kill, with reason and end") {
  pause_for(2 * kHour, "printer is broken");
  const JobId id = add(spec("x"));
  pass(kHour);
  crash();
  handler("x");
  CHECK(queue().pause_reason == "printer is broken");
  CHECK(queue().resumes_wall_ms == now.wall_ms + kHour);
  run_for(kHour - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "it goes on while the device is off, and a queue whose end has passed then is open") {
  pause_for(3 * kHour);
  const JobId id = add(spec("x"));
  reboot(kHour, true);
  handler("x");
  CHECK(started.empty());
  CHECK(queue().resumes_wall_ms == now.wall_ms + 2 * kHour);
  reboot(2 * kHour, true);
  CHECK_FALSE(queue().paused);
  CHECK_FALSE(paused_in_file());
  handler("x");
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "a process that comes back after the end finds the queue open") {
  pause_for(kHour, "gone");
  leave();
  now.boot_ms += kHour;
  now.wall_ms += kHour;
  open();
  CHECK_FALSE(queue().paused);
  CHECK(queue().pause_reason.empty());
  CHECK_FALSE(paused_in_file());
}

TEST_CASE_FIXTURE(PauseFixture, "a power cut without a clock takes nothing of it back that went by before") {
  now.synced = false;
  tick();
  pass(kHour);
  pass(30000);  // not saved: nothing happens
  pause_for(2 * kHour);
  reboot(0, false);
  handler("x");
  const JobId id = add(spec("x"));
  // Time goes on from where it was when the queue was paused, not from before.
  run_for(2 * kHour - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "with a clock that is not trusted a length is told, and no time") {
  now.synced = false;
  reboot(kHour, false);
  handler("x");
  const Error e = refused(QueuePause{"default", true, "", 0, now.wall_ms + kHour});
  CHECK(e.code == HF_E_CONFLICT);
  CHECK(e.message == "until is a wall-clock time, and the clock is not trusted yet: say for how long (for)");
  CHECK_FALSE(queue().paused);
  pause_for(kHour, "no clock");
  const JobId id = add(spec("x"));
  CHECK(gate(id).why == "queue default is paused for 1h: no clock");
  run_for(kHour);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "what is wrong is refused, and the pause before stays") {
  pause_for(kHour, "before");
  const std::string most(HF_REASON_MAX, 'r');
  const auto error = [&](QueuePause p) {
    const Error e = refused(std::move(p));
    CHECK(queue().pause_reason == "before");
    return std::string(e.code == HF_E_INVALID ? "invalid: " : e.code == HF_E_TOO_LARGE ? "too large: " : "? ") + e.message;
  };
  CHECK(error({"default", true, most + "r"}) == "too large: reason has 201 bytes; at most 200");
  CHECK(error({"default", true, "\xff"}) == "invalid: reason is not valid UTF-8");
  CHECK(error({"default", true, "", kPauseMaxMs + 1}) == "invalid: for is " + format_duration(kPauseMaxMs + 1) + "; allowed is 1ms to 366d");
  CHECK(error({"default", true, "", -1}) == "invalid: for is -1 ms; allowed is 1ms to 366d");
  CHECK(error({"default", true, "", 1, now.wall_ms + 1}) == "invalid: for and until exclude each other");
  CHECK(error({"default", true, "", 0, now.wall_ms}).starts_with("invalid: until is " + format_time(now.wall_ms) + ", which is past"));
  CHECK(error({"default", true, "", 0, -1}).starts_with("invalid: until is "));
  CHECK(error({"default", true, "", 0, now.wall_ms + kPauseMaxMs + 1}).starts_with("invalid: until, from now, is "));
  CHECK(error({"a b", true, "", 1}).starts_with("invalid: "));
  // The edges.
  pause_until(now.wall_ms + kPauseMaxMs, most);
  CHECK(queue().pause_reason == most);
  CHECK(queue().resumes_wall_ms == now.wall_ms + kPauseMaxMs);
  pause_for(kPauseMaxMs);
  CHECK(queue().resumes_wall_ms == now.wall_ms + kPauseMaxMs);
  pause_until(now.wall_ms + 1);
  const JobId id = add(spec("x"));
  run_for(1);
  CHECK(take_started().id == id);
  pause_for(1);
  const JobId next = add(spec("x"));
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == next);
}

TEST_CASE_FIXTURE(PauseFixture, "each of many queues ends when it is told to") {
  for (int i = 0; i < 20; ++i) {
    JobSpec s = spec("x");
    s.queue = "q" + std::to_string(i);
    pause_for((i * 7 % 20 + 1) * kHour, "", s.queue);
    add(s);
  }
  for (int hour = 1; hour <= 20; ++hour) {
    run_for(kHour);
    CHECK(started_ids().size() == 1);
  }
}

TEST_CASE_FIXTURE(PauseFixture, "its settings are kept beside it, and a window that is closed at its end holds") {
  ask<Done>(QueueSet{"default", {.concurrency = 3, .windows = "* * * * * for 20s"}});
  now.wall_ms += 30000 - now.wall_ms % 60000;
  pause_for(60000, "both");
  crash();
  handler("x");
  CHECK(queue().set.concurrency == 3);
  CHECK(queue().pause_reason == "both");
  const JobId id = add(spec("x"));
  CHECK(gates(id) == "queue window");
  run_for(60000);
  CHECK(gates(id) == "window");
  CHECK(queue().set.concurrency == 3);
  run_for(30000);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(PauseFixture, "an end that a damaged file has is at most a year ahead") {
  pause_for(kHour, "damaged");
  leave();
  {
    // The number behind tag 14, as large as there is.
    RawDb raw(path);
    raw.run("UPDATE queue SET settings=x'0efeffffffffffffffff01'");
  }
  open();
  CHECK(queue().paused);
  CHECK(queue().resumes_wall_ms == now.wall_ms + kPauseMaxMs);
}

}  // namespace
}  // namespace hf::test
