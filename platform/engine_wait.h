// How the engine thread sleeps: until somebody has work for it, or exactly until the next thing is due.
//
// One timer on elapsed time (timerfd, CLOCK_BOOTTIME: suspend counts, clock steps do not), one on wall time that
// also tells when somebody sets the clock (TFD_TIMER_CANCEL_ON_SET). Asleep, it makes no system call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/result.h"

namespace hf {

// Owner: the Host. wait(): the engine thread; arm(): any, but one at a time, as what has the engine's lock; wake(): any thread.
class EngineWait {
 public:
  static Result<std::unique_ptr<EngineWait>> create();  // HF_E_IO: no descriptors
  ~EngineWait();
  EngineWait(const EngineWait&) = delete;
  EngineWait& operator=(const EngineWait&) = delete;

  // Another descriptor that wakes it when it is readable; -1: none. Not closed here. REQUIRES: at most kOthers
  void also_wake_on(int fd) { others_[other_count_++].fd = fd; }

  // Sleeps until wake(), or boot_ms, or wall_ms by the wall clock (kNever: not by that), or a step of the wall clock, or another descriptor.
  // Returns at once if wake() was called since the last wait returned. False if it was only woken. Look for work after
  // each return. `let_go`: the lock under which arm() is called, open while it sleeps.
  bool wait(int64_t boot_ms, int64_t wall_ms, std::unique_lock<std::mutex>* let_go = nullptr);
  // For a thread that sleeps already: not longer than until then. It is left to wake for what was armed before, as a system call
  // now, at each turn, would cost more.
  void arm(int64_t boot_ms, int64_t wall_ms);
  void wake();
  // It has slept, and waits for its lock: whoever could take that first, again and again, leaves it to it. Any thread.
  bool returning() const { return returning_.load(std::memory_order_relaxed); }
  // Of the last wait: one that also_wake_on() was told of.
  bool readable(int fd) const;

 private:
  EngineWait() = default;
  // True if the clock was set since the timer was armed last: the kernel says so but once, here or in a read.
  bool set(int fd, int flags, int64_t& armed_ms, int64_t at_ms);
  void set_both(int64_t boot_ms, int64_t wall_ms);

  static constexpr size_t kOthers = 2;
  struct Other {
    int fd = -1;
    bool readable = false;
  };

  int event_ = -1, boot_timer_ = -1, wall_timer_ = -1;
  std::array<Other, kOthers> others_;
  size_t other_count_ = 0;
  static constexpr int64_t kNotArmed = -1;
  int64_t boot_armed_ = kNotArmed, wall_armed_ = kNotArmed;
  bool stepped_ = false;  // the wall clock was set, and no wait() has told it yet
  enum : int { kAwake, kSignalled, kAsleep };
  std::atomic<int> state_{kAwake};
  std::atomic<bool> returning_{false};
};

}  // namespace hf
