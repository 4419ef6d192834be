// Host names to addresses, without ever blocking the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "platform/net/address.h"
#include "platform/net/blocking_pool.h"
#include "platform/net/net_error.h"

namespace hf {

inline constexpr size_t kAddressesMax = 8;       // addresses kept of one lookup
inline constexpr int64_t kDnsDeadlineMs = 10000;  // default of one lookup
inline constexpr int kDnsThreads = 2;
inline constexpr size_t kDnsWaitingMax = 64;

// What blocks: fills `out` (ports left 0) and returns 0, or an EAI_* code. Any thread. Injected by tests;
// by default getaddrinfo, in its order (RFC 6724).
using LookupFn = std::function<int(const std::string& host, std::vector<Address>* out)>;
LookupFn system_lookup();

struct ResolverOptions {
  LookupFn lookup = system_lookup();
  BlockingPoolOptions threads = {kDnsThreads, kDnsWaitingMax, 30000};
};

// `error` or at least one address.
struct Resolved {
  NetError error;
  std::vector<Address> addresses;
};

// Owned and used on the loop's thread. A lookup that hangs past its deadline keeps its thread; when every
// thread hangs, later lookups fail at once as busy instead of waiting for nothing.
class Resolver {
 public:
  using LookupId = uint64_t;  // never 0
  using ResolvedFn = std::function<void(Resolved)>;

  Resolver(uv_loop_t* loop, HandleCountPtr handles, ResolverOptions options);
  ~Resolver();  // on_done is not called any more
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls on_done once, never within this call. An IP literal takes no thread.
  LookupId resolve(const std::string& host, uint16_t port, int64_t deadline_ms, ResolvedFn on_done);
  void cancel(LookupId id);  // on_done is not called; an id that is done is allowed

  const BlockingPool& threads() const { return threads_; }

 private:
  struct Lookup;
  void finish(LookupId id, Resolved resolved);

  uv_loop_t* const loop_;
  const HandleCountPtr handles_;
  const LookupFn lookup_;
  BlockingPool threads_;
  std::map<LookupId, std::unique_ptr<Lookup>> lookups_;
  LookupId last_id_ = 0;
};

// Keeps the addresses that a request may go to: with `allow_private` all of them, else those of public
// scope. kRefused if none is left. `host` is for the message.
Resolved allowed_addresses(const std::string& host, std::vector<Address> addresses,
                           bool allow_private);

}  // namespace hf
