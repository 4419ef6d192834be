// libuv handles that outlive the object that made them, as uv_close demands.
//
// uv_close finishes later, in the loop. So a handle lives in a block of its own, which frees itself in its
// close callback, and the object that uses it may be destroyed at any time on the loop's thread. HandleCount
// counts the blocks of one owner and tells it when the last one is gone.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "platform/memory.h"

namespace hf {

// Loop thread only. Shared by its owner and by every handle block.
class HandleCount {
 public:
  void opened() { ++open_; }
  void closed();
  size_t open() const { return open_; }
  // Calls `f` once, when no handle is left: at once if there is none. REQUIRES: no `f` is waiting.
  void when_none(std::function<void()> f);

  // Each callback that C makes into the owner's objects passes here. When memory runs out in one, the owner gives up all
  // that is under way: nobody knows how far it had come.
  template <class F>
  void guard(F&& f) noexcept {
    if (!guarded(std::forward<F>(f)) && no_memory) no_memory();
  }
  std::function<void()> no_memory;  // the owner's; does not throw

 private:
  size_t open_ = 0;
  std::function<void()> when_none_;
};
using HandleCountPtr = std::shared_ptr<HandleCount>;

// A one-shot timer. Loop thread only; owned by the object whose deadline it is. Destroying it, also
// within its own callback, closes it and it fires no more.
class LoopTimer {
 public:
  LoopTimer(uv_loop_t* loop, HandleCountPtr handles, std::function<void()> on_fire);
  ~LoopTimer();
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  void start(int64_t delay_ms);  // replaces what was set
  void stop();
  bool armed() const;

 private:
  struct Block;
  Block* block_;
};

// The loop's clock, milliseconds of CLOCK_MONOTONIC, as of its present iteration.
int64_t loop_now_ms(uv_loop_t* loop);

}  // namespace hf
