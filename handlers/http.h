// Runs a job as one HTTP request: docs/delivery.md.
#pragma once

#include <uv.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "handlers/end_run.h"
#include "handlers/http_peer.h"
#include "handlers/outcome_rules.h"
#include "platform/runner.h"

namespace hf {

struct HttpOptions {
  HttpTarget target;  // the deadline of the whole request counts where the job has no timeout
  int64_t max_result = HF_DEFAULT_MAX_PAYLOAD;  // bytes of a response's body
  OutcomeRules on_status = {};                  // what statuses mean here
};

// Loop thread.
class HttpRunner : public Runner {
 public:
  // May be made on any thread. `client` outlives the runner.
  HttpRunner(uv_loop_t* loop, HttpClient& client, HttpOptions options, EndRun end_run);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever started
  ~HttpRunner() override;

  void start(StartRun run) override;
  void stop(JobId id, int attempt, StopReason reason) override;
  // Requests under way are cancelled, their jobs handed back.
  void shutdown(std::function<void()> closed) override;

 private:
  struct Run {
    RequestId request = 0;
    int64_t timeout_ms = -1;
    std::optional<StopReason> stopped;
  };
  void answered(const Fence& fence, HttpResult result);

  uv_loop_t* const loop_;
  HttpPeer peer_;
  const int64_t max_result_;
  const OutcomeRules on_status_;
  const EndRun end_run_;
  std::map<Fence, Run> running_;
  std::function<void()> closed_;
};

}  // namespace hf
