// One call of the disk at a time, on a thread of a pool, with a deadline: a card that hangs must not hang the loop, nor what
// waits for it.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "core/result.h"
#include "platform/net/blocking_pool.h"
#include "platform/net/loop_handles.h"

namespace hf {

inline constexpr int64_t kDiskCallMaxMs = 20000;

// Owned and used on the loop's thread. `pool` outlives it.
class DiskCall {
 public:
  DiskCall(uv_loop_t* loop, HandleCountPtr handles, BlockingPool& pool);
  ~DiskCall() { stop(); }
  DiskCall(const DiskCall&) = delete;
  DiskCall& operator=(const DiskCall&) = delete;

  // Calls `work` on a thread, then `done` on the loop, once, never within this call, with what came of it; after
  // kDiskCallMaxMs, or if no thread is to be had, with HF_E_BUSY. `work` refers to nothing of the loop's side. `done` may call
  // start() and stop(), and destroy the DiskCall. REQUIRES: none is under way
  template <class T>
  void start(std::function<Result<T>()> work, std::function<void(Result<T>)> done) {
    auto result = std::make_shared<Result<T>>(Error{HF_E_NO_MEMORY, "out of memory"});
    begin([result, work = std::move(work)] { *result = work(); },
          [result, done = std::move(done)](const Error* failed) { done(failed != nullptr ? Result<T>(*failed) : std::move(*result)); });
  }
  // `done` is not called any more.
  void stop();

 private:
  using Done = std::function<void(const Error*)>;
  void begin(std::function<void()> work, Done done);
  void late();

  BlockingPool& pool_;
  LoopTimer timer_;
  BlockingPool::TaskId task_ = 0;  // 0: none
  Error failed_{HF_OK, ""};        // told by the timer
  Done done_;
};

}  // namespace hf
