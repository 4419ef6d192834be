#include "handlers/outcome_rules.h"

#include <doctest/doctest.h>

#include "handlers/config.h"
#include "handlers/outcome_fields.h"

using namespace hf;

namespace {

constexpr const char* kExit = "\"x\": {\"exec\": [\"/bin/sh\"], \"on_exit\": ";
constexpr const char* kStatus = "\"x\": {\"url\": \"https://a.example/\", \"on_status\": ";

std::string document(const std::string& section, const std::string& members) { return "{\"" + section + "\": {" + members + "}}"; }
std::string failure_of(const std::string& text) {
  const auto config = parse_config(text, "h.json", ConfigOf::another);
  return config ? "" : config.error().message;
}
std::string exit_failure(const std::string& rules) { return failure_of(document("handlers", kExit + rules + "}")); }
std::string status_failure(const std::string& rules) { return failure_of(document("sinks", kStatus + rules + "}")); }

OutcomeRules on_exit(const std::string& rules) {
  const auto config = parse_config(document("handlers", kExit + rules + "}"), "h.json", ConfigOf::another);
  CAPTURE(config ? std::string() : config.error().message);
  REQUIRE(config);
  return config->handlers[0].on_exit;
}
OutcomeRules on_status(const std::string& rules) {
  const auto config = parse_config(document("sinks", kStatus + rules + "}"), "h.json", ConfigOf::another);
  CAPTURE(config ? std::string() : config.error().message);
  REQUIRE(config);
  return config->sinks[0].http.on_status;
}

std::string entries(size_t count, int from = 1) {
  std::string list;
  for (size_t i = 0; i < count; ++i) list += (i > 0 ? "," : "") + std::to_string(from + static_cast<int>(i));
  return "[" + list + "]";
}

constexpr const char* kExitExpected = "expected an exit code from 1 to 255 (0 is a success in any case) or a range in quotes, such as \"64-78\"";
constexpr const char* kStatusExpected = "expected a status from 200 to 599 or a range in quotes, such as \"400-499\"";

}  // namespace

TEST_SUITE("outcome rules") {
  TEST_CASE("what is not listed has no class") {
    const OutcomeRules none;
    for (const int number : {0, 1, 64, 255, 404, 599}) CHECK_FALSE(none.of(number));
  }

  TEST_CASE("numbers, ranges, and numbers that are exceptions of a range") {
    OutcomeRules rules;
    CHECK_FALSE(rules.add(400, 499, Outcome::dead));
    CHECK_FALSE(rules.add(404, 404, Outcome::retry));
    CHECK_FALSE(rules.add(503, 503, Outcome::defer));
    CHECK_FALSE(rules.add(304, 304, Outcome::done));
    CHECK_FALSE(rules.of(399));
    CHECK(rules.of(400) == Outcome::dead);
    CHECK(rules.of(403) == Outcome::dead);
    CHECK(rules.of(404) == Outcome::retry);
    CHECK(rules.of(405) == Outcome::dead);
    CHECK(rules.of(499) == Outcome::dead);
    CHECK_FALSE(rules.of(500));
    CHECK(rules.of(503) == Outcome::defer);
    CHECK(rules.of(304) == Outcome::done);
  }

  TEST_CASE("the exception may come first") {
    OutcomeRules rules;
    CHECK_FALSE(rules.add(75, 75, Outcome::defer));
    CHECK_FALSE(rules.add(64, 78, Outcome::dead));
    CHECK(rules.of(74) == Outcome::dead);
    CHECK(rules.of(75) == Outcome::defer);
    CHECK(rules.of(76) == Outcome::dead);
  }

  TEST_CASE("two that meet clash if they mean something else, and nothing is added") {
    OutcomeRules rules;
    CHECK_FALSE(rules.add(10, 20, Outcome::dead));
    CHECK_FALSE(rules.add(30, 40, Outcome::retry));
    CHECK_FALSE(rules.add(7, 7, Outcome::retry));
    const auto clash = [&](int first, int last, Outcome outcome) {
      OutcomeRules more = rules;
      const auto found = more.add(first, last, outcome);
      if (found) CHECK(more == rules);
      return found ? found->number : 0;
    };
    CHECK(clash(7, 7, Outcome::defer) == 7);
    CHECK(clash(7, 7, Outcome::retry) == 0);
    CHECK(clash(8, 8, Outcome::defer) == 0);
    CHECK(clash(20, 21, Outcome::defer) == 20);
    CHECK(clash(1, 10, Outcome::defer) == 10);
    CHECK(clash(1, 9, Outcome::defer) == 0);
    CHECK(clash(21, 29, Outcome::defer) == 0);
    CHECK(clash(12, 13, Outcome::defer) == 12);
    CHECK(clash(1, 99, Outcome::defer) == 10);  // the least of them all
    CHECK(clash(15, 35, Outcome::dead) == 30);
    CHECK(clash(15, 25, Outcome::dead) == 0);
    CHECK(rules.add(31, 99, Outcome::defer)->outcome == Outcome::retry);
  }

  TEST_CASE("as the documentation has it") {
    const OutcomeRules codes = on_exit(R"({"permanent": [2, "64-78"], "retry": [1], "defer": [75], "ok": [3]})");
    CHECK(codes.of(2) == Outcome::dead);
    CHECK(codes.of(64) == Outcome::dead);
    CHECK(codes.of(78) == Outcome::dead);
    CHECK(codes.of(1) == Outcome::retry);
    CHECK(codes.of(75) == Outcome::defer);
    CHECK(codes.of(3) == Outcome::done);
    CHECK_FALSE(codes.of(63));
    CHECK_FALSE(codes.of(79));
    CHECK_FALSE(codes.of(0));
    const OutcomeRules statuses = on_status(R"({"permanent": ["400-499"], "retry": [404, 409], "defer": [503], "ok": [304]})");
    CHECK(statuses.of(400) == Outcome::dead);
    CHECK(statuses.of(404) == Outcome::retry);
    CHECK(statuses.of(409) == Outcome::retry);
    CHECK(statuses.of(503) == Outcome::defer);
    CHECK(statuses.of(304) == Outcome::done);
    CHECK_FALSE(statuses.of(500));
  }

  TEST_CASE("they are part of a handler's and a sink's configuration, and a change of them is one") {
    const auto http = parse_config(R"({"handlers": {"x": {"http": {"url": "https://a.example/", "on_status": {"ok": ["404-404"]}}}}})", "h.json", ConfigOf::another);
    REQUIRE(http);
    CHECK(http->handlers[0].http.on_status.of(404) == Outcome::done);
    HandlerConfig other = http->handlers[0];
    CHECK(other == http->handlers[0]);
    REQUIRE_FALSE(other.http.on_status.add(410, 410, Outcome::done));
    CHECK(other != http->handlers[0]);
    CHECK(on_exit(R"({"ok": [3]})") == on_exit(R"({"ok": [3]})"));
    CHECK(on_exit(R"({"ok": [3]})") != on_exit(R"({"retry": [3]})"));
    CHECK(on_exit("{}") == OutcomeRules());
  }

  TEST_CASE("the first and the last number there is") {
    const OutcomeRules codes = on_exit(R"({"ok": ["1-255"], "retry": [1, 255]})");
    CHECK(codes.of(1) == Outcome::retry);
    CHECK(codes.of(2) == Outcome::done);
    CHECK(codes.of(254) == Outcome::done);
    CHECK(codes.of(255) == Outcome::retry);
    CHECK(on_status(R"({"retry": ["200-599"]})").of(200) == Outcome::retry);
    CHECK(on_status(R"({"retry": ["200-599"]})").of(599) == Outcome::retry);
    CHECK(exit_failure(R"({"ok": [3, 0]})") == "h.json:1: handlers.x.on_exit.ok[1]: found 0, " + std::string(kExitExpected));
    CHECK(exit_failure(R"({"retry": [256]})") == "h.json:1: handlers.x.on_exit.retry[0]: found 256, " + std::string(kExitExpected));
    CHECK(status_failure(R"({"defer": [199]})") == "h.json:1: sinks.x.on_status.defer[0]: found 199, " + std::string(kStatusExpected));
    CHECK(status_failure(R"({"permanent": ["500-600"]})") == "h.json:1: sinks.x.on_status.permanent[0]: found \"500-600\", " + std::string(kStatusExpected));
  }

  TEST_CASE("what is no number and no range") {
    for (const char* entry : {"\"2\"", "\"\"", "\"-\"", "\"2-\"", "\"-2\"", "\"2--3\"", "\"2-3-4\"", "\" 2-3\"", "\"2 - 3\"", "\"0-3\"", "\"4xx\"", "\"0x2-0x3\"",
                              "\"+2-3\"", "\"2-99999999999999999999\"", "\"64\\u0000-78\"", "-1", "1.5", "1e2", "18446744073709551617", "true", "null", "[2]", "{}"}) {
      CAPTURE(entry);
      const std::string said = exit_failure("{\"retry\": [" + std::string(entry) + "]}");
      CHECK(said.starts_with("h.json:1: handlers.x.on_exit.retry[0]: found "));
      CHECK(said.ends_with(kExitExpected));
    }
    CHECK(exit_failure(R"({"retry": ["78-64"]})") == "h.json:1: handlers.x.on_exit.retry[0]: \"78-64\" runs backwards: \"64-78\" is meant");
    CHECK(exit_failure(R"({"retry": 1})") == "h.json:1: handlers.x.on_exit.retry: found 1, expected an array");
    CHECK(exit_failure(R"({"retry": []})") == "h.json:1: handlers.x.on_exit.retry: the array is empty");
    CHECK(exit_failure("[1]") == "h.json:1: handlers.x.on_exit: found an array, expected an object");
    CHECK(exit_failure(R"({"permanant": [1]})") ==
          "h.json:1: handlers.x.on_exit.permanant: unknown key; did you mean \"permanent\"? (known here: ok, retry, permanent and defer)");
  }

  TEST_CASE("a number in two classes: both are named") {
    CHECK(exit_failure(R"({"permanent": [2, 7], "retry": [1, 7]})") ==
          "h.json:1: handlers.x.on_exit.retry[1]: 7 is in \"permanent\" and in \"retry\": one of them is meant");
    CHECK(status_failure(R"({"defer": ["500-504"], "ok": ["200-202", "503-510"]})") ==
          "h.json:1: sinks.x.on_status.ok[1]: 503 is in \"defer\" and in \"ok\", by ranges: one of them is meant, or a number by itself, which goes before a range");
    CHECK(exit_failure(R"({"permanent": [7, "1-9", 7, "5-12"]})") == "");  // twice in one class says nothing else
  }

  TEST_CASE("so many entries a class, and no more") {
    CHECK(kOutcomeEntriesMax == 64);
    CHECK(exit_failure("{\"ok\": " + entries(64) + ", \"retry\": " + entries(64, 65) + "}") == "");
    CHECK(exit_failure("{\"ok\": " + entries(65) + "}") == "h.json:1: handlers.x.on_exit.ok: the array has 65 items: at most 64 are allowed");
    CHECK(on_exit("{\"ok\": " + entries(64) + "}").of(64) == Outcome::done);
  }

  TEST_CASE("where they have no meaning they are refused") {
    CHECK(failure_of(R"({"handlers": {"x": {"http": {"url": "https://a.example/"}, "on_exit": {}}}})") == "h.json:1: handlers.x: \"on_exit\" is for \"exec\" only");
    CHECK(failure_of(R"({"handlers": {"x": {"exec": ["/bin/sh"], "on_status": {}}}})").find("handlers.x.on_status: unknown key") != std::string::npos);
    CHECK(failure_of(document("sinks", std::string(kStatus) + R"({}, "files": {"root": "/tmp"}})")) ==
          "h.json:1: sinks.x: \"on_status\" and \"files\" exclude each other: the protocol of an upload says what a status means");
    CHECK(failure_of(R"({"sinks": {"x": {"url": "tls://a.example", "nats": {"subject": "a"}, "on_status": {"ok": [404]}}}})") ==
          "h.json:1: sinks.x.on_status: it does not go with a broker's URL of this kind");
  }
}
