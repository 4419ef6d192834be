// How the queue is: for /healthz, and for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/types.h"
#include "platform/peer_book.h"
#include "platform/stuck_runs.h"

namespace hf {

struct HealthCheck {
  std::string name;
  bool ok = true;
  bool fatal = false;  // when not ok: no work can be done, or none can be taken
  std::string why;     // "" if all is well
};

struct Health {
  std::vector<HealthCheck> checks;
  bool failing() const;      // one is not ok and fatal
  const char* word() const;  // "ok", "degraded" (one is not ok), "failing"
};

Health health_of(const Stats& stats, const PeerReport& peers = {}, const StuckReport& stuck = {});
Health stuck_health(int64_t silent_ms);  // the engine did not answer for so long

// {"status": "ok", "checks": [{"name": "engine", "ok": true}, ...]}
std::string health_json(const Health& health);

}  // namespace hf
