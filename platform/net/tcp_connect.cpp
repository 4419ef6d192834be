#include "platform/net/tcp_connect.h"

#include <algorithm>
#include <utility>

namespace hf {

TcpSocket* TcpSocket::open(uv_loop_t* loop, HandleCountPtr handles) {
  auto* socket = new TcpSocket;
  uv_tcp_init(loop, &socket->tcp);  // makes no descriptor yet, cannot fail
  socket->tcp.data = socket;
  socket->handles = std::move(handles);
  socket->handles->opened();
  return socket;
}

void TcpSocket::close() {
  owner = nullptr;
  uv_close(handle(), [](uv_handle_t* handle) {
    auto* socket = static_cast<TcpSocket*>(handle->data);
    const HandleCountPtr count = std::move(socket->handles);
    delete socket;
    count->closed();
  });
}

struct TcpConnect::Attempt {
  uv_connect_t request;
  TcpConnect* owner;  // nullptr once given up
  TcpSocketPtr socket;
};

TcpConnect::TcpConnect(uv_loop_t* loop, HandleCountPtr handles, std::string name,
                       std::vector<Address> addresses, int64_t deadline_ms, DoneFn on_done)
    : loop_(loop),
      handles_(std::move(handles)),
      name_(std::move(name)),
      addresses_(std::move(addresses)),
      deadline_ms_(deadline_ms),
      give_up_at_ms_(loop_now_ms(loop) + deadline_ms),
      on_done_(std::move(on_done)),
      timer_(loop, handles_, [this] {
        if (attempt_) {
          give_up_attempt();
          attempt_failed(UV_ETIMEDOUT);
        } else {
          try_next();
        }
      }) {
  timer_.start(0);
}

TcpConnect::~TcpConnect() { give_up_attempt(); }

void TcpConnect::give_up_attempt() {
  if (!attempt_) return;
  attempt_->owner = nullptr;
  attempt_->socket.reset();  // its connect callback comes with UV_ECANCELED
  attempt_ = nullptr;
}

void TcpConnect::try_next() {
  const Address& address = addresses_[next_++];
  auto* attempt = new Attempt{{}, this, TcpSocketPtr(TcpSocket::open(loop_, handles_))};
  attempt->request.data = attempt;
  const auto on_connect = [](uv_connect_t* request, int code) {
    const std::unique_ptr<Attempt> own(static_cast<Attempt*>(request->data));
    if (!own->owner) return;
    const HandleCountPtr handles = own->owner->handles_;
    handles->guard([&] { own->owner->attempt_done(*own, code); });
  };
  const int code = uv_tcp_connect(&attempt->request, &attempt->socket->tcp, &address.any, on_connect);
  if (code != 0) {
    delete attempt;
    return attempt_failed(code);
  }
  attempt_ = attempt;
  const int64_t left_ms = give_up_at_ms_ - loop_now_ms(loop_);
  const auto waiting = static_cast<int64_t>(addresses_.size() - next_ + 1);
  timer_.start(left_ms / waiting);
}

void TcpConnect::attempt_done(Attempt& attempt, int code) {
  attempt_ = nullptr;
  timer_.stop();
  if (code != 0) {
    attempt.socket.reset();
    return attempt_failed(code);
  }
  uv_tcp_nodelay(&attempt.socket->tcp, 1);
  const DoneFn done = on_done_;  // it may destroy us
  const Address connected = addresses_[next_ - 1];
  done({}, std::move(attempt.socket), connected);
}

void TcpConnect::attempt_failed(int code) {
  if (!failures_.empty()) failures_ += "; ";
  failures_ += addresses_[next_ - 1].ip() + ": " + uv_strerror(code);
  const bool late = loop_now_ms(loop_) >= give_up_at_ms_;
  if (next_ < addresses_.size() && !late) return timer_.start(0);
  NetError error = net_error(NetErrorKind::kConnect, "no connection to " + name_ + " (" + failures_ + ")");
  if (late)
    error = {NetErrorKind::kTimeout, NetPhase::kConnect,
             "no connection to " + name_ + " within " + std::to_string(deadline_ms_) + " ms (" +
                 failures_ + ")"};
  const DoneFn done = on_done_;
  done(std::move(error), nullptr, Address());
}

}  // namespace hf
