#include "tls_fixture.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <signal.h>
#include <spawn.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

extern char** environ;

namespace hf::test {
namespace {

pid_t spawn(const std::vector<std::string>& arguments, int output) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  pid_t pid = -1;
  const int code = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE_MESSAGE(code == 0, arguments[0]);
  return pid;
}

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

int kernel_random(void*, unsigned char* out, size_t size) {
  return getrandom(out, size, 0) == static_cast<ssize_t>(size) ? 0 : -1;
}

}  // namespace

bool run(const std::vector<std::string>& arguments, const std::string& output) {
  const int fd = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const pid_t pid = spawn(arguments, fd);
  close(fd);
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// ---- certificates

TestCa::TestCa(const std::string& name, const char* from, const char* to) : cert_(folder_ / "ca.pem") {
  // `openssl ca` alone lets the dates be chosen (version 3.0).
  write_file(folder_ / "ca.conf",
             "[ca]\ndefault_ca = a\n[a]\nnew_certs_dir = " + folder_.path() + "\ndatabase = " + (folder_ / "index") +
                 "\nrand_serial = yes\ndefault_md = sha256\npolicy = p\nunique_subject = no\n"
                 "[p]\ncommonName = supplied\n[req]\ndistinguished_name = d\n[d]\n"
                 "[root]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n"
                 "[leaf]\nbasicConstraints = CA:FALSE\n");
  write_file(folder_ / "index", "");
  const std::string log = folder_ / "log";
  REQUIRE(run({"openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config",
               folder_ / "ca.conf", "-subj", "/CN=" + name, "-keyout", folder_ / "ca.key", "-out", folder_ / "ca.csr"},
              log));
  const bool made = run({"openssl", "ca", "-batch", "-selfsign", "-config", folder_ / "ca.conf", "-extensions", "root",
                         "-startdate", from, "-enddate", to, "-notext", "-keyfile", folder_ / "ca.key", "-in",
                         folder_ / "ca.csr", "-out", cert_},
                        log);
  REQUIRE_MESSAGE(made, read_file(log));
}

TestCa::Pair TestCa::issue(const std::string& common_name, const std::string& san, const char* from,
                           const char* to) {
  const std::string base = folder_ / std::to_string(++count_);
  const std::string log = folder_ / "log";
  write_file(base + ".ext", "[leaf]\nbasicConstraints = CA:FALSE\n" +
                                (san.empty() ? std::string() : "subjectAltName = " + san + "\n"));
  REQUIRE(run({"openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config",
               folder_ / "ca.conf", "-subj", "/CN=" + common_name, "-keyout", base + ".key", "-out", base + ".csr"},
              log));
  const bool made = run({"openssl", "ca", "-batch", "-config", folder_ / "ca.conf", "-extfile", base + ".ext",
                         "-extensions", "leaf", "-startdate", from, "-enddate", to, "-notext", "-cert", cert_, "-keyfile",
                         folder_ / "ca.key", "-in", base + ".csr", "-out", base + ".pem"},
                        log);
  REQUIRE_MESSAGE(made, read_file(log));
  return {base + ".pem", base + ".key"};
}

TestCa::Pair TestCa::self_signed(const std::string& common_name) {
  const std::string base = folder_ / std::to_string(++count_);
  REQUIRE(run({"openssl", "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-subj", "/CN=" + common_name, "-addext", "subjectAltName=DNS:" + common_name, "-keyout", base + ".key",
               "-out", base + ".pem", "-days", "3650"},
              folder_ / "log"));
  return {base + ".pem", base + ".key"};
}

// ---- a client

TlsWorld& tls_world() {
  static TlsWorld world;
  return world;
}

namespace {

HttpClientOptions options_of(TlsSetup* setup) {
  HttpClientOptions options;
  options.cert_clock = [setup] { return setup->clock; };
  options.resolver.lookup = [](const std::string&, std::vector<Address>* out) {
    out->push_back(*parse_ip("127.0.0.1", 0));
    return 0;
  };
  return options;
}

}  // namespace

TlsSetup::TlsSetup() : client(loop.uv(), options_of(this)) { config.ca_file = tls_world().ca.file(); }
TlsSetup::~TlsSetup() { shut(loop, client); }

HttpRequest TlsSetup::request(uint16_t port, const std::string& host) {
  HttpRequest request = request_to(*parse_url("https://" + host + ":" + std::to_string(port) + "/"));
  const auto id = client.add_tls(config);
  REQUIRE(id.ok());
  request.tls = *id;
  return request;
}

HttpResult TlsSetup::get(uint16_t port, const std::string& host) { return fetch(loop, client, request(port, host)); }

void check_error(const HttpResult& result, NetErrorKind kind, const std::string& text) {
  CHECK_MESSAGE(std::string(net_error_name(result.error.kind)) == std::string(net_error_name(kind)), result.error.message);
  CHECK_MESSAGE(result.error.message.find(text) != std::string::npos, result.error.message);
}

// ---- openssl s_server

OpensslServer::OpensslServer(const TestCa::Pair& pair, const std::vector<std::string>& options) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  output_ = ends[0];
  std::vector<std::string> arguments = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-www",
                                        "-cert", pair.cert, "-key", pair.key};
  arguments.insert(arguments.end(), options.begin(), options.end());
  pid_ = spawn(arguments, ends[1]);
  close(ends[1]);
  std::string text;  // "ACCEPT 127.0.0.1:40863\n"
  char byte;
  while (text.find("ACCEPT 127.0.0.1:") == std::string::npos || text.back() != '\n') {
    REQUIRE_MESSAGE(read(output_, &byte, 1) == 1, text);
    text += byte;
  }
  port_ = static_cast<uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
}

OpensslServer::~OpensslServer() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(output_);
}

// ---- the server's side on the test's loop

struct TlsPeer::Settings {
  mbedtls_ssl_config config;
  mbedtls_x509_crt cert;
  mbedtls_pk_context key;
  std::string protocol;
  const char* protocols[2];
};

struct TlsPeer::Client::Ssl {
  mbedtls_ssl_context context;
  Peer::Client* wire;
  bool ready = false;
  Ssl() { mbedtls_ssl_init(&context); }
  ~Ssl() { mbedtls_ssl_free(&context); }
};

TlsPeer::TlsPeer(TestLoop& loop, const TestCa::Pair& pair, Script on_bytes, std::string protocol)
    : settings_(std::make_unique<Settings>()), on_bytes_(std::move(on_bytes)) {
  REQUIRE(psa_crypto_init() == PSA_SUCCESS);
  mbedtls_ssl_config_init(&settings_->config);
  mbedtls_x509_crt_init(&settings_->cert);
  mbedtls_pk_init(&settings_->key);
  REQUIRE(mbedtls_x509_crt_parse_file(&settings_->cert, pair.cert.c_str()) == 0);
  REQUIRE(mbedtls_pk_parse_keyfile(&settings_->key, pair.key.c_str(), nullptr, kernel_random, nullptr) == 0);
  REQUIRE(mbedtls_ssl_config_defaults(&settings_->config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT) == 0);
  mbedtls_ssl_conf_rng(&settings_->config, kernel_random, nullptr);
  REQUIRE(mbedtls_ssl_conf_own_cert(&settings_->config, &settings_->cert, &settings_->key) == 0);
  settings_->protocol = std::move(protocol);
  settings_->protocols[0] = settings_->protocol.c_str();
  settings_->protocols[1] = nullptr;
  if (!settings_->protocol.empty()) REQUIRE(mbedtls_ssl_conf_alpn_protocols(&settings_->config, settings_->protocols) == 0);
  peer_ = std::make_unique<Peer>(loop, [this](Peer::Client& wire) { on_wire(wire); });
}

TlsPeer::~TlsPeer() {
  peer_.reset();
  clients_.clear();
  mbedtls_ssl_config_free(&settings_->config);
  mbedtls_x509_crt_free(&settings_->cert);
  mbedtls_pk_free(&settings_->key);
}

void TlsPeer::on_wire(Peer::Client& wire) {
  if (!wire.user) {
    clients_.push_back(std::make_unique<Client>());
    Client& made = *clients_.back();
    made.ssl_ = std::make_shared<Client::Ssl>();
    made.ssl_->wire = &wire;
    wire.user = &made;
    REQUIRE(mbedtls_ssl_setup(&made.ssl_->context, &settings_->config) == 0);
    mbedtls_ssl_set_bio(
        &made.ssl_->context, &wire,
        [](void* to, const unsigned char* bytes, size_t size) {
          static_cast<Peer::Client*>(to)->say({reinterpret_cast<const char*>(bytes), size});
          return static_cast<int>(size);
        },
        [](void* from, unsigned char* out, size_t max) {
          auto* client = static_cast<Peer::Client*>(from);
          const size_t size = std::min(max, client->got.size());
          if (size == 0) return client->gone ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
          std::memcpy(out, client->got.data(), size);
          client->got.erase(0, size);
          return static_cast<int>(size);
        },
        nullptr);
  }
  Client& client = *static_cast<Client*>(wire.user);
  Client::Ssl& ssl = *client.ssl_;
  if (!ssl.ready && !(ssl.ready = mbedtls_ssl_handshake(&ssl.context) == 0)) return;
  char buffer[4096];
  for (;;) {
    const int size = mbedtls_ssl_read(&ssl.context, reinterpret_cast<unsigned char*>(buffer), sizeof buffer);
    if (size <= 0) return;
    client.got.append(buffer, static_cast<size_t>(size));
    on_bytes_(client);
  }
}

void TlsPeer::Client::say(const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const int code = mbedtls_ssl_write(&ssl_->context, reinterpret_cast<const unsigned char*>(bytes.data()) + at,
                                       bytes.size() - at);
    REQUIRE(code > 0);
    at += static_cast<size_t>(code);
  }
}

void TlsPeer::Client::finish() {
  mbedtls_ssl_close_notify(&ssl_->context);
  ssl_->wire->finish();
}

void TlsPeer::Client::cut() { ssl_->wire->finish(); }

}  // namespace hf::test
