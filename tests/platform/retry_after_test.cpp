#include "platform/net/retry_after.h"

#include <doctest/doctest.h>

using hf::kRetryAfterMaxMs;
using hf::parse_http_date;
using hf::parse_retry_after;

namespace {
constexpr int64_t kExample = 784111777000;  // RFC 9110's own: Sun, 06 Nov 1994 08:49:37 GMT
}

TEST_CASE("retry-after: seconds") {
  CHECK(parse_retry_after("0", 0) == 0);
  CHECK(parse_retry_after("120", 0) == 120000);
  CHECK(parse_retry_after(" 7 ", 0) == 7000);
  CHECK(parse_retry_after("999999999", 0) == kRetryAfterMaxMs);
  CHECK(parse_retry_after("99999999999999999999999", 0) == kRetryAfterMaxMs);
  CHECK(parse_retry_after("000000000000", 0) == 0);
  for (const char* bad : {"", "-1", "+1", "1.5", "1s", "0x10", "1 2"})
    CHECK_MESSAGE(!parse_retry_after(bad, 0).has_value(), bad);
}

TEST_CASE("retry-after: dates") {
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == kExample);
  CHECK(parse_http_date("Fri, 01 Jan 2040 00:00:00 GMT") == 2208988800000);  // beyond 32 bits
  CHECK(parse_http_date("Thu, 29 Feb 2024 23:59:60 GMT") == 1709251200000);
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kExample - 30000) == 30000);
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kExample + 1) == 0);
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 0) == kRetryAfterMaxMs);
  CHECK(!parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", -1).has_value());  // no clock
  for (const char* bad :
       {"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Xyz 1994 08:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08-49-37 GMT"})
    CHECK_MESSAGE(!parse_http_date(bad).has_value(), bad);
}
