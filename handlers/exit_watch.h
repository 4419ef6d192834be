// Tells the loop that a child has ended, without a handler of SIGCHLD.
#pragma once

#include <sys/types.h>
#include <uv.h>

#include <functional>

#include "core/result.h"
#include "platform/thread.h"

namespace hf {

// Does not reap. Loop thread. Deletes itself once closed.
class ExitWatch {
 public:
  enum class How {
    pidfd,   // Linux 5.3
    thread,  // one that waits; taken by itself where the kernel refuses a pidfd
  };
  // `exited` is called from the loop, possibly more than once until close(). HF_E_FULL.
  static Result<ExitWatch*> create(uv_loop_t* loop, pid_t pid, How how,
                                   std::function<void()> exited);
  ExitWatch(const ExitWatch&) = delete;
  ExitWatch& operator=(const ExitWatch&) = delete;

  // REQUIRES: the child has ended
  void close(std::function<void()> closed);

 private:
  ExitWatch() = default;
  ~ExitWatch() = default;
  bool watch_pidfd(uv_loop_t* loop);
  Status watch_thread(uv_loop_t* loop);

  pid_t pid_ = -1;
  std::function<void()> exited_, closed_;
  int fd_ = -1;  // -1: thread_ and async_ are used
  union {
    uv_handle_t handle_;
    uv_poll_t poll_;
    uv_async_t async_;
  };
  Thread thread_;
};

}  // namespace hf
