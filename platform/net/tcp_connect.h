// A TCP connection to one of some addresses: the first that accepts it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "platform/net/address.h"
#include "platform/net/loop_handles.h"
#include "platform/net/net_error.h"

namespace hf {

// A uv_tcp_t in a block of its own. Made and used on the loop's thread; whoever holds the pointer
// closes it once, and it frees itself in the loop.
struct TcpSocket {
  uv_tcp_t tcp;
  void* owner = nullptr;  // for the callbacks of whoever holds it
  HandleCountPtr handles;

  static TcpSocket* open(uv_loop_t* loop, HandleCountPtr handles);
  void close();
  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&tcp); }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp); }
};
struct TcpSocketCloser {
  void operator()(TcpSocket* socket) const { socket->close(); }
};
using TcpSocketPtr = std::unique_ptr<TcpSocket, TcpSocketCloser>;

inline constexpr size_t kConnectsAtOnce = 4;   // sockets of one TcpConnect
inline constexpr int64_t kConnectStaggerMs = 250;  // RFC 8305, 5: Connection Attempt Delay

// In turns of the two families, beginning with that of the first; the order within a family stays (RFC 8305, 4).
std::vector<Address> in_turns(std::vector<Address> addresses);

// Happy eyeballs (RFC 8305, 5): addresses are tried in_turns(), the next one when the one before has failed or has said nothing for
// kConnectStaggerMs, at most kConnectsAtOnce at the same time; the first that accepts is taken, the others are closed. Where there are
// more addresses than that, the oldest attempt makes room after its share of the time, so that those that drop packets do not
// starve the ones behind them.
//
// Owned and used on the loop's thread; destroying it gives up.
class TcpConnect {
 public:
  // `error` or `socket`. Called once, never within the constructor.
  using DoneFn = std::function<void(NetError error, TcpSocketPtr socket, const Address& address)>;

  // `name` ("ingest.example:443") is for messages. REQUIRES: addresses is not empty.
  TcpConnect(uv_loop_t* loop, HandleCountPtr handles, std::string name,
             std::vector<Address> addresses, int64_t deadline_ms, DoneFn on_done);
  ~TcpConnect();

 private:
  struct Attempt;
  void go_on();
  bool begin_next();
  void attempt_done(Attempt& attempt, int code);
  void give_up_oldest(int code);
  void note_failure(const Address& address, int code);
  void set_timer();
  void fail();

  uv_loop_t* const loop_;
  const HandleCountPtr handles_;
  const std::string name_;
  const std::vector<Address> addresses_;
  const int64_t deadline_ms_;
  const int64_t give_up_at_ms_;
  const int64_t stagger_ms_, share_ms_;
  const DoneFn on_done_;
  size_t next_ = 0;
  int64_t next_at_ms_ = 0;           // when addresses_[next_] is due
  std::vector<Attempt*> under_way_;  // the oldest first; each frees itself in its callback
  std::string failures_;             // "192.0.2.1: connection refused; ..."
  LoopTimer timer_;
};

}  // namespace hf
