// What a program that runs as a handler may use, and as whom it runs. For those who configure one: docs/exec.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"

namespace hf {

inline constexpr int64_t kMemoryLimitMin = 1 << 20;
inline constexpr int64_t kBytesLimitMax = int64_t{1} << 46;
inline constexpr int64_t kCpuLimitMinMs = 1000;
inline constexpr int64_t kCpuLimitMaxMs = 366LL * 86400 * 1000;
inline constexpr int64_t kCpuGraceS = 2;        // of CPU time, from SIGXCPU to SIGKILL
inline constexpr int64_t kFilesLimitMin = 4;    // 0, 1, 2, and one that the loader needs
inline constexpr int64_t kFilesLimitMax = 1 << 20;      // fs.nr_open, unless somebody changed it
inline constexpr int64_t kProcessesLimitMax = 1 << 22;  // the most that Linux numbers
inline constexpr int kNiceMin = -20, kNiceMax = 19;
inline constexpr int kOomScoreMax = 1000;  // either way

enum class IoClass : uint8_t { idle, best_effort };

// A user and its groups, looked up before there is a child.
struct RunAs {
  uid_t uid;
  gid_t gid;
  std::optional<std::vector<gid_t>> groups;  // supplementary ones; not set: they stay
  std::string name;                          // "": the environment says nothing of it
  std::string home;
  bool operator==(const RunAs&) const = default;
};

// What is not set is as the daemon has it.
struct ProcessLimits {
  std::optional<int64_t> memory;       // bytes of address space
  std::optional<int64_t> cpu_time_ms;  // whole seconds
  std::optional<int64_t> files;        // descriptors that are open
  std::optional<int64_t> file_size;    // bytes
  std::optional<int64_t> processes;    // of the user, all of them
  std::optional<int64_t> core;         // bytes
  std::optional<int> nice;
  std::optional<IoClass> io_class;
  std::optional<int> oom_score_adj;
  std::string user, group;      // as configured
  std::optional<RunAs> run_as;  // what they are here
  std::string cgroup;           // the full path of its folder; "": ours
  bool operator==(const ProcessLimits&) const = default;
};

// One limit as prlimit64 takes it, on every architecture.
struct ResourceLimit {
  int resource;
  struct {
    uint64_t soft, hard;
  } value;
};
// Those that are set, in the order in which they are to be set: memory last.
std::vector<ResourceLimit> resource_limits(const ProcessLimits& limits);
// "memory limit of 64MiB". REQUIRES: it is set
std::string limit_text(const ProcessLimits& limits, int resource);
// What a signal has to do with a limit, or "".
std::string limit_behind(const ProcessLimits& limits, int signal);

// A name, or a number. With `group` in place of its own. HF_E_NOT_FOUND: there is none; HF_E_INVALID: it is a number that
// nothing is known of, and there is no `group`.
Result<RunAs> find_user(const std::string& user, std::optional<gid_t> group);
Result<gid_t> find_group(const std::string& group);

}  // namespace hf
