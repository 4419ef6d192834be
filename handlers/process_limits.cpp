#include "handlers/process_limits.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>

#include "core/names.h"
#include "core/units.h"
#include "platform/listen_socket.h"

namespace hf {
namespace {

constexpr size_t kEntryMax = 1 << 20;  // bytes of one entry of the user database
constexpr int kGroupsMax = 65536;      // NGROUPS_MAX

struct Resource {
  int number;
  const char* key;
  std::optional<int64_t> ProcessLimits::*value;
  std::string (*text)(int64_t value);
};

std::string as_number(int64_t value) { return std::to_string(value); }

// Address space is the last: the child still runs on the stack of a process that may be larger.
constexpr Resource kResources[] = {
    {RLIMIT_CPU, "cpu_time", &ProcessLimits::cpu_time_ms, format_duration},
    {RLIMIT_NOFILE, "files", &ProcessLimits::files, as_number},
    {RLIMIT_FSIZE, "file_size", &ProcessLimits::file_size, format_size},
    {RLIMIT_NPROC, "processes", &ProcessLimits::processes, as_number},
    {RLIMIT_CORE, "core", &ProcessLimits::core, format_size},
    {RLIMIT_AS, "memory", &ProcessLimits::memory, format_size},
};

// The last number is "unchanged" to the kernel.
constexpr uint32_t kNobodyAtAll = ~uint32_t{0};

std::optional<uint32_t> id_in_digits(const std::string& text) {
  uint32_t id{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id == kNobodyAtAll) return std::nullopt;
  return id;
}

// `call` is one of getpwnam_r and getpwuid_r. Its error; no entry: 0, with name "".
template <class Call>
int look_up(Call call, RunAs* found) {
  std::vector<char> room(1024);
  passwd entry;
  passwd* there = nullptr;
  int error;
  while ((error = call(&entry, room.data(), room.size(), &there)) == ERANGE && room.size() < kEntryMax) room.resize(2 * room.size());
  if (there == nullptr) {
    // POSIX allows for these, too, where there is simply none.
    return error == ENOENT || error == ESRCH || error == EBADF || error == EPERM ? 0 : error;
  }
  const bool home = there->pw_dir != nullptr && *there->pw_dir != '\0';
  *found = {there->pw_uid, there->pw_gid, std::nullopt, there->pw_name, home ? there->pw_dir : "/"};
  return 0;
}

std::vector<gid_t> groups_of(const std::string& name, gid_t group) {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (getgrouplist(name.c_str(), group, groups.data(), &count) < 0 && count < kGroupsMax) {
    groups.resize(static_cast<size_t>(std::max(count, 2 * static_cast<int>(groups.size()))));
    count = static_cast<int>(groups.size());
  }
  groups.resize(static_cast<size_t>(std::min(count, static_cast<int>(groups.size()))));
  return groups;
}

}  // namespace

std::vector<ResourceLimit> resource_limits(const ProcessLimits& limits) {
  std::vector<ResourceLimit> all;
  for (const Resource& resource : kResources) {
    if (!(limits.*resource.value)) continue;
    auto soft = static_cast<uint64_t>(*(limits.*resource.value)), hard = soft;
    if (resource.number == RLIMIT_CPU) {
      soft /= 1000;
      hard = soft + kCpuGraceS;
    }
    all.push_back({resource.number, {soft, hard}});
  }
  return all;
}

std::string limit_text(const ProcessLimits& limits, int number) {
  const auto* resource = std::find_if(std::begin(kResources), std::end(kResources), [&](const Resource& r) { return r.number == number; });
  return std::string(resource->key) + " limit of " + resource->text(*(limits.*resource->value));
}

std::string limit_behind(const ProcessLimits& limits, int signal) {
  if (signal == SIGXCPU && limits.cpu_time_ms) return "its " + limit_text(limits, RLIMIT_CPU) + " was used up";
  if (signal == SIGXFSZ && limits.file_size) return "a file would have gone beyond its " + limit_text(limits, RLIMIT_FSIZE);
  return "";
}

Result<RunAs> find_user(const std::string& user, std::optional<gid_t> group) {
  RunAs found{};
  int error = look_up([&](auto... room) { return getpwnam_r(user.c_str(), room...); }, &found);
  const auto number = id_in_digits(user);
  if (error == 0 && found.name.empty() && number) {
    error = look_up([&](auto... room) { return getpwuid_r(*number, room...); }, &found);
  }
  if (error != 0) return Error{HF_E_IO, "user '" + user + "' cannot be looked up: " + strerror(error)};
  if (found.name.empty()) {
    if (!number) return Error{HF_E_NOT_FOUND, "there is no user '" + user + "'"};
    if (!group) return Error{HF_E_INVALID, "nothing is known of user " + user + ": \"group\" has to say its group"};
    return RunAs{*number, *group, std::vector<gid_t>(), "", "/"};
  }
  if (group) found.gid = *group;
  found.groups = groups_of(found.name, found.gid);
  return found;
}

Result<gid_t> find_group(const std::string& group) {
  const auto id = group_id(group);
  if (id && *id == kNobodyAtAll) return Error{HF_E_NOT_FOUND, "there is no group '" + group + "'"};
  return id;
}

}  // namespace hf
