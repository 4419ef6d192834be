// Through a proxy by CONNECT, to servers without and with TLS; and what proxies answer that is no way through.
#include <doctest/doctest.h>

#include "platform/net/proxy_tunnel.h"
#include "tls_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Result<Secret> secret(std::string_view text) {
  Result<Secret> made = Secret::of(text.size());
  if (made) std::copy(text.begin(), text.end(), made->data());
  return made;
}

std::shared_ptr<const HttpProxy> proxy_at(uint16_t port, const char* login = nullptr) {
  HttpProxy proxy{"127.0.0.1", port, nullptr};
  if (login != nullptr) {
    Result<Secret> made = proxy_login(*secret(login));
    REQUIRE(made.ok());
    proxy.login = std::make_shared<const Secret>(std::move(*made));
  }
  return std::make_shared<const HttpProxy>(std::move(proxy));
}

// A proxy that does what it says: after "200" it is the server itself, which answers each request with 204.
Peer::Script proxy_and_server(std::string* heard, std::string says = "HTTP/1.1 200 Connection established\r\n\r\n") {
  return [heard, says](Peer::Client& c) {
    if (c.got.find("\r\n\r\n") == std::string::npos) return;
    *heard += c.take();
    c.say(c.requests++ == 0 ? says : "HTTP/1.1 204 No Content\r\n\r\n");
  };
}

// Passes what a client says on to another port of this machine, and back, after it was asked to.
class Relay {
 public:
  Relay(TestLoop& loop, uint16_t to) : loop_(loop), to_(to), peer_(loop, [this](Peer::Client& c) { on_bytes(c); }) {}
  ~Relay() {
    for (Way* way : ways_) uv_close(reinterpret_cast<uv_handle_t*>(&way->tcp), [](uv_handle_t* handle) { delete static_cast<Way*>(handle->data); });
  }
  uint16_t port() const { return peer_.port(); }
  int connections() const { return peer_.connections(); }

 private:
  struct Way {
    uv_tcp_t tcp;
    uv_connect_t request;
    Peer::Client* client;
    std::string held;  // until it is connected
    bool open = false;
    char buffer[65536];
  };
  void on_bytes(Peer::Client& client) {
    auto* way = static_cast<Way*>(client.user);
    if (way == nullptr) {
      if (client.got.find("\r\n\r\n") == std::string::npos) return;
      client.take();
      way = new Way{};
      way->client = &client;
      way->tcp.data = way;
      client.user = way;
      ways_.push_back(way);
      uv_tcp_init(loop_.uv(), &way->tcp);
      Address address = *parse_ip("127.0.0.1", to_);
      uv_tcp_connect(&way->request, &way->tcp, &address.any, [](uv_connect_t* request, int code) {
        if (code != 0) return;
        auto* self = static_cast<Way*>(request->handle->data);
        self->open = true;
        self->client->say("HTTP/1.0 200 OK\r\nVia: relay\r\n\r\n");
        uv_read_start(reinterpret_cast<uv_stream_t*>(&self->tcp),
                      [](uv_handle_t* handle, size_t, uv_buf_t* out) { *out = uv_buf_init(static_cast<Way*>(handle->data)->buffer, sizeof(Way::buffer)); },
                      [](uv_stream_t* stream, ssize_t size, const uv_buf_t*) {
                        auto* read = static_cast<Way*>(stream->data);
                        if (size > 0) read->client->say({read->buffer, static_cast<size_t>(size)});
                        if (size < 0) {
                          uv_read_stop(stream);
                          read->client->finish();
                        }
                      });
      });
      return;
    }
    std::string bytes = client.take();
    uv_buf_t buf = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
    if (way->open && !bytes.empty()) CHECK(uv_try_write(reinterpret_cast<uv_stream_t*>(&way->tcp), &buf, 1) == static_cast<int>(bytes.size()));
  }
  TestLoop& loop_;
  const uint16_t to_;
  std::vector<Way*> ways_;
  Peer peer_;
};

}  // namespace

TEST_CASE("proxy: logins") {
  const auto base64 = [](std::string_view text) {
    const auto login = proxy_login(*secret(text));
    return login ? std::string(login->bytes()) : login.error().message;
  };
  CHECK(base64("Aladdin:open sesame") == "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617, 2
  CHECK(base64("user:") == "dXNlcjo=");
  for (const char* bad : {"hunter2", ":hunter2", "user:hunter2\n2"}) CHECK_MESSAGE(base64(bad) == "this is no login: expected user:password", bad);
}

TEST_CASE("proxy: it is asked for a way, and what is said then is the server's") {
  TlsSetup s;
  std::string heard;
  Peer proxy(s.loop, proxy_and_server(&heard));
  HttpRequest request = request_to(*parse_url("http://ingest.example:8080/v1"));
  request.proxy = proxy_at(proxy.port(), "user:password");
  request.allow_private = false;  // the proxy looks the name up
  for (int i = 0; i < 3; ++i) {
    const HttpResult r = fetch(s.loop, s.client, request);
    REQUIRE_MESSAGE(r.ok(), r.error.message);
    CHECK(r.response.status == 204);
    CHECK(r.reused == (i > 0));
  }
  CHECK(heard.starts_with("CONNECT ingest.example:8080 HTTP/1.1\r\nHost: ingest.example:8080\r\nProxy-Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n\r\n"
                          "GET /v1 HTTP/1.1\r\nHost: ingest.example:8080\r\n"));
  CHECK(!has(heard.substr(heard.find("GET ")), "Proxy-Authorization"));
  CHECK(proxy.connections() == 1);
  // Another proxy, and none, are other connections.
  request.proxy = proxy_at(proxy.port());
  CHECK(fetch(s.loop, s.client, request).ok());
  CHECK(proxy.connections() == 2);
}

TEST_CASE("proxy: TLS is with the server, not the proxy") {
  for (const char* version : {"-tls1_3", "-tls1_2"}) {
    OpensslServer server(tls_world().good, {version});
    TlsSetup s;
    Relay relay(s.loop, server.port());
    HttpRequest request = s.request(443);
    request.proxy = proxy_at(relay.port());
    const HttpResult r = fetch(s.loop, s.client, request);
    CHECK_MESSAGE(r.ok(), r.error.message);
    CHECK(r.response.status == 200);
    request.url = *parse_url("https://other.example/");
    check_error(fetch(s.loop, s.client, request), NetErrorKind::kTlsVerify, "the certificate of other.example:443 is for ingest.example");
    CHECK(relay.connections() == 2);
  }
}

TEST_CASE("proxy: answers that are no way through") {
  struct Case {
    std::string says, text;
  };
  for (const Case& c : {Case{"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 1000\r\n\r\n", " answered 407 to CONNECT ingest.example:80: it wants a user and a password, \"proxy_auth\""},
                        Case{"HTTP/1.1 502 Bad Gateway\r\n\r\n", " answered 502 to CONNECT ingest.example:80"},
                        Case{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\nsorry", " answered 503 to CONNECT ingest.example:80"},
                        Case{"HTTP/1.0 504 Gateway Timeout\r\n\r\n", " answered 504 to CONNECT ingest.example:80"},
                        Case{"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n", " answered 302"},
                        Case{"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", " sent more than its answer"},
                        Case{"SSH-2.0-OpenSSH_9.2\r\n", ": the response is not HTTP/1.1"},
                        Case{"HTTP/1.1 200 OK\r\nX: " + std::string(kProxyAnswerMax, 'x') + "\r\n\r\n", ": the headers are longer than 8192 bytes"}}) {
    TlsSetup s;
    std::string heard;
    Peer proxy(s.loop, proxy_and_server(&heard, c.says));
    HttpRequest request = request_to(*parse_url("http://ingest.example/"));
    request.proxy = proxy_at(proxy.port());
    const HttpResult r = fetch(s.loop, s.client, request);
    check_error(r, NetErrorKind::kProxy, "the proxy 127.0.0.1:" + std::to_string(proxy.port()) + c.text);
    CHECK(!r.sent);
    CHECK(r.error.phase == NetPhase::kProxy);
    CHECK(world_not_ready(r.error));
    CHECK(!has(heard, "GET"));
    REQUIRE(s.loop.run_until([&] { return proxy.open() == 0; }));
  }
}

TEST_CASE("proxy: one that is away, breaks off, or says nothing") {
  TlsSetup s;
  HttpRequest request = request_to(*parse_url("http://ingest.example/"));
  {
    Peer gone(s.loop, [](Peer::Client&) {});
    request.proxy = proxy_at(gone.port());
  }
  HttpResult r = fetch(s.loop, s.client, request);
  check_error(r, NetErrorKind::kConnect, "no connection to the proxy " + request.proxy->name());
  CHECK(!r.sent);

  Peer cut(s.loop, [](Peer::Client& c) { c.finish(); });
  request.proxy = proxy_at(cut.port(), "user:wrong");
  r = fetch(s.loop, s.client, request);
  check_error(r, NetErrorKind::kProxy, " before it answered CONNECT ingest.example:80");
  CHECK(!r.sent);
  std::string heard;
  Peer refuses(s.loop, proxy_and_server(&heard, "HTTP/1.1 407 No\r\n\r\n"));
  request.proxy = proxy_at(refuses.port(), "user:wrong");
  r = fetch(s.loop, s.client, request);
  check_error(r, NetErrorKind::kProxy, ": it does not take the user and password of \"proxy_auth\"");
  CHECK(!has(r.error.message, "wrong"));

  Peer silent(s.loop, [](Peer::Client&) {});
  request.proxy = proxy_at(silent.port());
  request.deadlines.connect_ms = 50;
  r = fetch(s.loop, s.client, request);
  check_error(r, NetErrorKind::kTimeout, "no answer of the proxy for ingest.example:80 within 50 ms");
  CHECK(r.error.phase == NetPhase::kProxy);
  CHECK(!r.sent);
  CHECK(world_not_ready(r.error));
  // In the middle of it.
  request.deadlines.connect_ms = 10000;
  int canceled = 0;
  s.client.send(request, [&](HttpResult result) { canceled += result.error.kind == NetErrorKind::kCanceled; });
  REQUIRE(s.loop.run_until([&] { return silent.connections() == 2 && !silent.client(1).got.empty(); }));
  s.client.shutdown({});
  CHECK(canceled == 1);
}

TEST_CASE("proxy: an address of the server that is not allowed is not asked for") {
  TlsSetup s;
  std::string heard;
  Peer proxy(s.loop, proxy_and_server(&heard));
  HttpRequest request = request_to(*parse_url("http://169.254.169.254/latest"));
  request.proxy = proxy_at(proxy.port());
  request.allow_private = false;
  check_error(fetch(s.loop, s.client, request), NetErrorKind::kRefused, "169.254.169.254");
  CHECK(heard.empty());
  request.allow_private = true;
  CHECK(fetch(s.loop, s.client, request).ok());
}

TEST_CASE("http: secret headers go out once, and the rest is as without them") {
  TlsSetup s;
  std::string heard;
  Peer peer(s.loop, [&](Peer::Client& c) {
    if (c.got.find("\r\n\r\n") == std::string::npos) return;
    heard = c.take();
    c.say("HTTP/1.1 204 No Content\r\n\r\n");
  });
  HttpRequest request = request_to(peer.url("/x"));
  request.method = "POST";
  request.body = std::make_shared<const std::string>("body");
  REQUIRE(fetch(s.loop, s.client, request).ok());
  REQUIRE(heard.ends_with("\r\n\r\nbody"));
  const std::string plain = heard.substr(0, heard.size() - 6);
  request.secret_headers = {{"Authorization", "Bearer ", std::make_shared<const Secret>(std::move(*secret("canary")))},
                            {"X-Key", "", std::make_shared<const Secret>(std::move(*secret("k")))}};
  REQUIRE(fetch(s.loop, s.client, request).ok());
  CHECK(heard == plain + "Authorization: Bearer canary\r\nX-Key: k\r\n\r\nbody");
  // The limit of all headers is theirs, too.
  const auto long_one = std::make_shared<const Secret>(std::move(*secret(std::string(kSecretBytesMax, 's'))));
  request.secret_headers.assign(kRequestHeaderMax / kSecretBytesMax, {"X-Long", "", long_one});
  check_error(fetch(s.loop, s.client, request), NetErrorKind::kRefused, "its headers are longer than 32768 bytes");
}

TEST_CASE("http: a name that changes its address: each connection goes where its own lookup was allowed to go") {
  TestLoop loop;
  Peer inside(loop, [](Peer::Client& c) { c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); });
  int lookups = 0;
  HttpClientOptions options;
  // Public at first, for who checks; then it is this machine, for who connects.
  options.resolver.lookup = [&](const std::string&, std::vector<Address>* out) {
    out->push_back(*parse_ip(lookups++ == 0 ? "192.0.2.1" : "127.0.0.1", 0));
    return 0;
  };
  HttpClient client(loop.uv(), options);
  HttpRequest request = request_to(*parse_url("http://rebind.example:" + std::to_string(inside.port()) + "/"));
  request.allow_private = false;
  request.deadlines.connect_ms = 200;
  const HttpResult first = fetch(loop, client, request);  // to the address that was checked, where nobody is
  CHECK(first.error.phase == NetPhase::kConnect);
  CHECK(has(first.error.message, "192.0.2.1"));
  CHECK(lookups == 1);
  check_error(fetch(loop, client, request), NetErrorKind::kRefused, "rebind.example resolves to 127.0.0.1, a loopback address");
  CHECK(lookups == 2);
  CHECK(inside.connections() == 0);
  shut(loop, client);
}
