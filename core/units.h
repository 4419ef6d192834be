// Durations, sizes and times as people write them, to integers and back.
//
// Every error is HF_E_INVALID and says what was found, where (1-based byte), and what is allowed.
// The formats are those of the configuration, the command line and the admin API
// (docs/reference.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hf {

// Milliseconds, >= 0. A whole number and a unit, `500ms 30s 5m 1h 3d 2w`, or a sum of them with the
// larger unit first, `1h30m`. A number without a unit, a sign, a fraction, blanks and what is more
// than an int64_t holds are refused. The range that makes sense is for the caller to check.
Result<int64_t> parse_duration(std::string_view text);

// The shortest text that parse_duration reads as exactly `ms`; between equally short ones that with
// the larger unit: "90s", "1h", "10d", "61m1s". REQUIRES: ms >= 0
std::string format_duration(int64_t ms);

// For tables and messages: the two largest units, rounded down: "3m 12s", "2d 4h", "450ms", "0s";
// with "-" before it when negative.
std::string format_duration_human(int64_t ms);

// Bytes, >= 0. A whole number and one of B, kB, KiB, MB, MiB, GB, GiB (k, M, G: powers of 1000; Ki,
// Mi, Gi: of 1024); case counts.
Result<int64_t> parse_size(std::string_view text);

// The shortest text that parse_size reads as exactly `bytes`; between equally short ones the binary
// unit: "64KiB", "1MB", "1023B". REQUIRES: bytes >= 0
std::string format_size(int64_t bytes);

// For tables: one decimal, rounded down, in binary units: "1.5 MiB", "900 B".
std::string format_size_human(int64_t bytes);

// Milliseconds since 1970-01-01 UTC, kMinUnixMs..kMaxUnixMs, from an RFC 3339 date-time with its
// offset: `2026-11-25T02:30:00Z`, `2026-11-25T03:30:00.250+01:00`. 1 to 9 digits of a second, of
// which those beyond the millisecond are dropped. 23:59:60 UTC, a leap second, is read as the
// second after it.
Result<int64_t> parse_time(std::string_view text);

// RFC 3339, with milliseconds only if there are some: "2026-11-25T02:30:00Z". A time outside
// kMinUnixMs..kMaxUnixMs is shown as the nearer end.
std::string format_time(int64_t unix_ms);
// The same instant as a clock with this offset (seconds east of UTC) shows it:
// "2026-11-25T03:30:00+01:00". RFC 3339 knows offsets in minutes: seconds of an offset are dropped,
// the instant stays exact.
std::string format_time_at_offset(int64_t unix_ms, int32_t offset_s);

// HF_E_INVALID unless lo <= value <= hi: "priority is 5000; allowed is -1000 to 1000".
Status check_range(std::string_view field, int64_t value, int64_t lo, int64_t hi);
// The same of milliseconds, told as durations.
Status check_duration(std::string_view field, int64_t ms, int64_t lo, int64_t hi);

}  // namespace hf
