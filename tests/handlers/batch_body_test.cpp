#include "handlers/batch_body.h"

#include <doctest/doctest.h>
#include <zlib.h>
#include <zstd.h>

#include <nlohmann/json.hpp>

#include "handlers/ndjson.h"

using namespace hf;

namespace {

std::vector<RunJob> jobs_with(std::vector<std::string> results) {
  std::vector<RunJob> jobs;
  for (std::string& result : results) {
    RunJob& job = jobs.emplace_back();
    job.id = static_cast<JobId>(jobs.size());
    job.attempt = 2;
    job.type = "report";
    job.queue = "default";
    job.key = "gw-" + std::to_string(job.id);
    job.created_wall_ms = 1'795'573'800'000;
    job.bytes = std::move(result);
  }
  return jobs;
}

struct Made {
  std::string body, type, encoding;
  HttpHeaders headers;
  int steps = 0;
};
Made made(const std::vector<RunJob>& jobs, BatchFormat format, Encoding encoding = Encoding::none) {
  Made out;
  BatchBody body(format, encoding);
  do {
    REQUIRE(out.steps++ < 10'000);
  } while (!body.step(jobs));
  body.add_headers(jobs, &out.headers);
  out.type = body.content_type();
  out.encoding = out.headers.get("Content-Encoding");
  CHECK(out.encoding == (body.encoding() == Encoding::none ? "" : encoding_name(body.encoding())));
  out.body = body.take();
  return out;
}

std::string unpacked(const Made& made, size_t size) {
  std::string out(size + 1, '\0');
  size_t got = 0;
  if (made.encoding == "zstd") {
    got = ZSTD_decompress(out.data(), out.size(), made.body.data(), made.body.size());
    REQUIRE_FALSE(ZSTD_isError(got));
  } else {
    REQUIRE(made.encoding == "gzip");
    z_stream stream = {};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(made.body.data()));
    stream.avail_in = static_cast<uInt>(made.body.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    got = out.size() - stream.avail_out;
    inflateEnd(&stream);
  }
  out.resize(got);
  return out;
}

const std::vector<std::string> kResults = {R"({"a":1})", "", "two\nlines", "\xff\xfe", "[1, 2]"};

}  // namespace

TEST_SUITE("batch body") {
  TEST_CASE("ndjson: a line a job") {
    const auto jobs = jobs_with(kResults);
    const Made lines = made(jobs, BatchFormat::ndjson);
    std::string expected;
    for (const RunJob& job : jobs) expected += ndjson_line(job);
    CHECK(lines.body == expected);
    CHECK(lines.type == "application/x-ndjson");
    CHECK(lines.headers.fields().empty());
  }

  TEST_CASE("json: an array of the same objects") {
    for (const size_t count : {size_t{1}, size_t{2}, kResults.size()}) {
      const auto jobs = jobs_with({kResults.begin(), kResults.begin() + static_cast<std::ptrdiff_t>(count)});
      const Made array = made(jobs, BatchFormat::json);
      CHECK(array.type == "application/json");
      const auto tree = nlohmann::json::parse(array.body);
      REQUIRE(tree.is_array());
      REQUIRE(tree.size() == count);
      for (size_t i = 0; i < count; ++i) CHECK(tree[i] == nlohmann::json::parse(json_object(jobs[i])));
    }
  }

  TEST_CASE("raw: the result as it is, and the rest in headers") {
    struct Case {
      const char *result, *type;
    };
    for (const Case& c : {Case{" {\"a\" : 1.50}\n", "application/json"}, {"done\n", "text/plain; charset=utf-8"}, {"\xff\xfe", "application/octet-stream"}}) {
      CAPTURE(c.type);
      const Made raw = made(jobs_with({c.result}), BatchFormat::raw);
      CHECK(raw.body == c.result);
      CHECK(raw.type == c.type);
    }
    CHECK(made(jobs_with({""}), BatchFormat::raw).body.empty());

    auto jobs = jobs_with({"1"});
    Made raw = made(jobs, BatchFormat::raw);
    CHECK(raw.headers.fields().size() == 5);
    CHECK(raw.headers.get("Holdfast-Job-Id") == "1");
    CHECK(raw.headers.get("Holdfast-Type") == "report");
    CHECK(raw.headers.get("Holdfast-Queue") == "default");
    CHECK(raw.headers.get("Holdfast-Created") == "2026-11-25T02:30:00Z");
    CHECK(raw.headers.get("Holdfast-Attempt") == "2");
    jobs[0].schedule = "nightly";
    jobs[0].occurrence_wall_ms = 1'795'573'800'000;
    jobs[0].tags = "100% Gr\xc3\xbc\n\xc3\x9f" "e ";
    raw = made(jobs, BatchFormat::raw);
    CHECK(raw.headers.get("Holdfast-Schedule") == "nightly");
    CHECK(raw.headers.get("Holdfast-Occurrence") == "2026-11-25T02:30:00Z");
    CHECK(raw.headers.get("Holdfast-Tags") == "100%25%20Gr%C3%BC%0A%C3%9Fe%20");
  }

  TEST_CASE("compressed, it is the same in the end") {
    std::vector<std::string> results;
    for (int i = 0; i < 2000; ++i) results.push_back("{\"n\":" + std::to_string(i) + "}");
    results.push_back(std::string(300'000, 'x'));  // one that takes several steps
    const auto jobs = jobs_with(results);
    for (const BatchFormat format : {BatchFormat::ndjson, BatchFormat::json}) {
      const Made plain = made(jobs, format);
      for (const Encoding encoding : {Encoding::gzip, Encoding::zstd}) {
        CAPTURE(encoding_name(encoding));
        const Made packed = made(jobs, format, encoding);
        CHECK(packed.type == plain.type);
        CHECK(packed.body.size() < plain.body.size() / 8);
        CHECK(packed.steps == plain.steps);
        CHECK(unpacked(packed, plain.body.size()) == plain.body);
      }
    }
    const auto one = jobs_with({std::string(5000, 'y')});
    CHECK(unpacked(made(one, BatchFormat::raw, Encoding::zstd), 5000) == one[0].bytes);
  }

  TEST_CASE("the edge from which it is compressed") {
    for (const size_t size : {kCompressFrom - 1, kCompressFrom}) {
      const Made raw = made(jobs_with({std::string(size, 'z')}), BatchFormat::raw, Encoding::gzip);
      CHECK(raw.encoding == (size < kCompressFrom ? "" : "gzip"));
      CHECK((raw.body.size() == size) == (size < kCompressFrom));
    }
  }

  TEST_CASE("a step is bounded: a large body takes many") {
    const Made raw = made(jobs_with({std::string(10 * kBodyStep + 1, 'z')}), BatchFormat::raw, Encoding::zstd);
    CHECK(raw.steps == 11);
    CHECK(made(jobs_with({"1", "2", "3"}), BatchFormat::ndjson).steps == 1);
  }
}
