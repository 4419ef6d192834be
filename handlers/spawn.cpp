#include "handlers/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>

#include "core/names.h"

#ifndef SYS_close_range
#define SYS_close_range 436  // Linux 5.9, the same number on every architecture
#endif

namespace hf {
namespace {

enum Step : int { kNone = 0, kBegun, kDescriptors, kDirectory, kProgram };

// All that the child needs, laid out before it exists: between vfork and exec it allocates nothing,
// takes no lock and calls the kernel alone.
struct Plan {
  const char* path;
  char* const* argv;
  char* const* envp;
  const char* cwd;  // or nullptr
  int in, out, err;
  int report;       // write end of a pipe, FD_CLOEXEC
  int descriptors;  // upper bound of descriptor numbers, where close_range is missing
  pid_t parent;
  // Written by the child. `step` stays kNone where memory is not shared: where an emulator or a
  // sanitizer turns vfork into fork.
  volatile int step;
  volatile int error;
};

#if defined(__clang__)
#define HF_CHILD_SIDE __attribute__((noinline, no_sanitize("address", "thread", "undefined")))
#else
#define HF_CHILD_SIDE \
  __attribute__((noinline, no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

[[noreturn]] HF_CHILD_SIDE void fail(Plan* plan, int step, int error) {
  plan->error = error;
  plan->step = step;
  const int report[2] = {step, error};
  // Shorter than PIPE_BUF into an empty pipe: whole or not at all.
  if (syscall(SYS_write, plan->report, report, sizeof report) < 0) {
  }
  _exit(127);
}

HF_CHILD_SIDE void close_others(const Plan* plan) {
  const unsigned report = static_cast<unsigned>(plan->report);
  bool closed = report == 3 || syscall(SYS_close_range, 3u, report - 1, 0u) == 0;
  closed = closed && syscall(SYS_close_range, report + 1, ~0u, 0u) == 0;
  if (closed) return;
  for (int fd = 3; fd < plan->descriptors; ++fd) {
    if (fd != plan->report) syscall(SYS_close, fd);
  }
}

[[noreturn]] HF_CHILD_SIDE void child_side(Plan* plan) {
  plan->step = kBegun;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan->parent) _exit(127);  // it died before the line above
  setsid();
  // exec resets handlers by itself, ignored signals it keeps. All zero is SIG_DFL, no flags, no
  // mask in the kernel's own struct, which is the same size or smaller everywhere.
  const unsigned long all_default[8] = {};
  for (int signal = 1; signal <= 64; ++signal) {
    syscall(SYS_rt_sigaction, signal, all_default, nullptr, size_t{8});
  }
  const int from[3] = {plan->in, plan->out, plan->err};
  for (int fd = 0; fd < 3; ++fd) {
    if (syscall(SYS_dup3, from[fd], fd, 0) < 0) fail(plan, kDescriptors, errno);
  }
  close_others(plan);
  if (plan->cwd != nullptr && chdir(plan->cwd) != 0) fail(plan, kDirectory, errno);
  const unsigned long none_blocked[2] = {};
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, none_blocked, nullptr, size_t{8});
  syscall(SYS_execve, plan->path, plan->argv, plan->envp);
  fail(plan, kProgram, errno);
}

// In a function of its own, so that nothing of the caller lives in registers that the child
// changes.
HF_CHILD_SIDE pid_t vfork_child(Plan* plan) {
  const pid_t pid = vfork();
  if (pid == 0) child_side(plan);
  return pid;
}

// "" if there is none.
std::string look_up(const std::string& name, const std::vector<std::string>& env) {
  const auto path = std::find_if(
      env.begin(), env.end(), [](const std::string& entry) { return entry.starts_with("PATH="); });
  if (path == env.end()) return "";
  for (size_t begin = 5; begin <= path->size();) {
    const size_t end = std::min(path->find(':', begin), path->size());
    const std::string candidate = path->substr(begin, end - begin) + "/" + name;
    struct stat info;
    // Relative entries are left out: what runs shall not depend on where the daemon was started.
    if (candidate[0] == '/' && end > begin && stat(candidate.c_str(), &info) == 0 &&
        S_ISREG(info.st_mode) && access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    begin = end + 1;
  }
  return "";
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

int descriptor_bound() {
  constexpr rlim_t kMost = 65536;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kMost);
  return static_cast<int>(std::min(limit.rlim_cur, kMost));
}

Error failure(const std::string& path, const std::string& cwd, int step, int error) {
  const bool no_room = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
  std::string text =
      step == kDirectory ? "cannot enter " + quoted(cwd, 256) : "cannot run " + quoted(path, 256);
  char cause[128];
  return Error{no_room ? HF_E_FULL : HF_E_NOT_FOUND,
               text + ": " + uv_strerror_r(-error, cause, sizeof cause)};
}

}  // namespace

Result<pid_t> spawn(const SpawnSpec& spec) {
  assert(!spec.argv.empty() && spec.in > 2 && spec.out > 2 && spec.err > 2);
  std::string path = spec.argv[0];
  if (path.find('/') == std::string::npos) {
    path = look_up(spec.argv[0], spec.env);
    if (path.empty()) {
      return Error{HF_E_NOT_FOUND,
                   "cannot run " + quoted(spec.argv[0], 256) + ": not found in PATH"};
    }
  }
  const std::vector<char*> argv = pointers(spec.argv);
  const std::vector<char*> envp = pointers(spec.env);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return failure(path, spec.cwd, kNone, errno);
  if (report[1] < 3) {  // the host closed its own standard descriptors
    const int moved = fcntl(report[1], F_DUPFD_CLOEXEC, 3);
    const int error = errno;
    close(report[1]);
    if (moved < 0) {
      close(report[0]);
      return failure(path, spec.cwd, kNone, error);
    }
    report[1] = moved;
  }

  Plan plan{path.c_str(),
            argv.data(),
            envp.data(),
            spec.cwd.empty() ? nullptr : spec.cwd.c_str(),
            spec.in,
            spec.out,
            spec.err,
            report[1],
            descriptor_bound(),
            getpid(),
            kNone,
            0};

  // A handler of the host that ran in the child would run in our memory: nothing may arrive there.
  // The system call, because glibc's wrapper leaves its two internal signals open.
  unsigned long all[2], before[2];
  memset(all, 0xff, sizeof all);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, before, size_t{8});
  const pid_t pid = vfork_child(&plan);
  const int error = errno;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, before, nullptr, size_t{8});
  close(report[1]);

  int failed[2] = {plan.step, plan.error};
  if (pid >= 0 && plan.step == kNone) {
    // A real fork: wait until exec has closed the other end, or for the report.
    ssize_t n;
    do n = read(report[0], failed, sizeof failed);
    while (n < 0 && errno == EINTR);
    if (n != static_cast<ssize_t>(sizeof failed)) failed[0] = kBegun;
  }
  close(report[0]);
  if (pid < 0) return failure(path, spec.cwd, kNone, error);
  if (failed[0] != kBegun) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return failure(path, spec.cwd, failed[0], failed[1]);
  }
  return pid;
}

}  // namespace hf
