#include "platform/loop.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "platform/clock.h"

using namespace hf;

namespace {

std::unique_ptr<Loop> started_loop() {
  auto loop = Loop::create();
  REQUIRE(loop.ok());
  REQUIRE((*loop)->start().ok());
  return *std::move(loop);
}

// Runs `task` on the loop and waits for its result.
template <class Task>
auto on_loop(Loop& loop, Task task) {
  std::packaged_task<decltype(task())()> packaged(std::move(task));
  auto result = packaged.get_future();
  auto shared = std::make_shared<decltype(packaged)>(std::move(packaged));
  REQUIRE(loop.post([shared] { (*shared)(); }));
  return result.get();
}

}  // namespace

TEST_CASE("loop: tasks run on its thread, in the order of posting") {
  auto loop = started_loop();
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) REQUIRE(loop->post([&order, i] { order.push_back(i); }));
  CHECK(on_loop(*loop, [&] { return loop->on_loop_thread(); }));
  CHECK_FALSE(loop->on_loop_thread());
  REQUIRE(order.size() == 1000);
  for (int i = 0; i < 1000; ++i) REQUIRE(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("loop: many threads post, each in its own order") {
  auto loop = started_loop();
  constexpr int kThreads = 4, kEach = 500;
  std::vector<int> last(kThreads, -1);
  bool in_order = true;
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t)
    posters.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i)
        loop->post([&, t, i] {
          in_order = in_order && last[static_cast<std::size_t>(t)] == i - 1;
          last[static_cast<std::size_t>(t)] = i;
        });
    });
  for (auto& poster : posters) poster.join();
  loop->stop();
  CHECK(in_order);
  for (const int i : last) CHECK(i == kEach - 1);
}

TEST_CASE("loop: what is posted before the start waits for it") {
  auto loop = Loop::create();
  REQUIRE(loop.ok());
  std::atomic<bool> ran = false;
  CHECK((*loop)->post([&] { ran = true; }));
  CHECK_FALSE(ran);
  REQUIRE((*loop)->start().ok());
  (*loop)->stop();
  CHECK(ran);
}

TEST_CASE("loop: stop runs what was posted, also what that posts, and refuses the rest") {
  auto loop = started_loop();
  std::atomic<int> ran = 0;
  loop->post([&] {
    ++ran;
    loop->post([&] { ++ran; });
  });
  loop->stop();
  CHECK(ran == 2);
  CHECK_FALSE(loop->post([&] { ++ran; }));
  loop->stop();  // again: nothing
  CHECK(ran == 2);
}

TEST_CASE("loop: one that never started ends too") {
  auto loop = Loop::create();
  REQUIRE(loop.ok());
  bool ran = false;
  (*loop)->post([&] { ran = true; });
  loop->reset();
  CHECK(ran);
}

TEST_CASE("loop: it starts once") {
  auto loop = started_loop();
  const auto again = loop->start();
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().code == HF_E_STATE);
}

TEST_CASE("loop: memory of tasks is used again, and what each held is released before the next one runs") {
  auto loop = started_loop();
  int alive = 0, ran = 0;  // the loop's
  struct Held {
    int& count;
    explicit Held(int& of) : count(of) { ++count; }
    ~Held() { --count; }
  };
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 200; ++i) {
      CHECK(loop->poster().post(loop->prepare_again([&] {
        auto held = std::make_shared<Held>(alive);
        ++ran;
        // Kept by the task that it posts, which the loop runs later, and no longer.
        loop->post([held] {});
      })));
    }
    on_loop(*loop, [] { return 0; });
  }
  on_loop(*loop, [] { return 0; });
  CHECK(on_loop(*loop, [&] { return std::pair(ran, alive); }) == std::pair(4000, 0));
}

TEST_CASE("loop: a poster may outlive it") {
  auto loop = started_loop();
  const LoopPoster poster = loop->poster();
  CHECK(poster.post([] {}));
  loop.reset();
  auto held = std::make_shared<int>(1);
  CHECK_FALSE(poster.post([held] {}));
  CHECK(held.use_count() == 1);  // a refused task is destroyed at once
  CHECK_FALSE(LoopPoster().post([] {}));
}

TEST_CASE("loop: host's signals stay off its thread") {
  auto loop = started_loop();
  const sigset_t mask = on_loop(*loop, [] {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    return blocked;
  });
  CHECK(sigismember(&mask, SIGTERM) == 1);
  CHECK(sigismember(&mask, SIGPIPE) == 1);
  CHECK(sigismember(&mask, SIGSEGV) == 0);
}

TEST_CASE("boot timer: fires once, at or after its time") {
  auto loop = started_loop();
  std::promise<std::int64_t> fired;
  std::unique_ptr<BootTimer> timer;
  const std::int64_t at = boot_ms() + 20;
  on_loop(*loop, [&] {
    timer = *BootTimer::create(loop->uv(), [&] {
      CHECK(timer->at() == kNever);
      fired.set_value(boot_ms());  // a second call would throw
    });
    timer->set(at);
    return 0;
  });
  CHECK(fired.get_future().get() >= at);
  on_loop(*loop, [&] { timer.reset(); return 0; });
}

TEST_CASE("boot timer: a time that is past fires at once, from the loop") {
  auto loop = started_loop();
  for (const std::int64_t past : {std::int64_t{0}, std::int64_t{-5}, boot_ms()}) {
    std::promise<void> fired;
    std::unique_ptr<BootTimer> timer;
    on_loop(*loop, [&] {
      bool setting = true;
      timer = *BootTimer::create(loop->uv(), [&] { fired.set_value(); });
      timer->set(past);
      setting = false;
      return setting;
    });
    fired.get_future().get();
    on_loop(*loop, [&] { timer.reset(); return 0; });
  }
}

TEST_CASE("boot timer: the last time set holds") {
  auto loop = started_loop();
  std::promise<int> first;
  std::unique_ptr<BootTimer> never, later;
  on_loop(*loop, [&] {
    never = *BootTimer::create(loop->uv(), [&] { first.set_value(1); });
    later = *BootTimer::create(loop->uv(), [&] { first.set_value(2); });
    never->set(boot_ms() + 1);
    never->set(kNever);
    later->set(boot_ms() + 1'000'000'000'000);
    later->set(boot_ms() + 30);
    return 0;
  });
  CHECK(first.get_future().get() == 2);
  on_loop(*loop, [&] { never.reset(); later.reset(); return 0; });
}

TEST_CASE("boot timer: may be destroyed in its own callback") {
  auto loop = started_loop();
  std::promise<void> fired;
  std::unique_ptr<BootTimer> timer;
  on_loop(*loop, [&] {
    timer = *BootTimer::create(loop->uv(), [&] {
      timer.reset();
      fired.set_value();
    });
    timer->set(0);
    return 0;
  });
  fired.get_future().get();
}

TEST_CASE("signal watch: signals arrive on the loop") {
  auto loop = started_loop();
  std::promise<int> first;
  std::unique_ptr<SignalWatch> watch;
  on_loop(*loop, [&] {
    watch = *SignalWatch::create(loop->uv(), {SIGHUP, SIGUSR1}, [&](int number) { first.set_value(number); });
    return 0;
  });
  kill(getpid(), SIGUSR1);
  CHECK(first.get_future().get() == SIGUSR1);
  on_loop(*loop, [&] { watch.reset(); return 0; });
}

TEST_CASE("signal watch: one that cannot be watched is an error") {
  auto loop = Loop::create();
  REQUIRE(loop.ok());
  const auto watch = SignalWatch::create((*loop)->uv(), {SIGTERM, SIGKILL}, [](int) {});
  REQUIRE_FALSE(watch.ok());
  CHECK(watch.error().code == HF_E_IO);
}
