// Starts one program, as a session and process group of its own.
//
// Not uv_spawn, for three reasons: that one needs libuv's handler of SIGCHLD, and the library
// installs no signal handler; it hands on the descriptors that the host left without FD_CLOEXEC;
// and it cannot tie the child's life to ours. The child is made by vfork, so a large host costs
// nothing and no page is copied; one that changes its user gets a copy of the page tables.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/result.h"
#include "handlers/process_limits.h"

namespace hf {

struct SpawnSpec {
  std::vector<std::string>
      argv;  // [0] is the path; a name without a slash is looked up in `env`'s PATH
  std::vector<std::string> env;     // "NAME=value", all of it
  std::string cwd;                  // "": ours
  int in = -1, out = -1, err = -1;  // its standard descriptors; borrowed, > 2
  ProcessLimits limits = {};
};

// The child has
//   - a session and a group of its own, whose number is its pid;
//   - all signals at their default and none blocked;
//   - the three descriptors and no other;
//   - its limits, its cgroup and its user, in which it enters `cwd`;
//   - PR_SET_PDEATHSIG: SIGKILL as soon as the calling thread is gone, so that a run does not
//   outlive the
//     daemon that will run its job again. The kernel drops this for set-uid programs, and it does
//     not reach the child's own children (under systemd the unit's cgroup does).
// The program has begun when this returns. The caller reaps it, and stays the same thread for its
// life.
//
// HF_E_NOT_FOUND: this program cannot be run here (no such file, not executable, no such cwd, a limit that we may not set);
// HF_E_FULL: the system has no room for a process or a descriptor now. The text names program and
// cause.
Result<pid_t> spawn(const SpawnSpec& spec);

}  // namespace hf
