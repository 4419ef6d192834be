// The way to a server: name lookup, the check of its addresses, connection, TLS.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "platform/net/client_connection.h"

namespace hf {

struct DialTarget {
  std::string host;
  uint16_t port = 0;
  bool host_is_ip = false;
  bool under_tls = true;
  TlsConfigId tls = kTlsSystem;
  bool allow_private = false;
  std::string name;  // "broker.example:8883", for messages
};

// One attempt. Owned and used on the loop's thread; destroying it gives up. The address that was checked is the one that is
// connected to.
class Dial {
 public:
  // `error`, or a connected socket, under TLS with a session that has not begun. Called once, never within the constructor; it
  // may destroy the Dial.
  using DoneFn = std::function<void(NetError error, TcpSocketPtr socket, std::unique_ptr<TlsSession> tls)>;

  // `net` outlives it. The deadlines of lookup and connect are kept here; reading certificate files has none.
  Dial(HttpNet& net, DialTarget target, const HttpDeadlines& deadlines, DoneFn on_done);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  void resolved(Resolved result);
  void connected(NetError error, TcpSocketPtr socket);
  void fail(NetError error, NetPhase phase);
  void done(NetError error, TcpSocketPtr socket, std::unique_ptr<TlsSession> tls);

  HttpNet& net_;
  const DialTarget target_;
  const int64_t connect_ms_;
  const DoneFn on_done_;
  Resolver::LookupId lookup_ = 0;
  std::unique_ptr<TcpConnect> connect_;
  TlsStore::TicketId ticket_ = 0;
  TcpSocketPtr socket_;  // while the TLS context is loaded
};

}  // namespace hf
