// Times in HTTP headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hf {

inline constexpr int64_t kRetryAfterMaxMs = int64_t{7} * 24 * 3600 * 1000;  // a longer wait is cut to this

// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110, 5.6.7) as milliseconds since 1970.
std::optional<int64_t> parse_http_date(std::string_view value);

// The wait that a Retry-After header asks for, 0..kRetryAfterMaxMs: delta-seconds, or a date less
// `wall_now_ms` (0 if it is past). nullopt if it is neither. Where our clock is not trusted, pass the time of the response's Date
// header, or -1: then dates give nullopt.
std::optional<int64_t> parse_retry_after(std::string_view value, int64_t wall_now_ms);

}  // namespace hf
