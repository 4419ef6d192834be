#include "platform/net/tls_context.h"

#include <dirent.h>
#include <fcntl.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/descriptor.h"
#include "platform/net/tls_words.h"
#include "platform/secret.h"

#if !defined(MBEDTLS_THREADING_C)
#error "Mbed TLS must be built with MBEDTLS_THREADING_C: engines have a loop thread each, PSA is one a process"
#endif

namespace hf {
namespace {

// Where distributions keep the bundle: Debian, Fedora, SUSE, Alpine and OpenWrt, newer Fedora.
constexpr const char* kSystemBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"};

// The first is the one of which a key is sent along. Mbed TLS takes two thirds of the time of X25519 for P-256, which every server has, too.
constexpr uint16_t kGroups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
                                MBEDTLS_SSL_IANA_TLS_GROUP_NONE};

// mbedTLS's form of a generator. The kernel's needs no seed, no state and no lock.
int kernel_random(void*, unsigned char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = getrandom(out, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    out += got;
    size -= static_cast<size_t>(got);
  }
  return 0;
}

// Early at boot getrandom may wait for minutes; this is asked first, so that nothing here does.
Status random_is_ready() {
  unsigned char byte;
  if (getrandom(&byte, 1, GRND_NONBLOCK) == 1) return ok_status();
  return Error{HF_E_BUSY, "the system's random source is not ready yet"};
}

std::string reason(int code) {
  char text[128] = "";
  mbedtls_strerror(code, text, sizeof text);
  return text;
}

Error system_error(const std::string& path) {
  return {HF_E_IO, "cannot read " + path + ": " + std::strerror(errno)};
}

int64_t mtime_ns(const struct stat& st) {
  return int64_t{st.st_mtim.tv_sec} * 1000000000 + st.st_mtim.tv_nsec;
}

// "5ed36f99.0": the links that c_rehash makes. A folder with such links names each file twice.
bool is_hash_link(const std::string& name) {
  return name.size() >= 10 && name[8] == '.' &&
         std::all_of(name.begin(), name.begin() + 8, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)); }) &&
         std::all_of(name.begin() + 9, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool has_suffix(const std::string& name, std::string_view suffix) {
  return name.size() > suffix.size() && std::string_view(name).substr(name.size() - suffix.size()) == suffix;
}

int64_t first_end_ms(const mbedtls_x509_crt& chain) {
  int64_t first = 0;
  for (const mbedtls_x509_crt* it = &chain; it && it->raw.p; it = it->next) {
    const int64_t end = cert_time_ms(it->valid_to);
    if (first == 0 || end < first) first = end;
  }
  return first;
}

}  // namespace

struct TlsContext::Parsed {
  mbedtls_ssl_config settings;
  mbedtls_x509_crt ca, own;
  mbedtls_pk_context key;

  Parsed() {
    mbedtls_ssl_config_init(&settings);
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&own);
    mbedtls_pk_init(&key);
  }
  ~Parsed() {
    mbedtls_ssl_config_free(&settings);
    mbedtls_x509_crt_free(&ca);
    mbedtls_x509_crt_free(&own);
    mbedtls_pk_free(&key);
  }
};

struct TlsContext::Session {
  mbedtls_ssl_session session;
  CertCheck::Validity validity;
  uint64_t age = 0;  // counts up; the least is the oldest

  Session() { mbedtls_ssl_session_init(&session); }
  ~Session() { mbedtls_ssl_session_free(&session); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

TlsContext::TlsContext() : parsed_(std::make_unique<Parsed>()) {}
TlsContext::~TlsContext() = default;

const mbedtls_ssl_config* TlsContext::settings() const { return &parsed_->settings; }

// `secret`: `name` is as of open_secret(), else a path.
Result<std::string> TlsContext::read(const std::string& name, size_t max_bytes, bool secret) {
  Descriptor file;
  std::string path = name;
  if (secret) {
    Result<SecretFile> opened = open_secret(name);
    if (!opened) return opened.error();
    file = std::move(opened->file);
    path = opened->path;
  } else {
    file = Descriptor{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  }
  struct stat st;
  if (file.fd < 0 || fstat(file.fd, &st) != 0) return system_error(path);
  if (!S_ISREG(st.st_mode)) return Error{HF_E_INVALID, path + " is not a file"};
  if (st.st_size > static_cast<off_t>(max_bytes))
    return Error{HF_E_TOO_LARGE, path + " is longer than " + std::to_string(max_bytes) + " bytes"};
  stamps_.push_back({path, mtime_ns(st), st.st_size, st.st_ino});
  std::string text(static_cast<size_t>(st.st_size), '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  return text;
}

bool TlsContext::files_changed() const {
  for (const Stamp& stamp : stamps_) {
    struct stat st;
    if (stat(stamp.path.c_str(), &st) != 0) return true;
    if (mtime_ns(st) != stamp.mtime_ns || st.st_size != stamp.size || st.st_ino != stamp.inode) return true;
  }
  return false;
}

// ---- certificates of authorities

Status TlsContext::load_ca_file(const std::string& path, size_t* bytes_left) {
  auto text = read(path, *bytes_left, false);
  if (!text) return text.error();
  *bytes_left -= text->size();
  // Length with the NUL: PEM. A positive result counts certificates that mbedTLS does not understand, as a
  // system's bundle may have.
  const int code = mbedtls_x509_crt_parse(&parsed_->ca, reinterpret_cast<const unsigned char*>(text->c_str()),
                                          text->size() + 1);
  if (code < 0) return Error{HF_E_INVALID, path + " holds no certificate that can be read: " + reason(code)};
  return ok_status();
}

Status TlsContext::load_ca_dir(const std::string& path) {
  DIR* dir = opendir(path.c_str());
  if (!dir) return system_error(path);
  std::vector<std::string> links, files;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (is_hash_link(name)) links.push_back(name);
    if (has_suffix(name, ".pem") || has_suffix(name, ".crt") || has_suffix(name, ".cer")) files.push_back(name);
  }
  closedir(dir);
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return system_error(path);
  std::vector<std::string>& names = links.empty() ? files : links;
  if (names.size() > kCaFilesMax)
    return Error{HF_E_TOO_LARGE, path + " has more than " + std::to_string(kCaFilesMax) + " certificate files"};
  std::sort(names.begin(), names.end());
  size_t bytes_left = kCaBytesMax;
  size_t read_well = 0;
  Status last = Error{HF_E_INVALID, path + " has no file *.pem, *.crt or *.cer"};
  for (const std::string& name : names) {
    last = load_ca_file(path + "/" + name, &bytes_left);
    if (last) ++read_well;
  }
  if (read_well == 0) return last;
  stamps_.push_back({path, mtime_ns(st), st.st_size, st.st_ino});
  return ok_status();
}

Status TlsContext::load_ca(const TlsConfig& config) {
  if (!config.ca_dir.empty()) HF_TRY(load_ca_dir(config.ca_dir));
  size_t bytes_left = kCaBytesMax;
  if (!config.ca_file.empty()) return load_ca_file(config.ca_file, &bytes_left);
  if (!config.ca_dir.empty()) return ok_status();
  for (const char* path : kSystemBundles)
    if (access(path, R_OK) == 0) return load_ca_file(path, &bytes_left);
  return Error{HF_E_IO, std::string("this system has no bundle of CA certificates (") + kSystemBundles[0] +
                            " and the like); install ca-certificates or name a CA file"};
}

// ---- our own certificate

Status TlsContext::load_identity(const TlsConfig& config) {
  if (config.cert_file.empty() && config.key_file.empty()) return ok_status();
  if (config.cert_file.empty() || config.key_file.empty())
    return Error{HF_E_INVALID, "a client certificate needs both a certificate and a key file"};
  auto cert = read(config.cert_file, kCertBytesMax, config.cert_file.starts_with(kCredentialPrefix));
  if (!cert) return cert.error();
  int code = mbedtls_x509_crt_parse(&parsed_->own, reinterpret_cast<const unsigned char*>(cert->c_str()),
                                    cert->size() + 1);
  if (code != 0) return Error{HF_E_INVALID, config.cert_file + " is no certificate: " + reason(code)};
  auto key = read(config.key_file, kCertBytesMax, true);
  if (!key) return key.error();
  code = mbedtls_pk_parse_key(&parsed_->key, reinterpret_cast<const unsigned char*>(key->c_str()),
                              key->size() + 1, nullptr, 0, kernel_random, nullptr);
  mbedtls_platform_zeroize(key->data(), key->size());
  if (code != 0) return Error{HF_E_INVALID, config.key_file + " is no private key: " + reason(code)};
  if (mbedtls_pk_check_pair(&parsed_->own.pk, &parsed_->key, kernel_random, nullptr) != 0)
    return Error{HF_E_INVALID, config.key_file + " is not the key of " + config.cert_file};
  code = mbedtls_ssl_conf_own_cert(&parsed_->settings, &parsed_->own, &parsed_->key);
  if (code != 0) return Error{HF_E_NO_MEMORY, "the client certificate cannot be used: " + reason(code)};
  return ok_status();
}

// A version for which there is no suite is not offered.
Status TlsContext::apply_versions(const TlsConfig& config) {
  bool has_1_2 = false, has_1_3 = false;
  const auto add = [&](const TlsSuite& suite) {
    suites_.push_back(suite.number);
    (suite.version == TlsVersion::v1_3 ? has_1_3 : has_1_2) = true;
  };
  if (config.suites.empty())
    for (const TlsSuite& suite : tls_suites()) add(suite);
  for (const int number : config.suites) {
    const TlsSuite* suite = find_tls_suite(number);
    if (suite == nullptr) return Error{HF_E_INVALID, "the cipher suite " + std::to_string(number) + " is not known"};
    add(*suite);
  }
  suites_.push_back(0);
  if (config.min_version == TlsVersion::v1_3) has_1_2 = false;
  if (!has_1_2 && !has_1_3) return Error{HF_E_INVALID, "none of the cipher suites is for TLS 1.3"};
  mbedtls_ssl_config* settings = &parsed_->settings;
  mbedtls_ssl_conf_ciphersuites(settings, suites_.data());
  mbedtls_ssl_conf_min_tls_version(settings, has_1_2 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3);
  mbedtls_ssl_conf_max_tls_version(settings, has_1_3 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
  return ok_status();
}

// What is spoken over it, RFC 7301. A server that chooses something else ends the handshake.
Status TlsContext::apply_alpn(const TlsConfig& config) {
  alpn_ = config.alpn;
  if (alpn_.empty() && config.speaks_http) alpn_.emplace_back(kAlpnHttp);
  if (alpn_.empty()) return ok_status();
  for (const std::string& name : alpn_) alpn_list_.push_back(name.c_str());
  alpn_list_.push_back(nullptr);
  if (mbedtls_ssl_conf_alpn_protocols(&parsed_->settings, alpn_list_.data()) != 0)
    return Error{HF_E_INVALID, "these names of protocols cannot be offered by ALPN"};
  return ok_status();
}

Status TlsContext::apply(const TlsConfig& config) {
  mbedtls_ssl_config* settings = &parsed_->settings;
  const int code = mbedtls_ssl_config_defaults(settings, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                               MBEDTLS_SSL_PRESET_DEFAULT);
  if (code != 0) return Error{HF_E_NO_MEMORY, "TLS cannot be set up: " + reason(code)};
  mbedtls_ssl_conf_rng(settings, kernel_random, nullptr);
  HF_TRY(apply_versions(config));
  mbedtls_ssl_conf_groups(settings, kGroups);
  HF_TRY(apply_alpn(config));
  mbedtls_ssl_conf_session_tickets(settings, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
#if defined(MBEDTLS_SSL_SESSION_TICKETS) && MBEDTLS_VERSION_NUMBER < 0x04000000
  mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
      settings, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
  verifies_ = !config.dangerously_skip_verification;
  pins_ = config.pins;
  mbedtls_ssl_conf_authmode(settings,
                            verifies_ ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_OPTIONAL);
  if (verifies_) {
    HF_TRY(load_ca(config));
    mbedtls_ssl_conf_ca_chain(settings, &parsed_->ca, nullptr);
  }
  HF_TRY(load_identity(config));
  file_ends_[kClientCert] = first_end_ms(parsed_->own);
  // The system's bundle has authorities that end at any time, and others that take their place.
  if (!config.ca_file.empty() || !config.ca_dir.empty()) file_ends_[kCaCert] = first_end_ms(parsed_->ca);
  return ok_status();
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(const TlsConfig& config) {
  HF_TRY(random_is_ready());
  // Seeds PSA's generator from the kernel; repeated calls do nothing, and mbedTLS guards them.
  if (psa_crypto_init() != PSA_SUCCESS) return Error{HF_E_NO_MEMORY, "the cryptography library does not start"};
  std::shared_ptr<TlsContext> context(new TlsContext);
  HF_TRY(context->apply(config));
  return context;
}

// ---- when certificates end

CertEnds TlsContext::cert_ends(const std::string& peer) const {
  CertEnds ends = file_ends_;
  const auto it = server_ends_.find(peer);
  if (it != server_ends_.end()) ends[kServerCert] = it->second;
  return ends;
}

void TlsContext::saw_server(const std::string& peer, int64_t end_ms) {
  if (server_ends_.size() >= kServersKept && !server_ends_.contains(peer)) server_ends_.erase(server_ends_.begin());
  server_ends_[peer] = end_ms;
}

// ---- sessions

void TlsContext::resume(const std::string& peer, int64_t wall_ms, mbedtls_ssl_context* ssl) const {
  const auto it = sessions_.find(peer);
  if (it == sessions_.end() || !it->second.validity.contains(wall_ms)) return;
  mbedtls_ssl_set_session(ssl, &it->second.session);  // if it fails: a full handshake
}

void TlsContext::keep_session(const std::string& peer, const CertCheck::Validity* validity,
                              const mbedtls_ssl_context* ssl) {
  const auto before = sessions_.find(peer);
  if (!validity && before == sessions_.end()) return;
  const CertCheck::Validity valid = validity ? *validity : before->second.validity;
  forget_session(peer);
  if (sessions_.size() >= kSessionsKept)
    sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(), [](const auto& a, const auto& b) {
      return a.second.age < b.second.age;
    }));
  Session& kept = sessions_[peer];
  kept.age = ++session_count_;
  kept.validity = valid;
  if (mbedtls_ssl_get_session(ssl, &kept.session) != 0) forget_session(peer);
}

void TlsContext::forget_session(const std::string& peer) { sessions_.erase(peer); }

}  // namespace hf
