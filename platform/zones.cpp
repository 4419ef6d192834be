#include "platform/zones.h"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "core/names.h"
#include "core/zone_rules.h"
#include "platform/descriptor.h"
#include "platform/folder.h"

namespace hf {
namespace {

constexpr char kDefaultDirectory[] = "/usr/share/zoneinfo";
constexpr int kWalkDepth = 2;       // folders below the top: America/Argentina/Ushuaia
constexpr int kWalkEntries = 4096;  // a full database has about 600 zones, three times over
constexpr size_t kHints = 3;

// cctz::seconds is an int64_t everywhere; the system clock's own unit is not used, it may be too
// narrow.
using Instant = cctz::time_point<cctz::seconds>;
Instant instant(int64_t unix_s) {
  return Instant(cctz::seconds(unix_s));
}
int64_t civil_s(const cctz::civil_second& civil) {
  return civil - cctz::civil_second();
}

// Where the rules go on for ever cctz lists transitions for 400 years after the last one of the
// file, and none beyond. The rules repeat with the calendar, so a later time is looked up as many
// cycles earlier.
constexpr int64_t kCycle_s = kDaysPer400Years * kSecondsPerDay;

class CctzZone final : public Zone {
 public:
  CctzZone(std::string name, cctz::time_zone zone) : name_(std::move(name)), zone_(zone) {
    cctz::time_zone::civil_transition last;
    if (!zone_.prev_transition(instant(kMaxUnixMs / 1000), &last)) return;
    const int64_t last_s = zone_.lookup(last.to).trans.time_since_epoch().count();
    if (last_s > kZoneRulesOnly) listed_until_s_ = last_s;
  }

  const std::string& name() const override { return name_; }

  ZonePeriod period_at(int64_t unix_s) const override {
    int64_t shift = 0;
    if (unix_s >= listed_until_s_) shift = ((unix_s - listed_until_s_) / kCycle_s + 1) * kCycle_s;
    const Instant time = instant(unix_s - shift);
    const cctz::time_zone::absolute_lookup found = zone_.lookup(time);
    ZonePeriod period;
    period.offset_s = found.offset;
    period.dst = found.is_dst;
    period.abbreviation = found.abbr;
    // `from` is the civil time of the transition by the offset before it, which is that at `time`
    // for the next one; `to` is by the offset after it, which is that at `time` for the one before.
    cctz::time_zone::civil_transition transition;
    if (zone_.next_transition(time, &transition)) {
      period.end_s = civil_s(transition.from) - found.offset + shift;
    }
    if (zone_.prev_transition(time + cctz::seconds(1), &transition)) {
      period.begin_s = civil_s(transition.to) - found.offset + shift;
    }
    return period;
  }

 private:
  const std::string name_;
  const cctz::time_zone zone_;
  int64_t listed_until_s_ =
      kZoneEnd;  // from here on cctz lists no transition, though there are some
};

// A compiled zone starts with "TZif" (RFC 8536, section 3.1).
bool is_zone_file(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  char magic[4] = {};
  return file.fd >= 0 && read(file.fd, magic, sizeof magic) == sizeof magic && std::string_view(magic, sizeof magic) == "TZif";
}

// "": it cannot be told.
std::string absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[PATH_MAX];
  return getcwd(here, sizeof here) != nullptr ? std::string(here) + "/" + path : "";
}

// With all links followed; "": there is nothing.
std::string canonical_path(const std::string& path) {
  char found[PATH_MAX];
  return realpath(path.c_str(), found) != nullptr ? found : "";
}

// Adds the zones in a folder, as names that begin with `prefix`. Links to folders are not followed.
void walk(const std::string& folder, const std::string& prefix, int depth, int* count, std::vector<std::string>* found) {
  for (const std::string& file : entries_of(folder)) {
    if (++*count > kWalkEntries) return;
    const std::string path = folder + "/" + file;
    std::string name = prefix + file;
    struct stat info {};
    if (lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      // Copies of all the others, without and with leap seconds.
      const bool copies = depth == 0 && (file == "posix" || file == "right");
      if (!copies && depth < kWalkDepth) walk(path, name + "/", depth + 1, count, found);
    } else if (check_zone_name(name) && is_zone_file(path)) {
      found->push_back(std::move(name));
    }
  }
}

std::string default_directory() {
  const char* const set = std::getenv("TZDIR");
  return set != nullptr && *set != '\0' ? set : kDefaultDirectory;
}

// "Europe/Berlin" for "Europe/Berln", "europe/berlin" and "Berlin".
std::string hint(std::string_view word, const std::vector<std::string>& names) {
  std::vector<std::string_view> found;
  for (const std::string& name : names) {
    if (equal_no_case(word, name)) return "; did you mean " + name + "?";
    const size_t slash = name.rfind('/');
    if (slash != std::string::npos &&
        equal_no_case(word, std::string_view(name).substr(slash + 1))) {
      found.push_back(name);
    }
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const std::string_view name : nearest_names(word, known, kHints)) {
    if (std::find(found.begin(), found.end(), name) == found.end()) found.push_back(name);
  }
  if (found.size() > kHints) found.resize(kHints);
  std::string text;
  for (size_t i = 0; i < found.size(); ++i) {
    text += (i == 0                 ? "; did you mean "
             : i + 1 < found.size() ? ", "
                                    : " or ") +
            std::string(found[i]);
  }
  return text + (found.empty() ? "; expected an IANA name such as Europe/Berlin or UTC" : "?");
}

// Which file it is: it was not changed while this is the same.
struct FileState {
  ino_t inode = 0;
  off_t size = -1;
  int64_t changed_ns = 0;
  bool operator==(const FileState&) const = default;
};
std::optional<FileState> state_of(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return std::nullopt;
  return FileState{st.st_ino, st.st_size, int64_t{st.st_ctim.tv_sec} * 1000000000 + st.st_ctim.tv_nsec};
}

// The zones that this process has read, by path. cctz keeps what it once read under a name for ever, so that a file that
// was changed needs another name of the same file: /./ once more.
class ReadZones {
 public:
  // Null: it is no zone.
  std::shared_ptr<const Zone> read(const std::string& name, const std::string& path) {
    std::lock_guard lock(mutex_);
    const std::optional<FileState> state = state_of(path);
    if (!state) return nullptr;
    Read& read = all_[path];
    if (read.zone != nullptr && (read.state == *state || read.changes == kZoneChangesMax)) return read.zone;
    std::string alias = path;
    const size_t slash = alias.rfind('/');
    for (int i = 0; i < read.changes; ++i) alias.insert(slash, "/.");
    cctz::time_zone zone;
    // Of a file that was damaged cctz keeps UTC in its place: not to be asked for again under this name.
    ++read.changes;
    if (!cctz::load_time_zone(alias, &zone)) return nullptr;
    read.state = *state;
    read.zone = std::make_shared<CctzZone>(name, zone);
    return read.zone;
  }

 private:
  struct Read {
    FileState state;
    int changes = 0;
    std::shared_ptr<const Zone> zone;
  };
  std::mutex mutex_;
  std::map<std::string, Read> all_;
};
ReadZones& read_zones() {
  static ReadZones& all = *new ReadZones;  // as cctz's own, to the end of the process
  return all;
}

}  // namespace

SystemZones::SystemZones(std::string directory, bool watched)
    : directory_(directory.empty() ? default_directory() : std::move(directory)),
      watch_(watched ? ZoneWatch::create() : nullptr) {}
SystemZones::~SystemZones() = default;

int SystemZones::watch_fd() const {
  return watch_ != nullptr ? watch_->fd() : -1;
}

void SystemZones::look() {
  if (watch_ != nullptr) watch_->look();
  ++version_;
}

Result<std::shared_ptr<const Zone>> SystemZones::find(std::string_view name) const {
  HF_TRY(check_zone_name(name));
  if (is_utc_name(name)) return utc_only().find(name);
  const std::string path = directory_ + "/" + std::string(name);
  // An absolute path: cctz takes other names for its own ("Fixed/UTC+01:00:00", "localtime").
  const std::string absolute = absolute_path(path);
  if (watch_ != nullptr) {
    watch_->add(folder_of(directory_));  // all of it may be replaced
    watch_->add(directory_);
    watch_->add(folder_of(absolute));
    // A zone may be a link to another, in another folder.
    if (const std::string file = canonical_path(absolute); !file.empty()) watch_->add(folder_of(file));
  }
  if (is_zone_file(absolute)) {
    if (auto zone = read_zones().read(std::string(name), absolute)) return zone;
    return Error{HF_E_CORRUPT, "the time zone file " + absolute + " is damaged"};
  }
  const std::vector<std::string> known = names();
  if (known.empty()) {
    return Error{HF_E_NOT_FOUND, "there is no time zone " + quoted(name) + ": " + directory_ +
                                     " holds no zones (is the package tzdata installed?)"};
  }
  return Error{HF_E_NOT_FOUND, "there is no time zone " + quoted(name) + hint(name, known)};
}

std::vector<std::string> SystemZones::names() const {
  std::vector<std::string> found;
  int count = 0;
  walk(directory_, "", 0, &count, &found);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace hf
