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

std::vector<Address> in_turns(std::vector<Address> addresses) {
  const auto first_family = [first = addresses.front().is_v6()](const Address& address) { return address.is_v6() == first; };
  const auto other = std::stable_partition(addresses.begin(), addresses.end(), first_family);
  std::vector<Address> turns;
  turns.reserve(addresses.size());
  for (auto one = addresses.begin(), two = other; one != other || two != addresses.end();) {
    if (one != other) turns.push_back(*one++);
    if (two != addresses.end()) turns.push_back(*two++);
  }
  return turns;
}

struct TcpConnect::Attempt {
  uv_connect_t request;
  TcpConnect* owner;  // nullptr once given up
  Address address;
  int64_t since_ms;
  TcpSocketPtr socket;
};

TcpConnect::TcpConnect(uv_loop_t* loop, HandleCountPtr handles, std::string name,
                       std::vector<Address> addresses, int64_t deadline_ms, DoneFn on_done)
    : loop_(loop),
      handles_(std::move(handles)),
      name_(std::move(name)),
      addresses_(in_turns(std::move(addresses))),
      deadline_ms_(deadline_ms),
      give_up_at_ms_(loop_now_ms(loop) + deadline_ms),
      stagger_ms_(std::min(kConnectStaggerMs, deadline_ms / static_cast<int64_t>(addresses_.size()))),
      share_ms_(deadline_ms * static_cast<int64_t>(kConnectsAtOnce) / static_cast<int64_t>(std::max(addresses_.size(), kConnectsAtOnce))),
      on_done_(std::move(on_done)),
      timer_(loop, handles_, [this] { go_on(); }) {
  under_way_.reserve(kConnectsAtOnce);
  timer_.start(0);
}

TcpConnect::~TcpConnect() {
  for (Attempt* attempt : under_way_) {
    attempt->owner = nullptr;
    attempt->socket.reset();  // its connect callback comes with UV_ECANCELED
  }
}

void TcpConnect::note_failure(const Address& address, int code) {
  if (!failures_.empty()) failures_ += "; ";
  failures_ += address.ip() + ": " + uv_strerror(code);
}

void TcpConnect::give_up_oldest(int code) {
  Attempt* attempt = under_way_.front();
  under_way_.erase(under_way_.begin());
  attempt->owner = nullptr;
  attempt->socket.reset();
  note_failure(attempt->address, code);
}

// What is due now.
void TcpConnect::go_on() {
  const int64_t now = loop_now_ms(loop_);
  if (now >= give_up_at_ms_) {
    while (!under_way_.empty()) give_up_oldest(UV_ETIMEDOUT);
    return fail();
  }
  while (next_ < addresses_.size() && now >= next_at_ms_) {
    if (under_way_.size() == kConnectsAtOnce) {
      if (now - under_way_.front()->since_ms < share_ms_) break;
      give_up_oldest(UV_ETIMEDOUT);
    }
    if (begin_next()) next_at_ms_ = now + stagger_ms_;
  }
  if (under_way_.empty() && next_ == addresses_.size()) return fail();
  set_timer();
}

// False if it failed at once.
bool TcpConnect::begin_next() {
  const Address& address = addresses_[next_++];
  auto* attempt = new Attempt{{}, this, address, loop_now_ms(loop_), TcpSocketPtr(TcpSocket::open(loop_, handles_))};
  attempt->request.data = attempt;
  const auto on_connect = [](uv_connect_t* request, int code) {
    const std::unique_ptr<Attempt> own(static_cast<Attempt*>(request->data));
    if (!own->owner) return;
    const HandleCountPtr handles = own->owner->handles_;
    handles->guard([&] { own->owner->attempt_done(*own, code); });
  };
  const int code = uv_tcp_connect(&attempt->request, &attempt->socket->tcp, &attempt->address.any, on_connect);
  if (code == 0) {
    under_way_.push_back(attempt);
    return true;
  }
  delete attempt;
  note_failure(address, code);
  return false;
}

void TcpConnect::set_timer() {
  int64_t at_ms = give_up_at_ms_;
  if (next_ < addresses_.size()) {
    int64_t next_ms = next_at_ms_;
    if (under_way_.size() == kConnectsAtOnce) next_ms = std::max(next_ms, under_way_.front()->since_ms + share_ms_);
    at_ms = std::min(at_ms, next_ms);
  }
  timer_.start(std::max<int64_t>(0, at_ms - loop_now_ms(loop_)));
}

void TcpConnect::attempt_done(Attempt& attempt, int code) {
  std::erase(under_way_, &attempt);
  if (code != 0) {
    attempt.socket.reset();
    note_failure(attempt.address, code);
    next_at_ms_ = loop_now_ms(loop_);
    return go_on();
  }
  timer_.stop();
  uv_tcp_nodelay(&attempt.socket->tcp, 1);
  while (!under_way_.empty()) give_up_oldest(UV_ECANCELED);
  const DoneFn done = on_done_;  // it may destroy us
  done({}, std::move(attempt.socket), attempt.address);
}

void TcpConnect::fail() {
  timer_.stop();
  NetError error = net_error(NetErrorKind::kConnect, "no connection to " + name_ + " (" + failures_ + ")");
  if (loop_now_ms(loop_) >= give_up_at_ms_)
    error = {NetErrorKind::kTimeout, NetPhase::kConnect,
             "no connection to " + name_ + " within " + std::to_string(deadline_ms_) + " ms (" +
                 failures_ + ")"};
  const DoneFn done = on_done_;
  done(std::move(error), nullptr, Address());
}

}  // namespace hf
