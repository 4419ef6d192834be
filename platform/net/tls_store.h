// The TLS configurations of a client by id, loaded off the loop and loaded again when their files change.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "platform/net/blocking_pool.h"
#include "platform/net/http_message.h"
#include "platform/net/tls_context.h"

namespace hf {

inline constexpr size_t kTlsConfigsMax = 64;

// Owned and used on the loop's thread. The files are looked at for each new connection (one stat a file,
// on the store's own thread), so that renewed certificates are used without a restart.
class TlsStore {
 public:
  using TicketId = uint64_t;
  // `context` is nullptr if there is an error.
  using ReadyFn = std::function<void(const std::string& error, std::shared_ptr<TlsContext> context)>;

  TlsStore(uv_loop_t* loop, HandleCountPtr handles);
  ~TlsStore();  // no ReadyFn is called any more

  // The same configuration has the same id; each add() wants its remove(). The files are not read yet.
  // HF_E_FULL beyond kTlsConfigsMax.
  Result<TlsConfigId> add(TlsConfig config);
  void remove(TlsConfigId id);

  // Calls `ready` once, never within this call, unless get() itself fails. When a reload fails the old context is given on, and
  // last_error() says why: a renewal writes two files, one after the other.
  Result<TicketId> get(TlsConfigId id, ReadyFn ready);
  void cancel(TicketId ticket);  // `ready` is not called; a ticket that is used is allowed

  CertEnds cert_ends(TlsConfigId id, const std::string& peer) const;
  std::string last_error(TlsConfigId id) const;  // of the last load; "" if it went well

 private:
  struct Entry;
  void loaded(TlsConfigId id, Result<std::shared_ptr<TlsContext>> result);

  BlockingPool thread_;
  std::map<TlsConfigId, std::unique_ptr<Entry>> entries_;
  TlsConfigId last_id_ = kTlsSystem;
  TicketId last_ticket_ = 0;
};

}  // namespace hf
