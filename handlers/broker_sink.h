// Delivers results to a broker, one message each: docs/delivery.md.
#pragma once

#include <uv.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "handlers/end_run.h"
#include "platform/broker/broker_client.h"
#include "platform/runner.h"

namespace hf {

struct BrokerSinkOptions {
  BrokerOptions broker;
  std::string topic;   // checked by check_topic
  std::string device;  // for its {device}
};

// What became of a message to `broker`, for the job; without id and attempt.
//
//   stored                             done
//   refused, now and ever              dead
//   refused this time                  retry
//   the broker wants nothing for now   defer, and the sink is parked
//   no answer                          as of an HTTP request (http_outcome.h): not sent: defer, and the sink is parked; sent:
//                                      retry
RunEnded broker_outcome(const PublishResult& result, const Url& broker);

// Loop thread. Made with the first run, the client's threads and connection are there while there is work.
class BrokerSinkRunner : public Runner {
 public:
  // May be made on any thread.
  BrokerSinkRunner(uv_loop_t* loop, BrokerSinkOptions options, EndRun end_run);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever started
  ~BrokerSinkRunner() override;

  void start(StartRun run) override;
  // A message that is on its way cannot be called back: it may still arrive, and if the job runs again it carries the same key.
  void stop(JobId id, int attempt, StopReason reason) override;
  void shutdown(std::function<void()> closed) override;

 private:
  struct Run {
    PublishId message = 0;
    int64_t timeout_ms = -1;
    int64_t wire_bytes = 0;  // about, for a budget
    std::optional<StopReason> stopped;
    bool connected = false;  // the client was, at the stop
  };
  void answered(const Fence& fence, const PublishResult& result);

  uv_loop_t* const loop_;
  const BrokerSinkOptions options_;
  const EndRun end_run_;
  std::unique_ptr<BrokerClient> client_;
  std::map<Fence, Run> running_;
};

}  // namespace hf
