// What runs the jobs of a configuration. A part that a build leaves out refuses: HF_E_UNSUPPORTED.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/result.h"
#include "handlers/config.h"
#include "platform/host.h"
#include "platform/memory.h"
#include "platform/probe.h"
#include "platform/runner.h"

namespace hf {

// Says of a run what may be lost: what is not taken, since there is no room or memory, is missing in a log, or costs something at the
// next attempt.
inline std::function<void(Op)> teller(Host& host) {
  return [&host](Op op) { (void)guarded([&] { (void)host.submit(std::move(op), {}); }); };
}

// ---- programs: exec_runners.cpp

Result<std::shared_ptr<Runner>> exec_runner(Host& host, const HandlerConfig& handler, const std::string& socket, int64_t max_result);
Result<std::shared_ptr<Probe>> exec_probe(Host& host, const ConditionConfig& condition, const std::string& socket);
// Makes the host's clock that of `clock`, whose command is asked. REQUIRES: there is one
Status set_clock_command(Host& host, const ClockConfig& clock, const std::string& socket);

// ---- requests: request_runners.cpp

// Makes the runners of one configuration, which share a client. Each that has TLS is put into the host's book of peers.
class RequestRunners {
 public:
  RequestRunners(Host& host, const Config& config, int64_t max_result);
  ~RequestRunners();
  Result<std::shared_ptr<Runner>> of(const HandlerConfig& handler) const;
  Result<std::shared_ptr<Runner>> of(const SinkConfig& sink) const;

 private:
  class Maker;
  const std::unique_ptr<Maker> maker_;
};

}  // namespace hf
