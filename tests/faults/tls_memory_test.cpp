// Every allocation of mbedTLS and libuv in an HTTPS request fails, once and from then on: no certificate is accepted that
// should not be, nothing leaks, and the next request is served.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "platform/net/tls_context.h"
#include "tls_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

thread_local bool active = false;
thread_local bool from_then_on = false;
thread_local uint64_t count = 0, fails_at = 0;

bool refuse() {
  if (!active) return false;
  ++count;
  return fails_at != 0 && (count == fails_at || (from_then_on && count > fails_at));
}

}  // namespace

extern "C" {
void* __real_malloc(size_t n);
void* __real_calloc(size_t n, size_t size);
void* __real_realloc(void* p, size_t n);
void* __wrap_malloc(size_t n) { return refuse() ? nullptr : __real_malloc(n); }
void* __wrap_calloc(size_t n, size_t size) { return refuse() ? nullptr : __real_calloc(n, size); }
void* __wrap_realloc(void* p, size_t n) { return refuse() ? nullptr : __real_realloc(p, n); }
}

namespace {

// The n-th allocation of this thread in its life fails (n = 0: none), and with `on` all that follow.
class Failing {
 public:
  Failing(uint64_t n, bool on) {
    count = 0;
    fails_at = n;
    from_then_on = on;
    active = true;
  }
  ~Failing() { active = false; }
  Failing(const Failing&) = delete;
  Failing& operator=(const Failing&) = delete;
};

// libuv ends the process when the table of what it watches cannot grow, which it does with the largest descriptor. Here
// it has grown before.
void grow_watchers(TestLoop& loop) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const int high = fcntl(ends[0], F_DUPFD_CLOEXEC, 200);
  uv_poll_t watcher;
  REQUIRE(uv_poll_init(loop.uv(), &watcher, high) == 0);
  REQUIRE(uv_poll_start(&watcher, UV_READABLE, [](uv_poll_t*, int, int) {}) == 0);
  uv_close(reinterpret_cast<uv_handle_t*>(&watcher), nullptr);
  uv_run(loop.uv(), UV_RUN_NOWAIT);
  for (int fd : {high, ends[0], ends[1]}) close(fd);
}

// One client, one request.
struct Attempt {
  TestLoop loop;
  HttpClient client;
  TlsConfig config;

  static HttpClientOptions options() {
    HttpClientOptions o;
    o.cert_clock = [] { return CertClock{true, kWithinMs}; };
    o.resolver.lookup = [](const std::string&, std::vector<Address>* out) {
      out->push_back(*parse_ip("127.0.0.1", 0));
      return 0;
    };
    return o;
  }
  explicit Attempt(const std::string& ca_file) : client(loop.uv(), options()) {
    config.ca_file = ca_file;
    grow_watchers(loop);
  }
  ~Attempt() { shut(loop, client); }

  // Empty if it was answered, else why not.
  std::string get(uint16_t port, uint64_t n, bool on) {
    Failing failing(n, on);
    const auto id = client.add_tls(config);
    if (!id.ok()) return id.error().message.empty() ? "no reason" : id.error().message;
    HttpRequest request = request_to(*parse_url("https://ingest.example:" + std::to_string(port) + "/"));
    request.tls = *id;
    const HttpResult r = fetch(loop, client, request);
    if (r.ok()) return "";
    CHECK_FALSE(r.error.message.empty());
    return "error: " + r.error.message;
  }
};

}  // namespace

TEST_CASE("tls: each allocation of the libraries in a request fails") {
  TestCa ca("Test Root"), stranger("Stranger");
  struct Server {
    const char* what;
    TestCa::Pair pair;
    bool good;
  };
  const Server servers[] = {
      {"good", ca.issue("ingest.example", "DNS:ingest.example"), true},
      {"of another authority", stranger.issue("ingest.example", "DNS:ingest.example"), false},
      {"of another name", ca.issue("other.example", "DNS:other.example"), false},
      {"expired", ca.issue("ingest.example", "DNS:ingest.example", "20250101000000Z", "20260102000000Z"), false},
      {"not yet valid", ca.issue("ingest.example", "DNS:ingest.example", "20980101000000Z", kTo), false},
  };
  const char* asked = std::getenv("HOLDFAST_FAULTS");
  const uint64_t share = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 0;  // places a certificate, about
  for (const char* version : {"-tls1_3", "-tls1_2"}) {
    for (const Server& certificate : servers) {
      CAPTURE(version);
      CAPTURE(certificate.what);
      OpensslServer server(certificate.pair, {version});
      uint64_t places = 0;
      {
        Attempt attempt(ca.file());
        CHECK(attempt.get(server.port(), 0, false).empty() == certificate.good);
        places = count;
      }
      REQUIRE(places > 100);
      const uint64_t step = std::max<uint64_t>(1, places / (share != 0 ? share : certificate.good ? 60 : 25));
      uint64_t tried = 0, answered = 0;
      for (bool on : {false, true}) {
        for (uint64_t n = 1; n <= places; n += step, ++tried) {
          CAPTURE(n);
          CAPTURE(on);
          Attempt attempt(ca.file());
          const std::string refused = attempt.get(server.port(), n, on);
          if (!certificate.good) CHECK_FALSE(refused.empty());
          answered += refused.empty();
          // With memory again the same client does as it should.
          const std::string then = attempt.get(server.port(), 0, false);
          CHECK_MESSAGE(then.empty() == certificate.good, then);
        }
      }
      std::printf("%s, certificate %s: %llu places, %llu tried, %llu answered all the same\n", version + 1, certificate.what,
                  static_cast<unsigned long long>(places), static_cast<unsigned long long>(tried), static_cast<unsigned long long>(answered));
    }
  }
}
