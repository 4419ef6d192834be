#include "core/backoff.h"

#include <algorithm>
#include <string>

#include "core/units.h"

namespace hf {
namespace {

Status check_ms(const std::string& field, int64_t ms, int64_t min_ms) {
  if (ms >= min_ms && ms <= kBackoffMaxMs) return ok_status();
  return Error{HF_E_INVALID, "backoff " + field + " is " + std::to_string(ms) +
                                 " ms: " + format_duration(min_ms) + " to " +
                                 format_duration(kBackoffMaxMs) + " is allowed"};
}

// min(base * factor^(attempt-1), max). By repeated multiplication: std::pow may differ in its last
// bit between C libraries; an IEEE product may not. It ends at the cap, so it cannot overflow.
int64_t exponential_ms(const Backoff& backoff, int attempt) {
  const auto cap = static_cast<double>(backoff.max_ms);
  auto value = static_cast<double>(backoff.base_ms);
  for (int i = 1; i < attempt && value < cap && backoff.factor > 1; ++i) value *= backoff.factor;
  return value >= cap ? backoff.max_ms : static_cast<int64_t>(value);
}

int64_t capped_ms(const Backoff& backoff, int attempt) {
  switch (backoff.kind) {
    case BackoffKind::fixed:
      return std::min(backoff.base_ms, backoff.max_ms);
    case BackoffKind::linear:
      // base <= 2.6e9, attempt < 2^31: the product fits.
      return std::min(backoff.base_ms * attempt, backoff.max_ms);
    case BackoffKind::exponential:
      return exponential_ms(backoff, attempt);
    case BackoffKind::list: {
      const int last = std::clamp(attempt, 1, std::max(1, backoff.list_len)) - 1;
      return std::min(backoff.list_ms[static_cast<size_t>(last)], backoff.max_ms);
    }
  }
  return backoff.max_ms;
}

}  // namespace

Status validate(const Backoff& backoff) {
  const int kind = static_cast<int>(backoff.kind);
  if (kind < HF_BACKOFF_FIXED || kind > HF_BACKOFF_LIST) {
    return Error{HF_E_INVALID, "backoff kind is " + std::to_string(kind) +
                                   ": fixed, linear, exponential or list is allowed"};
  }
  HF_TRY(check_ms("base", backoff.base_ms, 1));
  if (!(backoff.factor >= 1 &&
        backoff.factor <= kBackoffMaxFactor)) {  // so that NaN is refused too
    return Error{HF_E_INVALID,
                 "backoff factor is " + std::to_string(backoff.factor) + ": 1 to 100 is allowed"};
  }
  HF_TRY(check_ms("max", backoff.max_ms, 1));
  const int jitter = static_cast<int>(backoff.jitter);
  if (jitter < HF_JITTER_NONE || jitter > HF_JITTER_PERCENT) {
    return Error{HF_E_INVALID, "backoff jitter is " + std::to_string(jitter) +
                                   ": none, full, equal or percent is allowed"};
  }
  if (backoff.jitter_percent < 1 || backoff.jitter_percent > 100) {
    return Error{HF_E_INVALID, "backoff jitter_percent is " +
                                   std::to_string(backoff.jitter_percent) +
                                   ": 1 to 100 is allowed"};
  }
  const int min_len = backoff.kind == BackoffKind::list ? 1 : 0;
  if (backoff.list_len < min_len || backoff.list_len > HF_BACKOFF_LIST_MAX) {
    return Error{HF_E_INVALID, "backoff list has " + std::to_string(backoff.list_len) +
                                   " entries: 1 to " + std::to_string(HF_BACKOFF_LIST_MAX) +
                                   " are allowed"};
  }
  for (int i = 0; i < backoff.list_len; ++i) {
    HF_TRY(check_ms("list[" + std::to_string(i) + "]", backoff.list_ms[static_cast<size_t>(i)], 0));
  }
  return ok_status();
}

int64_t delay_ms(const Backoff& backoff, int attempt, Random& random) {
  const int64_t delay = capped_ms(backoff, std::max(1, attempt));
  switch (backoff.jitter) {
    case Jitter::none:
      return delay;
    case Jitter::full:
      return random.between(0, delay);
    case Jitter::equal:
      return random.between(delay / 2, delay);
    case Jitter::percent: {
      const int64_t part = delay * backoff.jitter_percent / 100;
      return random.between(delay - part, std::min(delay + part, backoff.max_ms));
    }
  }
  return delay;
}

}  // namespace hf
