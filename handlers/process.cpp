#include "handlers/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "handlers/spawn.h"
#include "platform/descriptor.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr size_t kReadSize = 64 * 1024;  // what a pipe holds by default

Error no_room(const char* what, int error) {
  char cause[128];
  return Error{HF_E_FULL, std::string(what) + ": " + uv_strerror_r(-error, cause, sizeof cause)};
}

// A descriptor above the standard ones, also where the host closed its own.
int above_standard(int fd) {
  if (fd < 0 || fd > 2) return fd;
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const int error = errno;
  close(fd);
  errno = error;
  return moved;
}

// A file in memory instead of a pipe that we would have to keep filling: nothing to write while the
// child runs, nothing that fails when it does not read.
Result<int> open_input(const std::string& bytes) {
  Descriptor file;
  file.fd = above_standard(bytes.empty() ? open("/dev/null", O_RDONLY | O_CLOEXEC)
                                         : memfd_create("holdfast-stdin", MFD_CLOEXEC));
  if (file.fd < 0) return no_room("cannot make the input of a process", errno);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        pwrite(file.fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return no_room("cannot make the input of a process", errno);
    done += static_cast<size_t>(n);
  }
  return std::exchange(file.fd, -1);
}

}  // namespace

Process::Process(uv_loop_t* loop, ProcessSpec spec, Ended ended)
    : loop_(loop), spec_(std::move(spec)), ended_(std::move(ended)) {}

Process::~Process() = default;

Process* Process::start(uv_loop_t* loop, ProcessSpec spec, Ended ended, ExitWatch::How watch) {
  auto* process = new Process(loop, std::move(spec), std::move(ended));
  Status begun = Error{HF_E_NO_MEMORY, "out of memory"};
  if (!guarded([&] { begun = process->begin(watch); }) || !begun) {
    process->end_.not_started.emplace();
    process->end_.not_started->code = begun.error().code;
    (void)guarded([&] { process->end_.not_started->message = begun.error().message; });
    process->close_all();
  }
  return process;
}

Status Process::begin(ExitWatch::How watch) {
  uv_timer_init(loop_, &kill_timer_);
  kill_timer_.data = this;
  open_handles_ = 1;
  Descriptor in, out, err;
  auto input = open_input(spec_.input);
  if (!input) return input.error();
  in.fd = input.value();
  std::string().swap(spec_.input);
  HF_TRY(open_pipe(&out_, &out.fd));
  HF_TRY(open_pipe(&err_, &err.fd));
  if (const auto& user = spec_.limits.run_as) {
    // So that it can open /dev/stdout and /dev/stderr by name. If not: what it was given is open.
    for (const int fd : {out.fd, err.fd}) (void)!fchown(fd, user->uid, user->gid);
  }
  auto pid = spawn({spec_.argv, spec_.env, spec_.cwd, in.fd, out.fd, err.fd, spec_.limits});
  if (!pid) return pid.error();
  Result<ExitWatch*> exit = Error{HF_E_NO_MEMORY, "out of memory"};
  (void)guarded([&] { exit = ExitWatch::create(loop_, pid.value(), watch, [this] { on_exit(); }); });
  if (!exit) {
    kill(-pid.value(), SIGKILL);
    while (waitpid(pid.value(), nullptr, 0) < 0 && errno == EINTR) {
    }
    return exit.error();
  }
  pid_ = pid.value();
  exit_ = exit.value();
  ++open_handles_;
  return ok_status();
}

Status Process::open_pipe(Pipe* pipe, int* child_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return no_room("cannot make a pipe", errno);
  *child_end = above_standard(ends[1]);
  pipe->fd = ends[0];
  int error = *child_end < 0 ? -errno : 0;
  // Our end alone: the flag belongs to one end's file description.
  if (error == 0 && fcntl(pipe->fd, F_SETFL, O_NONBLOCK) != 0) error = -errno;
  if (error == 0) error = uv_poll_init(loop_, &pipe->poll, pipe->fd);
  if (error != 0) {
    close(std::exchange(pipe->fd, -1));
    return no_room("cannot make a pipe", -error);
  }
  pipe->owner = this;
  pipe->poll.data = pipe;
  ++open_handles_;
  uv_poll_start(&pipe->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    auto* readable = static_cast<Pipe*>(poll->data);
    readable->owner->read(readable, kReadSize);
  });
  return ok_status();
}

// Reads until `at_most` bytes are there, the pipe is empty or all writers are gone.
void Process::read(Pipe* pipe, size_t at_most) {
  char buffer[kReadSize];
  for (size_t done = 0; pipe->fd >= 0 && done < at_most;) {
    const ssize_t n = ::read(pipe->fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0 && pipe == &out_) end_.output_lost = true;
    if (n <= 0) return close_pipe(pipe);
    take(pipe, buffer, static_cast<size_t>(n));
    done += static_cast<size_t>(n);
  }
}

void Process::take(const Pipe* pipe, const char* bytes, size_t size) {
  if (pipe == &out_) {
    const size_t kept = std::min(size, spec_.output_max - end_.output.size());
    if (!guarded([&] { end_.output.append(bytes, kept); })) end_.output_lost = true;
    end_.output_over |= kept < size;
    return;
  }
  if (!guarded([&] { take_error(bytes, size); })) end_.error_tail_cut = true;
}

void Process::take_error(const char* bytes, size_t size) {
  std::string& tail = end_.error_tail;
  tail.append(bytes + (size - std::min(size, spec_.error_tail_max)),
              std::min(size, spec_.error_tail_max));
  if (size > spec_.error_tail_max) end_.error_tail_cut = true;
  if (tail.size() > spec_.error_tail_max) {
    tail.erase(0, tail.size() - spec_.error_tail_max);
    end_.error_tail_cut = true;
  }
}

void Process::on_exit() {
  siginfo_t info = {};
  const int failed = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  if (failed == 0 && info.si_pid == 0) return;  // not yet
  if (failed == 0) {
    // Before it is reaped: as long as the dead leader is there, the number of its group is nobody
    // else's.
    kill(-pid_, SIGKILL);
    waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
    if (info.si_code == CLD_EXITED) {
      end_.exit_code = info.si_status;
    } else {
      end_.signal = info.si_status;
    }
  } else {
    end_.unknown = true;
  }
  pid_ = -1;
  // What it wrote is in the pipes. A survivor that holds them may go on writing: no more than the
  // pipe held.
  for (Pipe* pipe : {&out_, &err_}) {
    const int held = pipe->fd >= 0 ? fcntl(pipe->fd, F_GETPIPE_SZ) : 0;
    read(pipe, held > 0 ? static_cast<size_t>(held) : kReadSize);
  }
  close_all();
}

void Process::ask_to_end() {
  if (pid_ < 0) return;
  kill(-pid_, SIGTERM);
  kill(-pid_, SIGCONT);  // one that is stopped could not end
}

void Process::terminate(int64_t kill_grace_ms) {
  if (terminating_ || pid_ < 0) return;
  terminating_ = true;
  ask_to_end();
  const auto fire = [](uv_timer_t* timer) {
    auto* process = static_cast<Process*>(timer->data);
    process->end_.killed = true;
    kill(-process->pid_, SIGKILL);
  };
  uv_update_time(loop_);
  uv_timer_start(&kill_timer_, fire, static_cast<uint64_t>(kill_grace_ms), 0);
}

void Process::close_pipe(Pipe* pipe) {
  if (pipe->fd < 0) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&pipe->poll),
           [](uv_handle_t* handle) { static_cast<Pipe*>(handle->data)->owner->closed_one(); });
  close(std::exchange(pipe->fd, -1));
}

void Process::close_all() {
  close_pipe(&out_);
  close_pipe(&err_);
  if (exit_ != nullptr) exit_->close([this] { closed_one(); });
  uv_close(reinterpret_cast<uv_handle_t*>(&kill_timer_),
           [](uv_handle_t* handle) { static_cast<Process*>(handle->data)->closed_one(); });
}

void Process::closed_one() {
  if (--open_handles_ > 0) return;
  const Ended ended = std::move(ended_);
  ProcessEnd end = std::move(end_);
  delete this;
  ended(std::move(end));
}

}  // namespace hf
