#include "handlers/exit_watch.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/memory.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434  // Linux 5.3, the same number on every architecture
#endif

namespace hf {

Result<ExitWatch*> ExitWatch::create(uv_loop_t* loop, pid_t pid, How how,
                                     std::function<void()> exited) {
  auto* watch = new ExitWatch;
  watch->pid_ = pid;
  watch->exited_ = std::move(exited);
  if (how == How::pidfd && watch->watch_pidfd(loop)) return watch;
  if (Status started = watch->watch_thread(loop); !started) return started.error();
  return watch;
}

bool ExitWatch::watch_pidfd(uv_loop_t* loop) {
  fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));  // FD_CLOEXEC by itself
  if (fd_ < 0) return false;
  poll_.data = this;
  if (uv_poll_init(loop, &poll_, fd_) != 0) {  // no handle on the loop then
    ::close(fd_);
    fd_ = -1;
    return false;
  }
  uv_poll_start(&poll_, UV_READABLE,
                [](uv_poll_t* poll, int, int) { static_cast<ExitWatch*>(poll->data)->exited_(); });
  return true;
}

Status ExitWatch::watch_thread(uv_loop_t* loop) {
  const auto closed = [](uv_handle_t* handle) { delete static_cast<ExitWatch*>(handle->data); };
  async_.data = this;
  const int error = uv_async_init(
      loop, &async_, [](uv_async_t* async) { static_cast<ExitWatch*>(async->data)->exited_(); });
  if (error != 0) {
    delete this;
    return Error{HF_E_FULL, std::string("cannot watch a process: ") + uv_strerror(error)};
  }
  Result<Thread> thread = Error{HF_E_NO_MEMORY, "out of memory"};
  (void)guarded([&] {
    thread = Thread::start("hf-wait", [this] {
      siginfo_t info;
      while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 &&
             errno == EINTR) {
      }
      uv_async_send(&async_);
    });
  });
  if (!thread) {
    uv_close(&handle_, closed);
    return thread.error();
  }
  thread_ = std::move(thread).value();
  return ok_status();
}

void ExitWatch::close(std::function<void()> closed) {
  closed_ = std::move(closed);
  thread_.join();  // it has nothing left to do
  uv_close(&handle_, [](uv_handle_t* handle) {
    auto* watch = static_cast<ExitWatch*>(handle->data);
    const auto done = std::move(watch->closed_);
    delete watch;
    done();
  });
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace hf
