#include "handlers/outbound.h"

#include "handlers/next_turn.h"

namespace hf {

HttpClient& SharedClient::acquire() {
  if (++users_ == 1) client_ = std::make_unique<HttpClient>(loop_.uv(), options_);
  return *client_;
}

void SharedClient::release(std::function<void()> closed) {
  if (--users_ > 0) return closed();
  client_->shutdown(std::move(closed));
  client_.reset();
}

void OutboundRunner::start(StartRun run) {
  if (!runner_) runner_ = make_(client_->acquire());
  runner_->start(std::move(run));
}

void OutboundRunner::stop(JobId id, int attempt, StopReason reason) {
  if (runner_) runner_->stop(id, attempt, reason);
}

void OutboundRunner::shutdown(std::function<void()> closed) {
  if (!runner_) return on_next_turn(loop_.uv(), std::move(closed));
  // The callback runs within the runner: it is destroyed after that has returned.
  runner_->shutdown([this, closed = std::move(closed)] {
    on_next_turn(loop_.uv(), [this, closed] {
      runner_.reset();
      client_->release(closed);
    });
  });
}

}  // namespace hf
