// What a configuration says of the runs of a program: its log, its soft timeout.
#include <doctest/doctest.h>

#include "handlers/apply_config.h"
#include "handlers/config.h"

using namespace hf;

namespace {

Result<Config> parse(const std::string& members) { return parse_config("{\"handlers\": {\n\"report\": {" + members + "}}}", "h.json"); }
std::string failure(const std::string& members) {
  const auto config = parse(members);
  return config ? "" : config.error().message;
}
const std::string kExec = R"("exec": ["/bin/true"])";
const std::string kHttp = R"("http": {"url": "https://hooks.example/"})";

}  // namespace

TEST_CASE("a log and a soft timeout are read, and go to the engine") {
  const auto config = parse(kExec + R"(, "timeout": "1m", "soft_timeout": "30s", "log": "stderr")");
  REQUIRE_MESSAGE(config.ok(), config.error().message);
  CHECK(config->handlers[0].log_stderr);
  CHECK(runner_spec(config->handlers[0]).soft_timeout_ms == 30000);
  const auto none = parse(kExec + R"(, "log": "none")");
  REQUIRE(none);
  CHECK_FALSE(none->handlers[0].log_stderr);
  CHECK(runner_spec(none->handlers[0]).soft_timeout_ms == 0);
  CHECK(none->handlers[0] == parse(kExec)->handlers[0]);
  CHECK_FALSE(config->handlers[0] == none->handlers[0]);
}

TEST_CASE("what neither can be is told") {
  CHECK(failure(kExec + R"(, "log": "stdout")") == "h.json:2: handlers.report.log: found \"stdout\", expected \"none\" or \"stderr\"");
  CHECK(failure(kExec + R"(, "log": true)").find("handlers.report.log: ") != std::string::npos);
  CHECK(failure(kHttp + R"(, "log": "stderr")") == "h.json:2: handlers.report: \"log\" is for \"exec\" only");
  CHECK(failure(kHttp + R"(, "soft_timeout": "5s")") == "h.json:2: handlers.report: \"soft_timeout\" is for \"exec\" only");
  CHECK(failure(kExec + R"(, "soft_timeout": "5m")") == "h.json:2: handlers.report: soft_timeout is 5m and timeout 5m; soft_timeout has to be shorter");
  CHECK(failure(kExec + R"(, "timeout": "30s", "soft_timeout": "30s")").find("soft_timeout is 30s and timeout 30s") != std::string::npos);
  CHECK(failure(kExec + R"(, "timeout": "none", "soft_timeout": "30d")") == "");
  CHECK(failure(kExec + R"(, "timeout": "none", "soft_timeout": "31d")").find("handlers.report.soft_timeout: ") != std::string::npos);
  CHECK(failure(kExec + R"(, "soft_timeout": "99ms")").find("handlers.report.soft_timeout: ") != std::string::npos);
  CHECK(failure(kExec + R"(, "soft_timeout": "100ms")") == "");
}
