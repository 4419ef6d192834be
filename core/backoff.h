// The delay before the next attempt: a value that grows, a cap, and jitter drawn after the cap.
//
// Why jitter, and why after the cap: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
// Blog, 2015. Without it every device that failed in the same outage comes back in the same second.
#pragma once

#include <array>
#include <cstdint>

#include "core/random.h"
#include "core/result.h"

namespace hf {

inline constexpr int64_t kBackoffMaxMs =
    30LL * 86400 * 1000;  // 30 d, of base_ms, max_ms and entries
inline constexpr double kBackoffMaxFactor = 100;

// The numbers are those of hf_backoff; there is no "default" here, it is resolved before.
enum class BackoffKind {
  fixed = HF_BACKOFF_FIXED,
  linear = HF_BACKOFF_LINEAR,
  exponential = HF_BACKOFF_EXPONENTIAL,
  list = HF_BACKOFF_LIST
};
enum class Jitter {
  none = HF_JITTER_NONE,
  full = HF_JITTER_FULL,
  equal = HF_JITTER_EQUAL,
  percent = HF_JITTER_PERCENT
};

// Made with the defaults of hf_backoff.
struct Backoff {
  BackoffKind kind = BackoffKind::exponential;
  int64_t base_ms = 1000;   // 1..kBackoffMaxMs; fixed, linear, exponential
  double factor = 2;        // 1..kBackoffMaxFactor; exponential
  int64_t max_ms = 600000;  // 1..kBackoffMaxMs; the cap, of the jittered delay too
  Jitter jitter = Jitter::full;
  int jitter_percent = 10;                             // 1..100; percent
  std::array<int64_t, HF_BACKOFF_LIST_MAX> list_ms{};  // 0..kBackoffMaxMs each; list
  int list_len = 0;                                    // 1..HF_BACKOFF_LIST_MAX for list

  friend bool operator==(const Backoff&, const Backoff&) = default;
};

// HF_E_INVALID names the field, what it holds and what is allowed. All fields are checked, also
// those that the kind does not use; but an empty list is wrong for kind list only.
Status validate(const Backoff& backoff);

// The delay after the attempt-th attempt failed, 0..max_ms: the value of the kind for `attempt` (1
// after the first run; smaller counts as 1), at most max_ms, then
//   full     uniform in [0, d]
//   equal    d/2 + uniform in [0, d/2]
//   percent  uniform in [d - p, d + p], p being that part of d, the range cut off at max_ms
//            (cutting the result would put half of all devices at exactly max_ms)
// Draws from `random` once, unless jitter is none. The same on every architecture.
// REQUIRES: validate(backoff) is ok
int64_t delay_ms(const Backoff& backoff, int attempt, Random& random);

}  // namespace hf
