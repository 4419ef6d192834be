// The way to a server: name lookup, the check of its addresses, connection, the proxy if there is one, TLS.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "platform/net/dns.h"
#include "platform/net/proxy_tunnel.h"
#include "platform/net/stream.h"
#include "platform/net/tls_store.h"

namespace hf {

// A server, and how it is gone to: what two requests must share to share a connection. allow_private is part of it: a connection
// that one request may use is not for another one that may not go to such an address.
struct Origin {
  bool under_tls = false;
  std::string host;
  uint16_t port = 0;
  bool host_is_ip = false;
  TlsConfigId tls = kTlsSystem;
  bool allow_private = false;
  std::shared_ptr<const HttpProxy> proxy = {};
  bool server_speaks_first = false;  // and under TLS only later: from one that does not, a word before ours is an error

  bool operator==(const Origin&) const = default;
  std::string name() const;  // "ingest.example:443"
};

// What connections use of their client, which outlives them.
struct HttpNet {
  uv_loop_t* loop;
  HandleCountPtr handles;
  std::unique_ptr<Resolver> resolver;
  std::unique_ptr<TlsStore> tls;
  std::function<CertClock()> cert_clock;
  ReadBuffer buffer;
};

// What a Dial has come to.
struct Way {
  TcpSocketPtr socket;
  std::unique_ptr<TlsSession> tls;  // has not begun; nullptr without TLS
  std::string said;                 // by a server that speaks first: what came along with the proxy's answer
};

// One attempt. Owned and used on the loop's thread; in each of its callbacks it may be closed, but not destroyed. The address that
// was checked is the one that is connected to.
class Dial {
 public:
  // kConnect, kProxy and kTls, as each begins; it starts with kDns, which is not told.
  using PhaseFn = std::function<void(NetPhase phase)>;
  // `error`, or the way. Called once, never within the constructor.
  using DoneFn = std::function<void(NetError error, Way way)>;

  // `net` outlives it. The deadlines of lookup and connect are kept here, those of proxy and TLS by the owner: the reading of
  // certificate files has none.
  Dial(HttpNet& net, Origin origin, const HttpDeadlines& deadlines, PhaseFn on_phase, DoneFn on_done);
  ~Dial() { close(); }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  void close();                       // gives up; no callback follows
  bool over() const { return over_; }  // closed, or on_done was called

 private:
  bool enter(NetPhase phase);
  Resolved allowed(Resolved result) const;
  void resolved(Resolved result);
  void connected(NetError error, TcpSocketPtr socket);
  void led_through(NetError error, TcpSocketPtr socket, std::string said);
  void fail(NetError error);
  void done(std::unique_ptr<TlsSession> tls);

  HttpNet& net_;
  const Origin origin_;
  const std::string name_;
  const int64_t connect_ms_;
  const PhaseFn on_phase_;
  const DoneFn on_done_;
  NetPhase phase_ = NetPhase::kDns;
  bool over_ = false;
  Resolver::LookupId lookup_ = 0;
  std::unique_ptr<TcpConnect> connect_;
  std::unique_ptr<ProxyTunnel> tunnel_;  // kept to the end: it must not go within its callback
  TlsStore::TicketId ticket_ = 0;
  // While the TLS context is loaded.
  TcpSocketPtr socket_;
  std::string said_;
};

}  // namespace hf
