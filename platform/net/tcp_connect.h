// A TCP connection to the first of some addresses that accepts one.
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

// One attempt to connect. Owned and used on the loop's thread; destroying it gives up.
// Each address has its share of the time that is left, so that one that drops packets does not
// starve the ones behind it.
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
  void try_next();
  void attempt_done(Attempt& attempt, int code);
  void attempt_failed(int code);
  void give_up_attempt();

  uv_loop_t* const loop_;
  const HandleCountPtr handles_;
  const std::string name_;
  const std::vector<Address> addresses_;
  const int64_t deadline_ms_;
  const int64_t give_up_at_ms_;
  const DoneFn on_done_;
  size_t next_ = 0;
  std::string failures_;  // "192.0.2.1: connection refused; ..."
  Attempt* attempt_ = nullptr;  // frees itself in its callback
  LoopTimer timer_;
};

}  // namespace hf
