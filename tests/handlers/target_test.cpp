// What a target needs of other files, and which hosts are allowed.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "handlers/config.h"
#include "platform/net/host_rules.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

struct Credentials {
  const TempFolder folder;
  Credentials() {
    write("token", "canary\n");
    write("login", "user:password");
    setenv("CREDENTIALS_DIRECTORY", folder.path().c_str(), 1);
  }
  ~Credentials() { unsetenv("CREDENTIALS_DIRECTORY"); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
    chmod((folder / name).c_str(), 0600);
    return folder / name;
  }
};

Result<Config> sink(const std::string& members, const std::string& more = "") {
  return parse_config("{\"sinks\": {\"c\": {" + members + "}}" + more + "}", "h.json");
}
std::string failure(const std::string& members, const std::string& more = "") {
  const auto config = sink(members, more);
  return config ? "" : config.error().message;
}
constexpr const char* kUrl = R"("url": "https://a.example/")";

std::string headers_failure(const std::string& headers) { return failure(std::string(kUrl) + ", \"headers\": {" + headers + "}"); }

Url url(const char* text) {
  const auto parsed = parse_url(text);
  REQUIRE_MESSAGE(parsed.ok(), text);
  return *parsed;
}

bool allows(std::initializer_list<const char*> rules, const char* text) {
  std::vector<HostRule> parsed;
  for (const char* rule : rules) {
    const auto one = parse_host_rule(rule);
    REQUIRE_MESSAGE(one.ok(), one.error().message);
    parsed.push_back(*one);
  }
  return hf::allows(parsed, url(text));
}

}  // namespace

TEST_CASE("headers: text, or what is in a secret") {
  const Credentials files;
  const std::string members = std::string(kUrl) + R"(, "headers": {"X-Plain": "p", "Authorization": {"secret": "cred:token", "prefix": "Bearer "}, "X-Key": {"secret": ")" + (files.folder / "token") + "\"}}";
  const auto config = sink(members);
  REQUIRE_MESSAGE(config.ok(), config.error().message);
  const HttpConfig& http = config->sinks[0].http;
  CHECK(http.headers == TextMap{{"X-Plain", "p"}});
  REQUIRE(http.secret_headers.size() == 2);
  CHECK(http.secret_headers[0].name == "Authorization");
  CHECK(http.secret_headers[0].prefix == "Bearer ");
  CHECK(http.secret_headers[0].value.secret->bytes() == "canary");
  CHECK(http.secret_headers[1].prefix == "");
  // Another configuration when the secret is another one: a reload takes it.
  CHECK(sink(members)->sinks == config->sinks);
  files.write("token", "canary2");
  CHECK(sink(members)->sinks != config->sinks);

  CHECK(headers_failure(R"("A": {"prefix": "x"})") == "h.json:1: sinks.c.headers.A: \"secret\" is missing: \"cred:NAME\", or the full path of a file");
  CHECK(headers_failure(R"("A": {"secret": "token"})").starts_with("h.json:1: sinks.c.headers.A.secret: \"token\" is no secret's name: expected \"cred:NAME\""));
  CHECK(headers_failure(R"("A": {"secret": "cred:absent"})").ends_with("/absent): No such file or directory"));
  CHECK(headers_failure(R"("A": {"cred": "token"})").find("unknown") != std::string::npos);
  CHECK(headers_failure(R"("A": {"secret": "cred:token", "prefix": "x\ny"})").ends_with("a control character is not allowed in an HTTP header"));
  CHECK(headers_failure(R"("A": 7)").starts_with("h.json:1: sinks.c.headers.A: "));
  CHECK(headers_failure(R"("Host": {"secret": "cred:token"})").ends_with("this header is set by Holdfast itself"));
  files.write("lines", "one\ntwo");
  const std::string lines = headers_failure(R"("A": {"secret": "cred:lines"})");
  CHECK(lines == "h.json:1: sinks.c.headers.A.secret: cred:lines has a control character, which is not allowed in an HTTP header");
  CHECK(parse_config(R"({"sinks": {"c": {"url": "https://a.example/", "headers": {"A": {"secret": "cred:absent"}}}}})", "h.json", ConfigOf::another).ok());
}

TEST_CASE("headers: none that the client sets itself, and no more than a request has room for") {
  const Credentials files;
  for (const std::string name : {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "expect", "Upgrade", "TE", "Trailer", "Proxy-Connection", "Idempotency-Key"}) {
    CAPTURE(name);
    CHECK(headers_failure("\"" + name + "\": \"1\"").ends_with("this header is set by Holdfast itself"));
    CHECK(headers_failure("\"" + name + "\": {\"secret\": \"cred:token\"}").ends_with("this header is set by Holdfast itself"));
  }
  const auto plain = [](size_t bytes) { return "\"A\": \"" + std::string(bytes - 5, 'a') + "\""; };  // with its name and what is around
  CHECK(headers_failure(plain(24 * 1024)) == "");
  CHECK(headers_failure(plain(24 * 1024 + 1)) == "h.json:1: sinks.c.headers: these headers have 24577 bytes in all; at most 24576 are allowed");
  const std::string secret = R"(, "B": {"secret": "cred:token"})";  // 11
  CHECK(headers_failure(plain(24 * 1024 - 11) + secret) == "");
  CHECK(headers_failure(plain(24 * 1024 - 10) + secret) == "h.json:1: sinks.c.headers: these headers have 24577 bytes in all; at most 24576 are allowed");
}

TEST_CASE("proxies: without TLS, with a login that is in a secret") {
  const Credentials files;
  const auto with = [](const std::string& members) { return std::string(kUrl) + ", " + members; };
  const auto config = sink(with(R"("proxy": "http://squid.example:3128", "proxy_auth": "cred:login")"));
  REQUIRE_MESSAGE(config.ok(), config.error().message);
  CHECK(config->sinks[0].http.proxy_auth.secret->bytes() == "dXNlcjpwYXNzd29yZA==");
  CHECK(failure(with(R"("proxy": "http://10.0.0.1:3128")")) == "");
  CHECK(failure(with(R"("proxy": "https://squid.example")")).find("spoken to without TLS") != std::string::npos);
  CHECK(failure(with(R"("proxy": "http://squid.example/x")")).find("has no path") != std::string::npos);
  CHECK(failure(with(R"("proxy": "squid.example:3128")")).starts_with("h.json:1: sinks.c.proxy: "));
  CHECK(failure(with(R"("proxy": "http://user:password@squid.example")")).starts_with("h.json:1: sinks.c.proxy: a user name or password"));
  CHECK(failure(with(R"("proxy_auth": "cred:login")")) == "h.json:1: sinks.c.proxy_auth: this is for a \"proxy\", and there is none");
  const std::string odd = failure(with(R"("proxy": "http://squid.example", "proxy_auth": "cred:token")"));
  CHECK(odd == "h.json:1: sinks.c.proxy_auth: cred:token: this is no login: expected user:password");
}

TEST_CASE("hosts: which URLs a rule allows") {
  CHECK(allows({"ingest.example"}, "https://ingest.example/x"));
  CHECK(allows({"ingest.example"}, "https://INGEST.example:443/"));
  CHECK(allows({"ingest.example"}, "http://ingest.example/"));
  CHECK_FALSE(allows({"ingest.example"}, "https://ingest.example:8443/"));
  CHECK_FALSE(allows({"ingest.example"}, "https://a.ingest.example/"));
  CHECK_FALSE(allows({"ingest.example"}, "https://ingest.example.evil.example/"));
  CHECK(allows({"ingest.example:8443"}, "https://ingest.example:8443/"));
  CHECK_FALSE(allows({"ingest.example:8443"}, "https://ingest.example/"));
  CHECK(allows({"ingest.example:443"}, "https://ingest.example/"));
  CHECK_FALSE(allows({"ingest.example:443"}, "http://ingest.example/"));
  CHECK(allows({"*.hooks.example:8443"}, "https://a.b.hooks.example:8443/"));
  CHECK_FALSE(allows({"*.hooks.example"}, "https://hooks.example/"));
  CHECK_FALSE(allows({"*.hooks.example"}, "https://evilhooks.example/"));
  CHECK(allows({"192.0.2.1", "[2001:db8::1]:8443"}, "https://[2001:DB8:0::1]:8443/"));
  CHECK_FALSE(allows({}, "https://ingest.example/"));
  for (const char* bad : {"", "*", "*.", "https://ingest.example", "ingest.example/x", "*.192.0.2.1", "a.*.example", "ingest.example:0", "user@ingest.example", "2001:db8::1"})
    CHECK_MESSAGE(!parse_host_rule(bad).ok(), bad);
}

TEST_CASE("hosts: the configuration is refused if it goes elsewhere") {
  const std::string network = R"(, "network": {"allow_hosts": ["a.example", "*.hooks.example"]})";
  CHECK(failure(kUrl, network) == "");
  CHECK(failure(R"("url": "https://b.example/")", network) == "h.json:1: sinks.c.url: b.example:443 is none of the hosts of \"network.allow_hosts\"");
  CHECK(failure(std::string(kUrl) + R"(, "proxy": "http://squid.example:3128")", network) == "h.json:1: sinks.c.proxy: squid.example:3128 is none of the hosts of \"network.allow_hosts\"");
  CHECK(failure(kUrl, R"(, "network": {"allow_hosts": ["a.example/"]})").starts_with("h.json:1: network.allow_hosts[0]: \"a.example/\" is no host: "));
  CHECK(failure(kUrl, R"(, "network": {"allow_hosts": []})") == "h.json:1: network.allow_hosts: the array is empty");
  CHECK(failure(kUrl, R"(, "network": {})") == "");
  const auto handler = parse_config(R"({"network": {"allow_hosts": ["a.example"]}, "handlers": {"n": {"http": {"url": "https://b.example/"}}}})", "h.json");
  REQUIRE_FALSE(handler.ok());
  CHECK(handler.error().message.starts_with("h.json:1: handlers.n.http.url: "));
}
