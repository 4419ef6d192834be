// How the engine thread sleeps.
#include "platform/engine_wait.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "core/types.h"
#include "platform/clock.h"

using namespace hf;

namespace {
constexpr int64_t kLongMs = 3600 * 1000;
}

TEST_CASE("engine wait: a wake before it, or while it sleeps, ends it; nothing was due") {
  const auto wait = *EngineWait::create();
  wait->wake();
  wait->wake();  // two are one
  CHECK_FALSE(wait->wait(boot_ms() + kLongMs, kNever));
  std::thread other([&] { wait->wake(); });
  CHECK_FALSE(wait->wait(boot_ms() + kLongMs, wall_ms() + kLongMs));
  other.join();
}

TEST_CASE("engine wait: it ends when either clock says so, not before, and at once for what is past") {
  const auto wait = *EngineWait::create();
  for (int n = 0; n < 3; ++n) {
    const int64_t at = boot_ms() + 20;
    CHECK(wait->wait(at, wall_ms() + kLongMs));
    CHECK(boot_ms() >= at);
    const int64_t wall = wall_ms() + 20;
    CHECK(wait->wait(boot_ms() + kLongMs, wall));
    CHECK(wall_ms() >= wall);
  }
  CHECK(wait->wait(0, kNever));
  CHECK(wait->wait(-5, kNever));
  CHECK(wait->wait(kNever, wall_ms() - kLongMs));
}

// Sets the machine's clock (to what it shows), so it runs only where that is allowed and asked for.
TEST_CASE("engine wait: whoever sets the clock wakes it, each time, though nothing is due" *
          doctest::skip(getenv("HOLDFAST_TEST_SET_CLOCK") == nullptr)) {
  const auto wait = *EngineWait::create();
  for (int n = 0; n < 2; ++n) {
    std::thread other([] {
      timespec now{};
      clock_gettime(CLOCK_REALTIME, &now);
      // Again and again: it may not have slept yet.
      for (int sets = 0; sets < 1000; ++sets) {
        REQUIRE(clock_settime(CLOCK_REALTIME, &now) == 0);
        now.tv_nsec += 100'000;
        if (now.tv_nsec >= 1'000'000'000) now.tv_sec += 1, now.tv_nsec -= 1'000'000'000;
      }
    });
    CHECK(wait->wait(boot_ms() + kLongMs, kNever));
    other.join();
  }
}

TEST_CASE("engine wait: a step of the clock between two waits is told by the next one, also if it arms its timer anew" *
          doctest::skip(getenv("HOLDFAST_TEST_SET_CLOCK") == nullptr)) {
  const auto wait = *EngineWait::create();
  for (const int64_t later : {int64_t{0}, kLongMs}) {
    const int64_t wall = wall_ms() + kLongMs;
    wait->wake();
    while (wait->wait(boot_ms() + kLongMs, wall)) wait->wake();  // armed
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_nsec = std::min(now.tv_nsec + 1'000'000L, 999'999'999L);
    REQUIRE(clock_settime(CLOCK_REALTIME, &now) == 0);
    CHECK(wait->wait(boot_ms() + kLongMs, wall + later));
  }
}

TEST_CASE("engine wait: another thread shortens the sleep, under the lock that is open meanwhile") {
  const auto wait = *EngineWait::create();
  std::mutex mutex;
  std::unique_lock lock(mutex);
  int64_t at = 0;
  std::thread other([&] {
    const std::lock_guard open(mutex);  // only once it sleeps
    at = boot_ms() + 20;
    wait->arm(at, kNever);
  });
  CHECK(wait->wait(boot_ms() + kLongMs, kNever, &lock));
  CHECK(lock.owns_lock());
  CHECK(boot_ms() >= at);
  CHECK(at > 0);
  lock.unlock();
  other.join();
}

TEST_CASE("engine wait: a later time is left for the next sleep") {
  const auto wait = *EngineWait::create();
  wait->wake();
  CHECK_FALSE(wait->wait(boot_ms() + 30, kNever));  // armed
  wait->arm(boot_ms() + kLongMs, kNever);
  const int64_t begin = boot_ms();
  CHECK(wait->wait(boot_ms() + 60, kNever));
  CHECK(boot_ms() - begin >= 60);
  CHECK(boot_ms() - begin < kLongMs);
}
