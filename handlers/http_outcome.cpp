#include "handlers/http_outcome.h"

#include <string_view>

#include "core/names.h"
#include "handlers/end_run.h"
#include "handlers/error_text.h"
#include "platform/memory.h"
#include "platform/net/retry_after.h"

namespace hf {
namespace {

// By the server's own clock, which it sends along: ours may be wrong.
int64_t retry_after_ms(const HttpHeaders& headers) {
  const std::string* wait = headers.find("Retry-After");
  if (wait == nullptr) return -1;
  const int64_t server_now_ms = parse_http_date(headers.get("Date")).value_or(-1);
  const int64_t asked_ms = parse_retry_after(*wait, server_now_ms).value_or(-1);
  return asked_ms > 0 ? asked_ms + 1 : asked_ms;  // our clock counts whole milliseconds: it is never too early
}

RunEnded parked(std::string text) {
  RunEnded ended;
  ended.outcome = Outcome::defer;
  ended.park_runner = true;
  ended.error = printable(text);
  return ended;
}

// nginx ends the handshake in any case and refuses a client certificate by a page of its own.
bool refuses_our_certificate(const HttpResponse& response) {
  return response.status == 400 &&
         (response.body.find("The SSL certificate error") != std::string::npos ||
          response.body.find("No required SSL certificate was sent") != std::string::npos);
}

// The host that a redirect names, in quotes, where it is another one than `asked`; else "".
std::string other_host(const HttpResponse& response, const Url& asked) {
  const int status = response.status;
  if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) return "";
  std::string_view to = response.headers.get("Location");
  const size_t scheme = to.starts_with("//") ? 0 : equal_no_case(to.substr(0, 7), "http://") ? 5 : equal_no_case(to.substr(0, 8), "https://") ? 6 : to.npos;
  if (scheme == to.npos) return "";  // relative
  // Of the rest, which may be long and no proper URL, nothing matters.
  to.remove_prefix(scheme + 2);
  to = to.substr(0, to.find_first_of("/\\?#"));
  to.remove_prefix(to.rfind('@') + 1);
  const auto url = parse_url("http://" + std::string(to));
  return !url ? quoted(to) : url->host != asked.host ? quoted(url->host) : "";
}

// What a sign-in page is, and no short word that some servers call text/html, too.
bool is_page(const HttpResponse& response) {
  const std::string_view type = response.headers.get("Content-Type");
  const auto is = [&](std::string_view name) { return equal_no_case(type.substr(0, name.size()), name); };
  if (!is("text/html") && !is("application/xhtml+xml")) return false;
  std::string_view body = response.body;
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  const size_t first = body.find_first_not_of(" \t\r\n");
  return first != body.npos && body[first] == '<';
}

// What gives a captive portal away on a link without TLS; "" if nothing does.
std::string portal_sign(const HttpResponse& response, const Url& asked, Asker asker) {
  if (asked.https) return "";
  const std::string from = "HTTP " + std::to_string(response.status) + " from " + asked.host_port();
  if (response.status == 511) return from + " (Network Authentication Required)";  // RFC 6585, 6
  if (const std::string host = other_host(response, asked); !host.empty()) return from + " leads to " + host;
  const bool page = asker == Asker::sink && response.status >= 200 && response.status < 300 && is_page(response);
  return page ? from + " is an HTML page" : "";
}

// By itself.
Outcome meaning_of(int status) {
  if (status >= 200 && status < 300) return Outcome::done;
  return status == 408 || status == 425 || status == 429 || status >= 500 ? Outcome::retry : Outcome::dead;
}

RunEnded of_response(const HttpResponse& response, const Url& asked, Asker asker, const OutcomeRules& on_status) {
  RunEnded ended;
  const int status = response.status;
  const std::string peer = asked.host_port();
  if (const std::string sign = portal_sign(response, asked, asker); !sign.empty())
    return parked("captive portal? " + sign + "; jobs wait until the server itself answers");
  if (refuses_our_certificate(response))
    return parked(error_with_head(
        peer + " refuses our client certificate, jobs wait until this is put right: HTTP 400, nginx",
        response.body, response.body_cut));
  const std::optional<Outcome> listed = on_status.of(status);
  ended.outcome = listed.value_or(meaning_of(status));
  if (ended.outcome == Outcome::done) return ended;
  std::string what = "HTTP " + std::to_string(status) + " from " + peer;
  if (status >= 300 && status < 400) what += " (a redirect that is not followed)";
  ended.error = error_with_head(std::move(what), response.body, response.body_cut);
  if (ended.outcome == Outcome::dead) return ended;
  ended.retry_after_ms = retry_after_ms(response.headers);
  // Of these two the server says that it is about itself, and not about what was sent.
  const bool of_server = asker == Asker::sink && (status == 429 || status == 503);
  ended.park_runner = of_server && (listed ? *listed == Outcome::defer : ended.retry_after_ms >= 0);
  if (ended.park_runner) ended.outcome = Outcome::defer;
  // At once, and without an attempt: that would go on for ever, as fast as the server answers.
  if (ended.outcome == Outcome::defer && ended.retry_after_ms == 0) ended.retry_after_ms = -1;
  return ended;
}

}  // namespace

RunEnded http_outcome(const HttpResult& result, const Url& asked, Asker asker, const OutcomeRules& on_status) {
  if (result.ok()) return of_response(result.response, asked, asker, on_status);
  const NetError& error = result.error;
  if (error.kind == NetErrorKind::kCanceled) {
    RunEnded ended;
    ended.outcome = Outcome::handed_back;
    ended.error = printable(error.message);
    return ended;
  }
  if (error.kind == NetErrorKind::kTlsVerify)
    return parked("the certificate was refused, jobs wait until this is put right: " +
                  error.message);
  // A server tells that it does not like our certificate by an alert, in TLS 1.3 after the request
  // has gone out.
  const bool alert = error.kind == NetErrorKind::kTlsProtocol && error.phase != NetPhase::kReceive;
  // Ours to refuse, before any address was looked at: the URL or a header.
  const bool unsendable = error.kind == NetErrorKind::kRefused && error.phase == NetPhase::kNone;
  const bool ours = error.kind == NetErrorKind::kLocal;  // memory
  if ((!result.sent && !unsendable) || alert || ours || world_not_ready(error))
    return parked(error.message);
  RunEnded ended;
  ended.outcome = unsendable ? Outcome::dead : Outcome::retry;
  ended.error = printable(error.message);
  return ended;
}

RunEnded stopped_outcome(const HttpResult& result, const Url& asked, StopReason reason, int64_t timeout_ms) {
  RunEnded ended = ended_by_stop(reason, timeout_ms);
  const NetPhase phase = result.error.phase;
  // kNone: its own body was being made all the time.
  if (reason != StopReason::timeout || result.sent || phase == NetPhase::kNone) return ended;
  ended.park_runner = phase != NetPhase::kQueue;
  ended.outcome = ended.park_runner ? Outcome::defer : Outcome::handed_back;
  (void)guarded([&] { ended.error += ": nothing was sent to " + asked.host_port() + " (" + net_phase_name(phase) + ")"; });
  return ended;
}

bool is_success(const HttpResult& result) { return result.ok() && meaning_of(result.response.status) == Outcome::done; }

bool about_content(const HttpResult& result) {
  const int status = result.ok() ? result.response.status : 0;
  if (result.ok() && refuses_our_certificate(result.response)) return false;
  switch (status) {
    case 401:  // who we are
    case 404:  // where it went
    case 405:
    case 407:
    case 410:
      return false;
    default:
      return status >= 400;
  }
}

}  // namespace hf
