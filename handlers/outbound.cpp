#include "handlers/outbound.h"

#include "handlers/next_turn.h"
#include "platform/memory.h"

namespace hf {

HttpClient& SharedClient::acquire() {
  if (users_ == 0) client_ = std::make_unique<HttpClient>(loop_.uv(), options_);
  ++users_;
  return *client_;
}

void SharedClient::release(std::function<void()> closed) {
  if (--users_ > 0) return closed();
  client_->shutdown(std::move(closed));
  client_.reset();
}

void OutboundRunner::start(StartRun run) {
  if (!runner_) {
    HttpClient& client = client_->acquire();
    if (!guarded([&] { runner_ = make_(client); })) {
      client_->release([] {});
      throw std::bad_alloc();
    }
  }
  runner_->start(std::move(run));
}

void OutboundRunner::stop(JobId id, int attempt, StopReason reason) {
  if (runner_) runner_->stop(id, attempt, reason);
}

void OutboundRunner::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  if (!runner_) return on_next_turn(loop_.uv(), std::move(closed_));
  // The callback runs within the runner: it is destroyed after that has returned.
  runner_->shutdown([this] {
    on_next_turn(loop_.uv(), [this] {
      runner_.reset();
      const auto client = client_;  // *this may go
      client->release(std::move(closed_));
    });
  });
}

}  // namespace hf
