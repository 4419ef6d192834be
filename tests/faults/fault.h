// One allocation, or one call of the system, fails, on whichever thread it is: the n-th of those that are not spared; or all
// for a while from there on. What counts is what is linked: failing_new.cpp and failing_malloc.cpp, or failing_calls.cpp.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

namespace fault {

inline std::atomic<int64_t> left{-1};    // until it fails; below 0: never
inline std::atomic<int64_t> for_ms{0};   // 0: this one alone
inline std::atomic<int64_t> until_ms{0};
inline std::atomic<uint64_t> counted{0}, refused{0};
inline thread_local bool spared = false;

inline int64_t now_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

inline bool refuse() {
  if (spared) return false;
  counted.fetch_add(1, std::memory_order_relaxed);
  bool no = left.load(std::memory_order_relaxed) >= 0 && left.fetch_sub(1, std::memory_order_relaxed) == 0;
  const int64_t until = until_ms.load(std::memory_order_relaxed);
  if (no && for_ms.load() > 0) {
    until_ms.store(now_ms() + for_ms.load());
  } else if (until != 0) {
    no = now_ms() < until;
  }
  if (no) refused.fetch_add(1, std::memory_order_relaxed);
  return no;
}

// The n-th (from 1) from now on fails, and with `ms` all others for so long. 0: none.
inline void set(int64_t n, int64_t ms) {
  left.store(-1);
  until_ms.store(0);
  counted.store(0);
  refused.store(0);
  for_ms.store(ms);
  left.store(n - 1);
}

// The program's own do not fail, the library's do.
class Spare {
 public:
  explicit Spare(bool on = true) : before_(spared) { spared = on; }
  ~Spare() { spared = before_; }
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;

 private:
  const bool before_;
};

template <class F>
auto library(F call) {
  Spare no(false);
  return call();
}

}  // namespace fault
