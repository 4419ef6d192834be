#include "platform/zones.h"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "core/names.h"
#include "core/zone_rules.h"

namespace hf {
namespace {

namespace fs = std::filesystem;

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
bool is_zone_file(const fs::path& path) {
  std::error_code failure;
  if (!fs::is_regular_file(path, failure)) return false;
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  return file.read(magic, sizeof magic) && std::string_view(magic, sizeof magic) == "TZif";
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

}  // namespace

SystemZones::SystemZones(std::string directory)
    : directory_(directory.empty() ? default_directory() : std::move(directory)) {}

Result<std::shared_ptr<const Zone>> SystemZones::find(std::string_view name) const {
  HF_TRY(check_zone_name(name));
  if (is_utc_name(name)) return utc_only().find(name);
  const std::string path = directory_ + "/" + std::string(name);
  cctz::time_zone zone;
  // An absolute path: cctz takes other names for its own ("Fixed/UTC+01:00:00", "localtime").
  std::error_code failure;
  const fs::path absolute = fs::absolute(path, failure);
  if (!failure && is_zone_file(absolute)) {
    if (cctz::load_time_zone(absolute.string(), &zone)) {
      return std::shared_ptr<const Zone>(std::make_shared<CctzZone>(std::string(name), zone));
    }
    return Error{HF_E_CORRUPT, "the time zone file " + absolute.string() + " is damaged"};
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
  std::error_code failure;
  fs::recursive_directory_iterator entry(directory_, failure);
  const fs::recursive_directory_iterator end;
  for (int count = 0; !failure && entry != end && count < kWalkEntries; ++count) {
    const fs::path& path = entry->path();
    const std::string file = path.filename().string();
    std::error_code unknown_type;
    if (entry->is_directory(unknown_type)) {
      // Copies of all the others, without and with leap seconds.
      const bool copies = entry.depth() == 0 && (file == "posix" || file == "right");
      if (copies || entry.depth() >= kWalkDepth) entry.disable_recursion_pending();
    } else {
      std::string name = path.lexically_relative(directory_).generic_string();
      if (check_zone_name(name) && is_zone_file(path)) found.push_back(std::move(name));
    }
    entry.increment(failure);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace hf
