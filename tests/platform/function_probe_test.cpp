// A probe that calls a function on a thread: whatever the function does, the gate is answered in time, and the loop goes on.
#include "platform/function_probe.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "platform/clock.h"
#include "probe_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kNotReachedMs = 60'000;

struct Fixture : ProbeFixture<FunctionProbe> {
  // A call that hangs until open(). Its own: it may end after the fixture.
  struct Gate {
    std::promise<void> opened;
    const std::shared_future<void> gate{opened.get_future()};
    std::atomic<int> inside{0}, left{0};
    ProbeAnswer pass() {
      ++inside;
      gate.wait();
      ++left;
      return {true, "late"};
    }
  };
  const std::shared_ptr<Gate> gate = std::make_shared<Gate>();

  void make(int64_t timeout_ms, std::function<ProbeAnswer()> look) { probe = std::make_unique<FunctionProbe>(loop.uv(), timeout_ms, std::move(look)); }
  void make_hanging(int64_t timeout_ms) {
    make(timeout_ms, [gate = gate] { return gate->pass(); });
  }
};

}  // namespace

TEST_SUITE("function probe") {
  TEST_CASE_FIXTURE(Fixture, "it says what the function says, each time anew, and not on the loop's thread") {
    const auto here = std::this_thread::get_id();
    std::atomic<int> calls{0};
    std::atomic<bool> elsewhere{true};
    make(kNotReachedMs, [&, here]() -> ProbeAnswer {
      if (std::this_thread::get_id() == here) elsewhere = false;
      return {++calls != 2, "call " + std::to_string(calls)};
    });
    for (const bool open : {true, false, true}) {
      const ProbeAnswer said = asked();
      CHECK(said.open == open);
      CHECK(said.why == "call " + std::to_string(calls));
    }
    CHECK(elsewhere);
    CHECK(answers.size() == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "an answer is never given within the call") {
    make(kNotReachedMs, [] { return ProbeAnswer{true, ""}; });
    ask();
    CHECK(answers.empty());
    REQUIRE(loop.run_until([&] { return !answers.empty(); }));
  }

  TEST_CASE_FIXTURE(Fixture, "what it throws closes the gate, and the next look is as good as any") {
    int call = 0;
    make(kNotReachedMs, [&]() -> ProbeAnswer {
      switch (++call) {
        case 1: throw std::runtime_error("no bus");
        case 2: throw 7;
        case 3: throw std::bad_alloc();
        default: return {true, "fine"};
      }
    });
    for (const char* why : {"it failed: no bus", "it failed", "out of memory"}) {
      const ProbeAnswer said = asked();
      CHECK_FALSE(said.open);
      CHECK(said.why == why);
    }
    CHECK(asked().open);
  }

  TEST_CASE_FIXTURE(Fixture, "one that hangs is late; while it does nobody calls it again; what it says in the end counts for nothing") {
    make_hanging(20);
    const ProbeAnswer late = asked();
    CHECK_FALSE(late.open);
    CHECK(late.why == "no answer within 20ms");
    for (int i = 0; i < 3; ++i) {
      ask();  // answered at once
      REQUIRE(answers.size() == static_cast<size_t>(2 + i));
      CHECK_FALSE(answers.back().open);
      CHECK(answers.back().why.starts_with("its last look has not ended for "));
    }
    CHECK(gate->inside == 1);
    gate->opened.set_value();
    while (gate->left == 0) std::this_thread::yield();
    // It is asked again, once the pool knows that the call is over.
    REQUIRE(loop.run_until([&] { return asked().open; }));
    CHECK(gate->inside == 2);
    for (size_t i = 0; i + 1 < answers.size(); ++i) CHECK_FALSE(answers[i].open);
  }

  TEST_CASE_FIXTURE(Fixture, "a shutdown waits for a call that goes on, not longer than it may take") {
    make_hanging(20);
    ask();
    while (gate->inside == 0) std::this_thread::yield();
    shut();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].why == "no answer within 20ms");
    CHECK(gate->left == 0);
    gate->opened.set_value();
    while (gate->left == 0) std::this_thread::yield();
  }

  TEST_CASE_FIXTURE(Fixture, "a shutdown waits for a call that is about to end") {
    make_hanging(kNotReachedMs);
    ask();
    while (gate->inside == 0) std::this_thread::yield();
    std::thread opens([&] { gate->opened.set_value(); });
    shut();
    opens.join();
    REQUIRE(answers.size() == 1);
    CHECK(gate->left == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a shutdown after it was late answers nobody twice") {
    make_hanging(1);
    CHECK(asked().why == "no answer within 1ms");
    shut();
    CHECK(answers.size() == 1);
    gate->opened.set_value();
    while (gate->left != gate->inside) std::this_thread::yield();  // 0, if it was late before its thread had begun
  }

  TEST_CASE_FIXTURE(Fixture, "a shutdown of what was never asked") {
    make(kNotReachedMs, [] { return ProbeAnswer(); });
    shut();
  }

  // Its thread has ended meanwhile, and the loop does not know yet.
  TEST_CASE_FIXTURE(Fixture, "it is answered, however long the loop was busy since the last time") {
    make(kNotReachedMs, [] { return ProbeAnswer{true, ""}; });
    for (int i = 0; i < 30; ++i) {
      CHECK(asked().open);
      const int64_t until_ms = boot_ms() + i % 6;
      while (boot_ms() < until_ms) std::this_thread::yield();
    }
  }
}
