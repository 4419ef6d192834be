// Who knows whether a condition is open (core/conditions.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/result.h"

namespace hf {

inline constexpr int64_t kProbeTimeoutMs = 5000, kProbeTimeoutMinMs = 100, kProbeTimeoutMaxMs = 60000;

struct ProbeAnswer {
  bool open = false;
  std::string why;  // for a person: "on battery, 41 %"; longer than HF_REASON_MAX is cut
};

// Owned by the Host, which calls it on the loop thread.
class Probe {
 public:
  using Answer = std::function<void(ProbeAnswer)>;
  virtual ~Probe() = default;

  // Looks, without blocking, and calls `answer` once, on the loop thread, within this call or later; not after `closed`. Within a
  // time of its own it answers in any case: that it is closed, and why nobody could tell. Never two at a time.
  virtual void ask(Answer answer) = 0;

  // Ends what goes on, and calls `closed` (later, on the loop thread) when nothing of it is left there. No ask() follows.
  virtual void shutdown(std::function<void()> closed) = 0;
};

}  // namespace hf
