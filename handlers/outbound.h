// Runners that send HTTP requests share a client: its connections, its resolver, its certificates.
// It is made when the first of them has work, and ends with the last.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "platform/loop.h"
#include "platform/net/http_client.h"
#include "platform/runner.h"

namespace hf {

// Owner: the OutboundRunners that share it. Thread: made on any, then the loop's.
class SharedClient {
 public:
  SharedClient(Loop& loop, HttpClientOptions options) : loop_(loop), options_(std::move(options)) {}

  HttpClient& acquire();
  void release(std::function<void()> closed);  // calls it at once, or when the client is gone

 private:
  Loop& loop_;
  const HttpClientOptions options_;
  std::unique_ptr<HttpClient> client_;
  int users_ = 0;
};

// Makes the runner proper when its first run starts.
class OutboundRunner : public Runner {
 public:
  using Make = std::function<std::unique_ptr<Runner>(HttpClient&)>;  // on the loop thread

  OutboundRunner(Loop& loop, std::shared_ptr<SharedClient> client, Make make)
      : loop_(loop), client_(std::move(client)), make_(std::move(make)) {}

  void start(StartRun run) override;
  void stop(JobId id, int attempt, StopReason reason) override;
  void shutdown(std::function<void()> closed) override;

 private:
  Loop& loop_;
  const std::shared_ptr<SharedClient> client_;
  const Make make_;
  std::unique_ptr<Runner> runner_;
  std::function<void()> closed_;
};

}  // namespace hf
