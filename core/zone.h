// Time zones as the core sees them: a line of periods, each with one offset from UTC.
//
// Where they come from (the IANA database on the disk) is the platform's: platform/zones.h. UTC
// alone is built in. All times here are whole seconds, of UTC since 1970 ("unix") or of a local
// clock ("civil", core/calendar.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/calendar.h"
#include "core/result.h"

namespace hf {

// The first period of a zone begins, and its last one ends, here: far beyond any calendar, and so
// that sums of it with offsets and days do not overflow.
inline constexpr int64_t kZoneBegin = -(int64_t{1} << 59);
inline constexpr int64_t kZoneEnd = int64_t{1} << 59;
// No offset, nor a jump of the local clock, is larger than this.
inline constexpr int64_t kZoneMaxOffset = 26 * 3600;

// A stretch of time, [begin_s, end_s) in unix seconds, in which the local clock runs evenly.
struct ZonePeriod {
  int64_t begin_s = kZoneBegin;
  int64_t end_s = kZoneEnd;
  int32_t offset_s = 0;  // local clock minus UTC: seconds east of Greenwich
  bool dst = false;
  std::string_view abbreviation = "UTC";  // "CEST", "-03"; lives as long as the zone
};

struct LocalTime {
  CivilTime civil;
  int32_t offset_s = 0;
  bool dst = false;
  std::string_view abbreviation;
};

// When a local clock shows a civil time, as cctz has it (civil_lookup):
//   unique    once: pre == trans == post
//   skipped   never, the clock jumped over it at trans. pre is an instant after trans, what the
//             offset before the jump gives; post one before trans, what the offset after it gives
//   repeated  twice: at pre, and again at post after the clock was put back at trans
struct LocalInstants {
  enum class Kind { unique, skipped, repeated };
  Kind kind = Kind::unique;
  int64_t pre_s = 0;
  int64_t trans_s = 0;
  int64_t post_s = 0;
};

// Immutable; any thread.
class Zone {
 public:
  virtual ~Zone() = default;

  // The name it was found by, "Europe/Berlin".
  virtual const std::string& name() const = 0;
  // The period that unix_s lies in. Neighbouring periods differ in offset, dst or abbreviation.
  // REQUIRES: kZoneBegin <= unix_s < kZoneEnd
  virtual ZonePeriod period_at(int64_t unix_s) const = 0;

  LocalTime local(int64_t unix_s) const;
  LocalInstants instants(const CivilTime& civil) const;
  // The first instant after unix_s at which another period begins.
  std::optional<int64_t> next_transition(int64_t unix_s) const;
};

const Zone& utc_zone();

// Where zones are found by name.
class ZoneSource {
 public:
  virtual ~ZoneSource() = default;
  // HF_E_INVALID: the name cannot be one (check_zone_name). HF_E_NOT_FOUND: no such zone; the
  // message names the nearest ones.
  virtual Result<std::shared_ptr<const Zone>> find(std::string_view name) const = 0;
  // Another one than before: zones may have come, gone or changed. Those that were found stay as they are; to find them
  // again gives the new ones.
  virtual uint64_t version() const { return 0; }
};

// A source that knows UTC alone.
const ZoneSource& utc_only();

inline constexpr size_t kZoneNameMax = 64;
// 1..kZoneNameMax bytes of A-Z a-z 0-9 _ + - /, no slash at an end, none doubled: it becomes part of a file's
// path, and without dots it cannot leave the database's folder.
Status check_zone_name(std::string_view name);
// "UTC" and "Etc/UTC", which are there without a database.
bool is_utc_name(std::string_view name);

}  // namespace hf
