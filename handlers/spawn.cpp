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
#include "platform/descriptor.h"

#ifndef SYS_close_range
#define SYS_close_range 436  // Linux 5.9, the same number on every architecture
#endif
// Where the plain calls have users of 16 bits.
#ifdef SYS_setresuid32
#define HF_SYS_SETGROUPS SYS_setgroups32
#define HF_SYS_SETRESGID SYS_setresgid32
#define HF_SYS_SETRESUID SYS_setresuid32
#else
#define HF_SYS_SETGROUPS SYS_setgroups
#define HF_SYS_SETRESGID SYS_setresgid
#define HF_SYS_SETRESUID SYS_setresuid
#endif

namespace hf {
namespace {

enum Step : int {
  kNone = 0,
  kBegun,
  kCgroup,
  kDescriptors,
  kNice,
  kIoClass,
  kOomScore,
  kGroups,
  kGroup,
  kUser,
  kDirectory,
  kProgram,
  kLimit  // the first of them; the others follow
};

// ioprio_set(2); the C library has no name for them.
constexpr int kIoOfProcess = 1;
constexpr int kIoIdle = 3 << 13;
constexpr int kIoBestEffort = 2 << 13 | 4;  // in the middle of its eight levels

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
  int cgroup;             // its cgroup.procs, or -1
  const int* nice;        // or nullptr
  int io_priority;        // or -1
  const char* oom_score;  // in digits
  size_t oom_score_size;  // or 0
  const ResourceLimit* limits;
  size_t limit_count;
  const RunAs* run_as;  // or nullptr
  const gid_t* groups = nullptr;
  int group_count = -1;  // they stay
  // Written by the child. `step` stays kNone where memory is not shared: where an emulator or a
  // sanitizer turns vfork into fork.
  volatile int step = kNone;
  volatile int error = 0;
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

HF_CHILD_SIDE void write_all(Plan* plan, int step, int fd, const char* text, size_t size) {
  const long written = fd < 0 ? -1 : syscall(SYS_write, fd, text, size);
  if (written < 0) fail(plan, step, errno);
}

// While we still may. Address space is the last of the limits: no call after it goes deeper into the stack than one before.
HF_CHILD_SIDE void set_limits(Plan* plan) {
  if (plan->nice != nullptr && syscall(SYS_setpriority, PRIO_PROCESS, 0, *plan->nice) != 0) fail(plan, kNice, errno);
  if (plan->io_priority >= 0 && syscall(SYS_ioprio_set, kIoOfProcess, 0, plan->io_priority) != 0) fail(plan, kIoClass, errno);
  if (plan->oom_score_size > 0) {
    const auto fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    write_all(plan, kOomScore, fd, plan->oom_score, plan->oom_score_size);
    syscall(SYS_close, fd);
  }
  for (size_t i = 0; i < plan->limit_count; ++i) {
    const ResourceLimit& limit = plan->limits[i];
    if (syscall(SYS_prlimit64, 0, limit.resource, &limit.value, nullptr) != 0) fail(plan, kLimit + static_cast<int>(i), errno);
  }
}

// The system calls: what the C library has in their place stops all threads of the host, to change these, too.
HF_CHILD_SIDE void change_user(Plan* plan) {
  const RunAs& to = *plan->run_as;
  if (plan->group_count >= 0 && syscall(HF_SYS_SETGROUPS, plan->group_count, plan->groups) != 0) fail(plan, kGroups, errno);
  if (syscall(HF_SYS_SETRESGID, to.gid, to.gid, to.gid) != 0) fail(plan, kGroup, errno);
  if (syscall(HF_SYS_SETRESUID, to.uid, to.uid, to.uid) != 0) fail(plan, kUser, errno);
}

[[noreturn]] HF_CHILD_SIDE void child_side(Plan* plan) {
  plan->step = kBegun;
  setsid();
  // Before dup3, which may take its number.
  if (plan->cgroup >= 0) write_all(plan, kCgroup, plan->cgroup, "0", 1);
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
  set_limits(plan);
  if (plan->run_as != nullptr) change_user(plan);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // which a change of the user takes back
  if (getppid() != plan->parent) _exit(127);  // it died before the line above
  if (plan->cwd != nullptr && chdir(plan->cwd) != 0) fail(plan, kDirectory, errno);
  const unsigned long none_blocked[2] = {};
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, none_blocked, nullptr, size_t{8});
  syscall(SYS_execve, plan->path, plan->argv, plan->envp);
  fail(plan, kProgram, errno);
}

// In a function of its own, so that nothing of the caller lives in registers that the child
// changes.
HF_CHILD_SIDE pid_t make_child(Plan* plan) {
  // Two users in one memory: the kernel makes it undumpable for good, which is ours. So such a child has a copy; by the system
  // call, since fork() runs what the host has registered with it.
  const pid_t pid = plan->run_as != nullptr ? static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) : vfork();
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

std::string what_failed(const std::string& program, const SpawnSpec& spec, int step) {
  const ProcessLimits& limits = spec.limits;
  const std::string whose = " for " + program;
  switch (step) {
    case kCgroup:
      return "cannot enter the cgroup " + quoted(limits.cgroup, 256) + whose;
    case kNice:
      return "cannot set the nice value of " + std::to_string(*limits.nice) + whose;
    case kIoClass:
      return "cannot set the io_class" + whose;
    case kOomScore:
      return "cannot set the oom_score_adj of " + std::to_string(*limits.oom_score_adj) + whose;
    case kGroups:
      return "cannot take the groups of user " + std::to_string(limits.run_as->uid) + whose;
    case kGroup:
      return "cannot take group " + std::to_string(limits.run_as->gid) + whose;
    case kUser:
      return "cannot become user " + std::to_string(limits.run_as->uid) + whose;
    case kDirectory:
      return "cannot enter " + quoted(spec.cwd, 256);
    default:
      break;
  }
  if (step < kLimit) return "cannot run " + program;
  const int resource = resource_limits(limits)[static_cast<size_t>(step - kLimit)].resource;
  return "cannot set the " + limit_text(limits, resource) + whose;
}

Error failure(const std::string& path, const SpawnSpec& spec, int step, int error) {
  const bool no_room = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
  char cause[128];
  std::string text = what_failed(quoted(path, 256), spec, step) + ": " + uv_strerror_r(-error, cause, sizeof cause);
  if (step >= kLimit && error == EPERM) text += " (it is more than the daemon itself may have, or more than the kernel gives anybody)";
  return Error{no_room ? HF_E_FULL : HF_E_NOT_FOUND, std::move(text)};
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
  const ProcessLimits& limits = spec.limits;
  const std::vector<ResourceLimit> resources = resource_limits(limits);
  const std::string oom_score = limits.oom_score_adj ? std::to_string(*limits.oom_score_adj) : "";
  Descriptor cgroup;
  if (!limits.cgroup.empty()) {
    cgroup.fd = open((limits.cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (cgroup.fd < 0) return failure(path, spec, kCgroup, errno);
  }
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return failure(path, spec, kNone, errno);
  if (report[1] < 3) {  // the host closed its own standard descriptors
    const int moved = fcntl(report[1], F_DUPFD_CLOEXEC, 3);
    const int error = errno;
    close(report[1]);
    if (moved < 0) {
      close(report[0]);
      return failure(path, spec, kNone, error);
    }
    report[1] = moved;
  }

  Plan plan;
  plan.path = path.c_str();
  plan.argv = argv.data();
  plan.envp = envp.data();
  plan.cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str();
  plan.in = spec.in;
  plan.out = spec.out;
  plan.err = spec.err;
  plan.report = report[1];
  plan.descriptors = descriptor_bound();
  plan.parent = getpid();
  plan.cgroup = cgroup.fd;
  plan.nice = limits.nice ? &*limits.nice : nullptr;
  plan.io_priority = !limits.io_class ? -1 : *limits.io_class == IoClass::idle ? kIoIdle : kIoBestEffort;
  plan.oom_score = oom_score.c_str();
  plan.oom_score_size = oom_score.size();
  plan.limits = resources.data();
  plan.limit_count = resources.size();
  plan.run_as = limits.run_as ? &*limits.run_as : nullptr;
  if (plan.run_as != nullptr && plan.run_as->groups) {
    plan.groups = plan.run_as->groups->data();
    plan.group_count = static_cast<int>(plan.run_as->groups->size());
  }

  // A handler of the host that ran in the child would run in our memory: nothing may arrive there.
  // The system call, because glibc's wrapper leaves its two internal signals open.
  unsigned long all[2], before[2];
  memset(all, 0xff, sizeof all);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, before, size_t{8});
  const pid_t pid = make_child(&plan);
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
  if (pid < 0) return failure(path, spec, kNone, error);
  if (failed[0] != kBegun) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return failure(path, spec, failed[0], failed[1]);
  }
  return pid;
}

}  // namespace hf
