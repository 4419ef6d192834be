// A few threads for calls that block and cannot be interrupted: getaddrinfo, reading certificate files.
// Not libuv's pool, whose four threads the whole process shares and one hung name server would fill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/result.h"
#include "platform/net/loop_handles.h"

namespace hf {

struct BlockingPoolOptions {
  int max_threads = 2;           // 1..16; started when needed
  size_t max_waiting = 64;       // tasks that wait for a thread
  int64_t idle_exit_ms = 30000;  // a thread that finds no work so long ends; 0: it stays, parked
  bool wait_for_hung = false;    // a task may wait for a thread that hangs: whoever submits it does not wait for ever
};

// Owned and used on the loop's thread. When idle: no timer, no wake-up, and an unreferenced uv_async_t.
class BlockingPool {
 public:
  using TaskId = uint64_t;  // never 0

  BlockingPool(uv_loop_t* loop, HandleCountPtr handles, BlockingPoolOptions options);
  // No `done` is called any more. Threads at rest are joined; a thread within a task is let go, and what
  // the task holds must not refer to anything of this side.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs `work` on a thread of the pool, then `done` on the loop, never within this call. HF_E_BUSY if
  // every thread hangs in an abandoned task (unless wait_for_hung) or too many wait; HF_E_NO_MEMORY if no thread can start.
  Result<TaskId> submit(std::function<void()> work, std::function<void()> done);

  // `done` will not be called. A task that waits is dropped; one that runs goes on, its thread counts as
  // hung until it returns.
  void abandon(TaskId id);

  int threads() const;
  int hung() const;  // threads within an abandoned task

 private:
  struct Shared;
  void deliver();
  Status start_thread();

  const BlockingPoolOptions options_;
  const std::shared_ptr<Shared> shared_;  // with the threads, which may outlive the pool
};

}  // namespace hf
