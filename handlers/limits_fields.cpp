#include "handlers/limits_fields.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/names.h"
#include "handlers/target_check.h"

namespace hf {
namespace {

constexpr size_t kNameMax = 256;
constexpr size_t kFileNameMax = 4095;

constexpr std::array<JsonChoice<IoClass>, 2> kIoClasses = {{
    {"idle", IoClass::idle},
    {"best_effort", IoClass::best_effort},
}};

bool read_cpu_time(const JsonValue& v, std::optional<int64_t>* ms) {
  if (!v.duration(&ms->emplace(0), kCpuLimitMinMs, kCpuLimitMaxMs)) return false;
  return **ms % 1000 == 0 || v.fail(quoted(v.node().text) + " is not a whole number of seconds, in which the kernel counts CPU time");
}

bool read_cgroup(const JsonValue& v, std::string* folder) {
  if (!v.text(folder, kFileNameMax)) return false;
  return folder->starts_with('/') || v.fail("the full path of the cgroup's folder is meant, with a / in front");
}

constexpr JsonField<ProcessLimits> kLimitFields[] = {
    {"memory", "size", [](ProcessLimits& l, const JsonValue& v) { return v.size(&l.memory.emplace(0), kMemoryLimitMin, kBytesLimitMax); }},
    {"cpu_time", "duration", [](ProcessLimits& l, const JsonValue& v) { return read_cpu_time(v, &l.cpu_time_ms); }},
    {"files", "number", [](ProcessLimits& l, const JsonValue& v) { return v.integer(&l.files.emplace(0), kFilesLimitMin, kFilesLimitMax); }},
    {"file_size", "size", [](ProcessLimits& l, const JsonValue& v) { return v.size(&l.file_size.emplace(0), 0, kBytesLimitMax); }},
    {"processes", "number", [](ProcessLimits& l, const JsonValue& v) { return v.integer(&l.processes.emplace(0), 1, kProcessesLimitMax); }},
    {"core", "size", [](ProcessLimits& l, const JsonValue& v) { return v.size(&l.core.emplace(0), 0, kBytesLimitMax); }},
};

constexpr JsonField<ProcessLimits> kProcessFields[] = {
    {"limits", "object", [](ProcessLimits& l, const JsonValue& v) { return read_fields(v, {{kLimitFields, l}}); }},
    {"nice", "number", [](ProcessLimits& l, const JsonValue& v) { return v.integer(&l.nice.emplace(0), kNiceMin, kNiceMax); }},
    {"io_class", "choice", [](ProcessLimits& l, const JsonValue& v) { return v.choice(&l.io_class, kIoClasses); }},
    {"oom_score_adj", "number",
     [](ProcessLimits& l, const JsonValue& v) { return v.integer(&l.oom_score_adj.emplace(0), -kOomScoreMax, kOomScoreMax); }},
    {"user", "string", [](ProcessLimits& l, const JsonValue& v) { return v.text(&l.user, kNameMax); }},
    {"group", "string", [](ProcessLimits& l, const JsonValue& v) { return v.text(&l.group, kNameMax); }},
    {"cgroup", "file", [](ProcessLimits& l, const JsonValue& v) { return read_cgroup(v, &l.cgroup); }},
};

bool find_run_as(const JsonValue& handler, ProcessLimits* limits) {
  const auto user = member_of(handler, "user"), group = member_of(handler, "group");
  if (!user && !group) return true;
  RunAs run_as{geteuid(), getegid(), std::nullopt, "", ""};
  if (group) {
    const auto found = find_group(limits->group);
    if (!found) return group->fail(found.error().message);
    run_as.gid = *found;
  }
  if (user) {
    auto found = find_user(limits->user, group ? std::optional(run_as.gid) : std::nullopt);
    if (!found) return user->fail(found.error().message);
    run_as = std::move(*found);
  }
  if (geteuid() != 0) {
    if (run_as.uid != geteuid()) {
      return user->fail("only root may run programs as another user: this is user " + std::to_string(geteuid()));
    }
    if (run_as.gid != getegid()) {
      return (group ? group : user)->fail("only root may run programs in another group: this is group " + std::to_string(getegid()));
    }
    run_as.groups.reset();
  }
  limits->run_as = std::move(run_as);
  return true;
}

}  // namespace

std::span<const JsonField<ProcessLimits>> process_fields() { return kProcessFields; }
std::span<const JsonField<ProcessLimits>> limit_fields() { return kLimitFields; }

bool find_limits(const JsonValue& handler, ProcessLimits* limits) {
  if (!find_run_as(handler, limits)) return false;
  const uid_t uid = limits->run_as ? limits->run_as->uid : geteuid();
  if (limits->processes && uid == 0) {
    const auto section = member_of(handler, "limits");
    member_of(*section, "processes")->warn("root has as many processes as it likes: \"user\" has to be another one");
  }
  if (const auto cgroup = member_of(handler, "cgroup")) {
    struct stat info;
    if (stat((limits->cgroup + "/cgroup.procs").c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return cgroup->fail("there is no file cgroup.procs in " + quoted(limits->cgroup, 200) + ": the folder of a cgroup (version 2) is meant");
    }
  }
  return true;
}

}  // namespace hf
