#include "handlers/ndjson.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace hf;

namespace {

RunJob job_with(std::string result) {
  RunJob job;
  job.id = 7;
  job.attempt = 2;
  job.type = "report";
  job.queue = "default";
  job.key = "gw-0042-7";
  job.created_wall_ms = 1'795'573'800'000;
  job.bytes = std::move(result);
  return job;
}

// What follows the fields that are always there.
std::string tail_of(std::string result) {
  const std::string line = ndjson_line(job_with(std::move(result)));
  const std::string head = R"({"key":"gw-0042-7","id":7,"type":"report","queue":"default",)"
                           R"("created_at":"2026-11-25T02:30:00Z","attempt":2,)";
  REQUIRE(line.starts_with(head));
  REQUIRE(line.ends_with("}\n"));
  REQUIRE(line.find('\n') == line.size() - 1);
  REQUIRE(nlohmann::json::accept(line));
  return line.substr(head.size(), line.size() - head.size() - 2);
}

}  // namespace

TEST_SUITE("ndjson") {
  TEST_CASE("a JSON result is taken over, without its blanks") {
    CHECK(tail_of(R"({"a":1})") == R"("result":{"a":1})");
    CHECK(tail_of("\n{ \"a b\" :\t[1,\r\n 2 ] }\n") == R"("result":{"a b":[1,2]})");
    CHECK(tail_of(R"(["\" ]\\", "\\"])") == R"("result":["\" ]\\","\\"])");
    CHECK(tail_of("12345678901234567890.10 ") == R"("result":12345678901234567890.10)");
    CHECK(tail_of("null") == R"("result":null)");
    CHECK(tail_of("") == R"("result":null)");
  }

  TEST_CASE("other text is a string") {
    CHECK(tail_of("done: 3 \"files\"\n") == R"("result_text":"done: 3 \"files\"\n")");
    CHECK(tail_of("{\"a\":1}{\"b\":2}") == R"("result_text":"{\"a\":1}{\"b\":2}")");
    CHECK(tail_of(" \n") == R"("result_text":" \n")");
    CHECK(tail_of("Gr\xc3\xbc\xc3\x9f"
                  "e") ==
          "\"result_text\":\"Gr\xc3\xbc\xc3\x9f"
          "e\"");
  }

  TEST_CASE("what only looks like JSON is not spliced in") {
    CHECK(tail_of(std::string("{}\0garbage", 10)) == R"("result_text":"{}\u0000garbage")");
    CHECK(tail_of("\xef\xbb\xbf{}") == "\"result_text\":\"\xef\xbb\xbf{}\"");
    CHECK(tail_of("NaN") == R"("result_text":"NaN")");
    CHECK(tail_of("{\"a\":\"\xff\"}") == R"("result_base64":"eyJhIjoi/yJ9")");
  }

  TEST_CASE("bytes are base64") {
    CHECK(tail_of("\xff\xfe") == R"("result_base64":"//4=")");
  }

  TEST_CASE("deep nesting does not use the stack up") {
    const std::string deep = std::string(120'000, '[') + std::string(120'000, ']');
    CHECK(json_without_blanks(deep) == deep);
  }

  TEST_CASE("what a job may have more") {
    RunJob job = job_with("1");
    job.schedule = "nightly";
    job.occurrence_wall_ms = 1'795'573'800'000;
    job.tags = "site=\"7\"";
    CHECK(ndjson_line(job).ends_with(R"("attempt":2,"occurrence":"2026-11-25T02:30:00Z",)"
                                     R"("schedule":"nightly","tags":"site=\"7\"","result":1})"
                                     "\n"));
  }
}
