// What people and servers write around a request: a URL, the fields of its head, Retry-After.
//
//   URL, METHOD, RETRY-AFTER, each a line; then the fields, "NAME:VALUE" a line
#include "platform/net/http_message.h"
#include "platform/net/retry_after.h"
#include "platform/net/url.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

void check_url(const Url& url) {
  must(!url.host.empty() && url.port != 0 && !url.target.empty() && url.target[0] == '/');
  must((url.host + url.target).find_first_of(" \r\n\t\\#") == std::string::npos);
  const std::string scheme = url.https ? "https://" : "http://";
  const std::string text = scheme + url.authority() + url.target;
  if (text.size() > kUrlMax) return;  // "http://a?" and 2039 bytes got a '/'
  const auto again = parse_url(text);
  must(again && again->authority() == url.authority() && again->target == url.target);
  must(again->host == url.host && again->port == url.port && again->https == url.https);
  must(again->host_is_ip == url.host_is_ip);
  must(parse_url(scheme + url.host_port() + url.target.substr(0, 1))->authority() == url.authority());
}

void check_head(const HttpRequest& request) {
  const auto head = format_request_head(request);
  if (!head) return must_be_told(head.error());
  must(head->size() <= kRequestHeaderMax && head->ends_with("\r\n\r\n"));
  // No value makes a line of its own: request line, Host, ours, at most three that are added, the end.
  size_t lines = 0;
  for (const char c : *head) lines += c == '\n';
  const size_t given = request.headers.fields().size();
  must(lines >= 3 + given && lines <= 6 + given);
  must(head->starts_with(request.method + " " + request.url.target + " HTTP/1.1\r\nHost: "));
}

void check_retry_after(std::string_view text) {
  constexpr int64_t kNow = 1790000000000;
  for (const int64_t now : {int64_t{-1}, int64_t{0}, kNow}) {
    const auto wait = parse_retry_after(text, now);
    must(!wait || (*wait >= 0 && *wait <= kRetryAfterMaxMs));
    if (const auto date = parse_http_date(text)) {
      must(wait.has_value() == (now >= 0));
      must(*date % 1000 == 0 && *date >= -62167219200000 && *date <= 253402300800000);  // years 0 to 9999
    } else if (wait) {
      must(*wait == *parse_retry_after(text, -1));  // seconds: no clock is asked
    }
  }
}

}  // namespace

HF_FUZZ(input) {
  const auto url = parse_url(input.line());
  HttpRequest request;
  request.method = input.line();
  check_retry_after(input.line());
  if (!url) return must_be_told(url.error());
  check_url(*url);
  request.url = *url;
  while (!input.empty()) {
    const std::string_view field = input.line();
    const size_t colon = std::min(field.find(':'), field.size());
    request.headers.add(std::string(field.substr(0, colon)),
                        std::string(field.substr(std::min(colon + 1, field.size()))));
  }
  check_head(request);
}
