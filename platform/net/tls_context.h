// The parsed half of a TlsConfig: certificates, key, and the settings that all its sessions share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "platform/net/tls_config.h"
#include "platform/net/tls_verify.h"

struct mbedtls_ssl_config;
struct mbedtls_ssl_context;

namespace hf {

inline constexpr size_t kCaBytesMax = 4 * 1024 * 1024;  // of a CA file, or of all files of a CA folder
inline constexpr size_t kCaFilesMax = 1000;             // files of a CA folder
inline constexpr size_t kCertBytesMax = 256 * 1024;     // of a certificate or key file
inline constexpr size_t kSessionsKept = 16;             // hosts whose last session is kept
inline constexpr const char* kAlpnHttp = "http/1.1";
inline constexpr size_t kServersKept = 64;              // hosts of whose certificates the end is known

// Loaded on a thread that may block, used from then on by one loop's thread. Shared by the store and the
// sessions. What the files say is constant; the sessions that are kept for resumption change.
class TlsContext {
 public:
  // Blocks. HF_E_IO, HF_E_INVALID, HF_E_DENIED (the key file is open to others), HF_E_NO_MEMORY,
  // HF_E_BUSY (at boot: the kernel's random source is not ready).
  static Result<std::shared_ptr<TlsContext>> load(const TlsConfig& config);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // Blocks; any thread. True if a file is not the one that was read.
  bool files_changed() const;

  const mbedtls_ssl_config* settings() const;
  bool verifies() const { return verifies_; }
  const std::vector<SpkiPin>& pins() const { return pins_; }
  bool offers_http() const { return alpn_.size() == 1 && alpn_[0] == kAlpnHttp; }

  // Of the files, and of what the server `peer` last sent. Loop's thread, or whose it is before.
  CertEnds cert_ends(const std::string& peer) const;
  // Loop's thread.
  void saw_server(const std::string& peer, int64_t end_ms);

  // Loop's thread. `peer` is "host:port".
  // Resumption skips the certificates, so a session is offered only while `wall_ms` is within the validity
  // of those it began with.
  void resume(const std::string& peer, int64_t wall_ms, mbedtls_ssl_context* ssl) const;
  // After a full handshake with `validity`; after a resumed one without: it keeps what the session had.
  void keep_session(const std::string& peer, const CertCheck::Validity* validity, const mbedtls_ssl_context* ssl);
  void forget_session(const std::string& peer);

 private:
  struct Parsed;   // of mbedTLS
  struct Session;  // of mbedTLS, with its age
  struct Stamp {
    std::string path;
    int64_t mtime_ns;
    int64_t size;
    uint64_t inode;
  };

  TlsContext();
  Status load_ca(const TlsConfig& config);
  Status load_ca_file(const std::string& path, size_t* bytes_left);
  Status load_ca_dir(const std::string& path);
  Status load_identity(const TlsConfig& config);
  Status apply(const TlsConfig& config);
  Status apply_versions(const TlsConfig& config);
  Status apply_alpn(const TlsConfig& config);
  Result<std::string> read(const std::string& name, size_t max_bytes, bool secret);

  std::unique_ptr<Parsed> parsed_;
  std::vector<Stamp> stamps_;
  bool verifies_ = true;
  std::vector<int> suites_;  // as mbedTLS wants them: 0 at the end
  std::vector<SpkiPin> pins_;
  std::vector<std::string> alpn_;
  std::vector<const char*> alpn_list_;  // as mbedTLS wants it, which keeps the address: nullptr at the end
  std::map<std::string, Session> sessions_;
  uint64_t session_count_ = 0;
  CertEnds file_ends_ = {};
  std::map<std::string, int64_t> server_ends_;  // at most kServersKept
};

}  // namespace hf
