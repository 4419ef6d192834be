// A policy whose retries come when a test expects them.
#pragma once

#include "core/types.h"

namespace hf::test {

inline Policy fixed_policy(int64_t backoff_ms, int64_t timeout_ms = 0) {
  Policy policy;
  policy.timeout_ms = timeout_ms;
  policy.backoff.kind = BackoffKind::fixed;
  policy.backoff.base_ms = backoff_ms;
  policy.backoff.jitter = Jitter::none;
  return policy;
}

}  // namespace hf::test
