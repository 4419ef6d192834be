#include "handlers/http_outcome.h"

#include <doctest/doctest.h>
#include <holdfast.h>

using namespace hf;

namespace {

HttpResult response(int status, std::string body = "") {
  HttpResult result;
  result.sent = true;
  result.response.status = status;
  result.response.body = std::move(body);
  return result;
}

HttpResult failure(NetErrorKind kind, NetPhase phase, bool sent) {
  HttpResult result;
  result.error = {kind, phase, "what happened"};
  result.sent = sent;
  return result;
}

RunEnded outcome(const HttpResult& result, Asker asker = Asker::handler, const OutcomeRules& rules = {}) {
  return http_outcome(result, *parse_url("https://ingest.example/v1"), asker, rules);
}

RunEnded over_plain_http(const HttpResult& result, Asker asker = Asker::handler) {
  return http_outcome(result, *parse_url("http://ingest.example/v1"), asker);
}

HttpResult with_header(HttpResult result, const char* name, const char* value) {
  result.response.headers.add(name, value);
  return result;
}

bool is_portal(const RunEnded& ended) {
  const bool parked = ended.outcome == Outcome::defer && ended.park_runner && ended.retry_after_ms == -1;
  CHECK(parked == ended.error.starts_with("captive portal? HTTP "));
  return parked;
}

}  // namespace

TEST_SUITE("http_outcome") {
  TEST_CASE("what a status means") {
    for (int status : {200, 201, 202, 204, 207, 299})
      CHECK(outcome(response(status)).outcome == Outcome::done);
    for (int status : {408, 425, 429, 500, 501, 502, 503, 504, 599})
      CHECK(outcome(response(status)).outcome == Outcome::retry);
    for (int status : {300, 301, 302, 304, 307, 400, 401, 403, 404, 409, 410, 413, 422, 431, 451})
      CHECK(outcome(response(status)).outcome == Outcome::dead);
  }

  TEST_CASE("the text names status and peer, and quotes the start of the body") {
    CHECK(outcome(response(200, "fine")).error == "");
    CHECK(outcome(response(404, "no such\x1b thing\r\n")).error ==
          "HTTP 404 from ingest.example:443: no such? thing?");
    CHECK(outcome(response(503)).error == "HTTP 503 from ingest.example:443");
    CHECK(outcome(response(301)).error ==
          "HTTP 301 from ingest.example:443 (a redirect that is not followed)");
    CHECK(outcome(response(400, std::string(4000, 'x'))).error.size() == HF_ERROR_TEXT_MAX);
  }

  TEST_CASE("what is listed goes before what a status means by itself") {
    OutcomeRules rules;
    REQUIRE_FALSE(rules.add(400, 499, Outcome::retry));
    REQUIRE_FALSE(rules.add(404, 404, Outcome::done));
    REQUIRE_FALSE(rules.add(202, 202, Outcome::defer));
    REQUIRE_FALSE(rules.add(500, 500, Outcome::dead));
    REQUIRE_FALSE(rules.add(307, 307, Outcome::retry));
    const std::pair<int, Outcome> table[] = {{200, Outcome::done}, {202, Outcome::defer}, {204, Outcome::done},  {301, Outcome::dead}, {307, Outcome::retry},
                                             {400, Outcome::retry}, {404, Outcome::done}, {410, Outcome::retry}, {499, Outcome::retry}, {500, Outcome::dead},
                                             {501, Outcome::retry}, {503, Outcome::retry}};
    for (const Asker asker : {Asker::handler, Asker::sink})
      for (const auto& [status, meant] : table) {
        CAPTURE(status);
        const RunEnded ended = outcome(response(status, "why"), asker, rules);
        CHECK(ended.outcome == meant);
        CHECK_FALSE(ended.park_runner);
        CHECK(ended.retry_after_ms == -1);
        CHECK(ended.error == (meant == Outcome::done ? "" : "HTTP " + std::to_string(status) + " from ingest.example:443" +
                                                                (status / 100 == 3 ? " (a redirect that is not followed)" : "") + ": why"));
      }
    // No answer, no status.
    OutcomeRules all;
    REQUIRE_FALSE(all.add(200, 599, Outcome::dead));
    CHECK(outcome(failure(NetErrorKind::kTimeout, NetPhase::kFirstByte, true), Asker::sink, all).outcome == Outcome::retry);
    CHECK(outcome(failure(NetErrorKind::kConnect, NetPhase::kConnect, false), Asker::sink, all).outcome == Outcome::defer);
  }

  TEST_CASE("Retry-After of a status that is listed") {
    OutcomeRules rules;
    REQUIRE_FALSE(rules.add(409, 409, Outcome::retry));
    REQUIRE_FALSE(rules.add(423, 423, Outcome::defer));
    REQUIRE_FALSE(rules.add(429, 429, Outcome::retry));
    REQUIRE_FALSE(rules.add(503, 503, Outcome::defer));
    REQUIRE_FALSE(rules.add(504, 504, Outcome::dead));
    const auto asked = [&](int status, Asker asker, const char* wait = "120") {
      return outcome(with_header(response(status), "Retry-After", wait), asker, rules);
    };
    for (const Asker asker : {Asker::handler, Asker::sink}) {
      CHECK(asked(409, asker).outcome == Outcome::retry);
      CHECK(asked(409, asker).retry_after_ms == 120'001);
      CHECK(asked(423, asker).outcome == Outcome::defer);
      CHECK(asked(423, asker).retry_after_ms == 120'001);
      CHECK_FALSE(asked(423, asker).park_runner);
      CHECK(asked(423, asker, "0").retry_after_ms == -1);  // it would run in circles
      CHECK(asked(429, asker).outcome == Outcome::retry);
      CHECK(asked(429, asker).retry_after_ms == 120'001);
      CHECK_FALSE(asked(429, asker).park_runner);
      CHECK(asked(504, asker).outcome == Outcome::dead);
      CHECK(asked(504, asker).retry_after_ms == -1);
      // About the server itself: a sink is left alone, for as long as it says or for a growing while.
      CHECK(asked(503, asker).outcome == Outcome::defer);
      CHECK(asked(503, asker).retry_after_ms == 120'001);
      CHECK(asked(503, asker).park_runner == (asker == Asker::sink));
      const RunEnded silent = outcome(response(503), asker, rules);
      CHECK(silent.outcome == Outcome::defer);
      CHECK(silent.retry_after_ms == -1);
      CHECK(silent.park_runner == (asker == Asker::sink));
    }
  }

  TEST_CASE("who answers in the server's place, or refuses our certificate, is not answered by a list") {
    OutcomeRules rules;
    REQUIRE_FALSE(rules.add(200, 299, Outcome::dead));
    REQUIRE_FALSE(rules.add(302, 302, Outcome::done));
    REQUIRE_FALSE(rules.add(400, 400, Outcome::dead));
    REQUIRE_FALSE(rules.add(511, 511, Outcome::dead));
    const auto plain = [&](const HttpResult& result) { return http_outcome(result, *parse_url("http://ingest.example/"), Asker::sink, rules); };
    CHECK(is_portal(plain(with_header(response(302), "Location", "http://login.hotel.example/"))));
    CHECK(is_portal(plain(response(511))));
    CHECK(is_portal(plain(with_header(response(200, "<html>"), "Content-Type", "text/html"))));
    CHECK(plain(with_header(response(302), "Location", "/done")).outcome == Outcome::done);
    CHECK(outcome(response(511), Asker::sink, rules).outcome == Outcome::dead);
    const RunEnded refused = outcome(response(400, "<title>400 The SSL certificate error</title>"), Asker::sink, rules);
    CHECK(refused.outcome == Outcome::defer);
    CHECK(refused.park_runner);
  }

  TEST_CASE("Retry-After is honoured, a date by the server's own clock") {
    HttpResult result = response(429);
    CHECK(outcome(result).retry_after_ms == -1);
    SUBCASE("seconds") {
      result.response.headers.add("retry-after", "120");
      CHECK(outcome(result).retry_after_ms == 120'001);
    }
    SUBCASE("a date") {
      result.response.headers.add("Retry-After", "Sun, 06 Nov 1994 08:50:37 GMT");
      CHECK(outcome(result).retry_after_ms == -1);  // whose clock?
      result.response.headers.add("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
      CHECK(outcome(result).retry_after_ms == 60'001);
    }
    SUBCASE("nonsense") {
      result.response.headers.add("Retry-After", "soon");
      CHECK(outcome(result).retry_after_ms == -1);
    }
    SUBCASE("not of a permanent refusal") {
      result.response.status = 400;
      result.response.headers.add("Retry-After", "120");
      CHECK(outcome(result).retry_after_ms == -1);
    }
  }

  TEST_CASE("a captive portal answers plain http in place of the server") {
    for (const Asker asker : {Asker::handler, Asker::sink}) {
      const HttpResult login = with_header(response(511, "<html>"), "Retry-After", "3600");
      CHECK(is_portal(over_plain_http(login, asker)));
      CHECK(outcome(login, asker).outcome == Outcome::retry);  // over TLS it is the server's own word
      CHECK(over_plain_http(login).error == "captive portal? HTTP 511 from ingest.example:80 (Network Authentication Required); jobs wait until the server itself answers");
    }
  }

  TEST_CASE("a redirect to another host is one, too; none within the host") {
    const std::string long_query = "http://login.hotel.example/?from=" + std::string(4000, '%');
    for (const char* to : {"http://login.hotel.example/", "https://login.hotel.example:8443/a b", "HTTP://10.0.0.1?x", "//login.hotel.example", "http://ingest.example.hotel/",
                           "http://ingest.example@hotel/", "http://ingest.example\\@hotel/", "http://", "http://0x7f.1/", long_query.c_str()}) {
      CAPTURE(to);
      const bool ours = std::string_view(to).find("example\\") != std::string_view::npos;  // up to the backslash it is ingest.example
      for (const int status : {301, 302, 303, 307, 308}) {
        CHECK(is_portal(over_plain_http(with_header(response(status), "Location", to))) == !ours);
        CHECK(outcome(with_header(response(status), "Location", to)).outcome == Outcome::dead);
      }
      for (const int status : {300, 304, 305, 306, 400})
        CHECK(over_plain_http(with_header(response(status), "Location", to)).outcome == Outcome::dead);
    }
    for (const char* to : {"/v2", "v2", "", "?x", "https://INGEST.example/v2", "http://ingest.example:8080/", "//ingest.example/", "http://user@ingest.example/", "ftp://hotel.example/",
                           "http:/hotel.example/"}) {
      CAPTURE(to);
      CHECK(over_plain_http(with_header(response(302), "Location", to)).outcome == Outcome::dead);
    }
    CHECK(over_plain_http(response(302)).outcome == Outcome::dead);
    CHECK(over_plain_http(with_header(response(302), "Location", "http://login.hotel.example:81/x")).error ==
          "captive portal? HTTP 302 from ingest.example:80 leads to \"login.hotel.example\"; jobs wait until the server itself answers");
    CHECK(over_plain_http(with_header(response(302), "Location", ("http://" + std::string(300, 'x')).c_str())).error.size() < 200);
  }

  TEST_CASE("a page is no answer to a delivery") {
    for (const char* type : {"text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"})
      for (const char* page : {"<!DOCTYPE html><title>Welcome</title>", "\r\n \t<html>", "\xef\xbb\xbf<html>"}) {
        CAPTURE(page);
        const HttpResult shown = with_header(response(200, page), "Content-Type", type);
        CHECK(is_portal(over_plain_http(shown, Asker::sink)));
        CHECK(over_plain_http(shown).outcome == Outcome::done);  // what an http job asked for
        CHECK(outcome(shown, Asker::sink).outcome == Outcome::done);
      }
    for (const char* body : {"", "OK", " \n", "stored <3>"})  // text/html is what some servers call it unless told otherwise
      CHECK(over_plain_http(with_header(response(200, body), "Content-Type", "text/html"), Asker::sink).outcome == Outcome::done);
    CHECK(over_plain_http(with_header(response(200, "<a/>"), "Content-Type", "application/xml"), Asker::sink).outcome == Outcome::done);
    CHECK(over_plain_http(response(200, "<html>"), Asker::sink).outcome == Outcome::done);
    CHECK(over_plain_http(with_header(response(404, "<html>"), "Content-Type", "text/html"), Asker::sink).outcome == Outcome::dead);
  }

  TEST_CASE("a sink that its server asks to wait does so, and spends no attempt") {
    for (const int status : {429, 503}) {
      CAPTURE(status);
      HttpResult result = response(status, "slow down");
      CHECK(outcome(result, Asker::sink).outcome == Outcome::retry);  // for how long?
      CHECK_FALSE(outcome(result, Asker::sink).park_runner);
      result.response.headers.add("Retry-After", "120");
      const RunEnded asked = outcome(result, Asker::sink);
      CHECK(asked.outcome == Outcome::defer);
      CHECK(asked.park_runner);
      CHECK(asked.retry_after_ms == 120'001);
      CHECK(asked.error.ends_with("from ingest.example:443: slow down"));
      CHECK(outcome(result).outcome == Outcome::retry);
      CHECK_FALSE(outcome(result).park_runner);
    }
    for (const int status : {408, 425, 500, 502, 504}) {
      CAPTURE(status);
      HttpResult result = response(status);
      result.response.headers.add("Retry-After", "120");
      CHECK(outcome(result, Asker::sink).outcome == Outcome::retry);
      CHECK(outcome(result, Asker::sink).retry_after_ms == 120'001);
    }
  }

  TEST_CASE("what was not sent, or failed here, spends no attempt and parks the runner") {
    const HttpResult table[] = {
        failure(NetErrorKind::kDns, NetPhase::kDns, false),
        failure(NetErrorKind::kConnect, NetPhase::kConnect, false),
        failure(NetErrorKind::kTimeout, NetPhase::kConnect, false),
        failure(NetErrorKind::kTimeout, NetPhase::kQueue, false),
        failure(NetErrorKind::kTimeout, NetPhase::kTls, false),
        failure(NetErrorKind::kClosed, NetPhase::kTls, false),
        failure(NetErrorKind::kTlsDate, NetPhase::kTls, false),
        failure(NetErrorKind::kTlsProtocol, NetPhase::kTls, false),
        failure(NetErrorKind::kRefused, NetPhase::kConnect, false),  // a name that became private
        failure(NetErrorKind::kLocal, NetPhase::kNone, false),
        failure(NetErrorKind::kLocal, NetPhase::kFirstByte, true),  // memory; it is sent again with the same key
    };
    for (const HttpResult& result : table) {
      CAPTURE(net_error_name(result.error.kind));
      const RunEnded end = outcome(result);
      CHECK(end.outcome == Outcome::defer);
      CHECK(end.park_runner);
      CHECK(end.error == "what happened");
    }
  }

  TEST_CASE("a refused certificate waits for its repair, loudly") {
    const RunEnded theirs = outcome(failure(NetErrorKind::kTlsVerify, NetPhase::kTls, false));
    CHECK(theirs.outcome == Outcome::defer);
    CHECK(theirs.park_runner);
    CHECK(theirs.error ==
          "the certificate was refused, jobs wait until this is put right: what happened");
    // Ours, as a TLS 1.3 server says it: after the request.
    const RunEnded ours = outcome(failure(NetErrorKind::kTlsProtocol, NetPhase::kFirstByte, true));
    CHECK(ours.outcome == Outcome::defer);
    CHECK(ours.park_runner);
  }

  TEST_CASE("nginx refuses a client certificate with a page") {
    for (const char* title :
         {"The SSL certificate error", "No required SSL certificate was sent"}) {
      const HttpResult refused = response(400, std::string("<title>400 ") + title + "</title>");
      CHECK(outcome(refused).outcome == Outcome::defer);
      CHECK(outcome(refused).park_runner);
      CHECK_FALSE(about_content(refused));
      CHECK(outcome(refused).error.find("refuses our client certificate") != std::string::npos);
    }
    CHECK(outcome(response(400, "bad reading")).outcome == Outcome::dead);
    const std::string long_page = "The SSL certificate error" + std::string(1000, 'x');
    CHECK(outcome(response(400, long_page)).error.size() <= HF_ERROR_TEXT_MAX);
  }

  TEST_CASE("what may have reached the server is an attempt") {
    const HttpResult table[] = {
        failure(NetErrorKind::kClosed, NetPhase::kSend, true),
        failure(NetErrorKind::kClosed, NetPhase::kFirstByte, true),
        failure(NetErrorKind::kTimeout, NetPhase::kFirstByte, true),
        failure(NetErrorKind::kTimeout, NetPhase::kReceive, true),
        failure(NetErrorKind::kBadResponse, NetPhase::kReceive, true),
        failure(NetErrorKind::kTlsProtocol, NetPhase::kReceive, true),
    };
    for (const HttpResult& result : table) {
      CAPTURE(net_error_name(result.error.kind));
      const RunEnded end = outcome(result);
      CHECK(end.outcome == Outcome::retry);
      CHECK_FALSE(end.park_runner);
    }
  }

  TEST_CASE("a request that cannot be sent as it is, is dead; a cancelled one is handed back") {
    CHECK(outcome(failure(NetErrorKind::kRefused, NetPhase::kNone, false)).outcome ==
          Outcome::dead);
    CHECK(outcome(failure(NetErrorKind::kCanceled, NetPhase::kReceive, true)).outcome ==
          Outcome::handed_back);
  }

  TEST_CASE("a timeout is an attempt once something was sent") {
    const Url asked = *parse_url("https://ingest.example/v1");
    const auto stopped = [&](NetPhase phase, bool sent, StopReason reason) {
      const RunEnded end = stopped_outcome(failure(NetErrorKind::kCanceled, phase, sent), asked, reason, 5000);
      CHECK(end.park_runner == (end.outcome == Outcome::defer));
      CHECK(end.error.starts_with("timed out after 5s") == (reason == StopReason::timeout));
      return end.outcome;
    };
    // Its own body was being made all the time; others were in its way; the peer was not there.
    CHECK(stopped(NetPhase::kNone, false, StopReason::timeout) == Outcome::retry);
    CHECK(stopped(NetPhase::kQueue, false, StopReason::timeout) == Outcome::handed_back);
    for (const NetPhase phase : {NetPhase::kDns, NetPhase::kConnect, NetPhase::kProxy, NetPhase::kTls})
      CHECK(stopped(phase, false, StopReason::timeout) == Outcome::defer);
    for (const NetPhase phase : {NetPhase::kQueue, NetPhase::kTls, NetPhase::kSend, NetPhase::kReceive}) {
      CHECK(stopped(phase, true, StopReason::timeout) == Outcome::retry);  // also sent before, on a connection that broke
      CHECK(stopped(phase, false, StopReason::cancel) == Outcome::cancelled);
      CHECK(stopped(phase, false, StopReason::shutdown) == Outcome::handed_back);
    }
  }

  TEST_CASE("which refusals may lie in the content") {
    for (int status : {400, 403, 409, 413, 415, 422, 500}) CHECK(about_content(response(status)));
    for (int status : {200, 301, 401, 404, 405, 407, 410})
      CHECK_FALSE(about_content(response(status)));
    CHECK_FALSE(about_content(failure(NetErrorKind::kClosed, NetPhase::kSend, true)));
  }
}
