// What is asked and how answers are understood, without a network; what jobs say, and what is remembered.
#include "handlers/upload_protocol.h"

#include <doctest/doctest.h>

#include <utility>

#include "handlers/upload_job.h"

using namespace hf;

namespace {

UploadFile file(int64_t size, const std::string& url = "https://h.example/files") {
  UploadFile f;
  f.url = *parse_url(url);
  f.peer = f.url.host_port();
  f.path = "clips/a b.mp4";
  f.metadata = "filename YQ==";
  f.content_type = "video/mp4";
  f.key = "gw-1";
  f.size = size;
  f.chunk = 100;
  return f;
}

HttpResponse says(int status, std::initializer_list<std::pair<const char*, std::string>> headers = {}) {
  HttpResponse response;
  response.status = status;
  for (const auto& [name, value] : headers) response.headers.add(name, value);
  return response;
}

struct Tus {
  TusServer server;
  std::unique_ptr<UploadProtocol> tus;
  explicit Tus(UploadFile f, const std::string& url = "", int made = 0) : tus(make_tus(std::move(f), server, url, made)) {}
  std::string method() { return tus->next().method; }
  Heard hear(int status, std::initializer_list<std::pair<const char*, std::string>> headers = {}) { return tus->heard(says(status, headers)); }
  void create(const std::string& location = "/files/7") {
    REQUIRE(method() == "POST");
    REQUIRE(hear(201, {{"Location", location}}) == Heard::go_on);
  }
};

UploadJob job_of(const std::string& result) {
  RunJob job;
  job.id = 7;
  job.key = "gw-7";
  job.type = "clip";
  job.queue = "default";
  job.bytes = result;
  const auto parsed = parse_upload_job(job);
  if (!parsed) FAIL(parsed.error().message);
  return *parsed;
}
std::string refused(const std::string& result) {
  RunJob job;
  job.bytes = result;
  const auto parsed = parse_upload_job(job);
  return parsed ? "" : parsed.error().message;
}

}  // namespace

TEST_SUITE("upload") {
  TEST_CASE("tus: created, sent in chunks, done") {
    Tus t(file(250));
    const UploadAsk post = t.tus->next();
    CHECK(post.method == "POST");
    CHECK(post.url.text() == "https://h.example/files");
    CHECK(post.headers.get("Tus-Resumable") == "1.0.0");
    CHECK(post.headers.get("Upload-Length") == "250");
    CHECK(post.headers.get("Upload-Metadata") == "filename YQ==");
    CHECK(post.headers.get("Idempotency-Key") == "gw-1");
    CHECK(post.size == 0);
    CHECK(t.tus->place().empty());
    CHECK(t.hear(201, {{"Location", "7"}}) == Heard::go_on);
    CHECK(t.tus->place() == "https://h.example/7");
    for (const int64_t from : {0, 100, 200}) {
      const UploadAsk patch = t.tus->next();
      CHECK(patch.method == "PATCH");
      CHECK(patch.url.text() == "https://h.example/7");
      CHECK(patch.headers.get("Content-Type") == "application/offset+octet-stream");
      CHECK(patch.headers.get("Upload-Offset") == std::to_string(from));
      CHECK(patch.from == from);
      CHECK(patch.size == std::min<int64_t>(100, 250 - from));
      CHECK(patch.sum_header.empty());
      CHECK(t.hear(204, {{"Upload-Offset", std::to_string(from + patch.size)}}) == (from == 200 ? Heard::done : Heard::go_on));
      CHECK(t.tus->offset() == from + patch.size);
    }
  }

  TEST_CASE("tus: an empty file is done when it is created") {
    Tus t(file(0));
    CHECK(t.method() == "POST");
    CHECK(t.hear(201, {{"Location", "/files/7"}}) == Heard::done);
  }

  TEST_CASE("tus: after a break it asks, and goes on from there") {
    Tus t(file(250));
    t.create();
    CHECK(t.method() == "PATCH");
    CHECK(t.tus->broke());
    const UploadAsk head = t.tus->next();
    CHECK(head.method == "HEAD");
    CHECK(head.url.target == "/files/7");
    CHECK(t.tus->broke());
    CHECK(t.method() == "HEAD");
    CHECK(t.hear(200, {{"Upload-Offset", "42"}, {"Upload-Length", "250"}}) == Heard::go_on);
    CHECK(t.tus->next().from == 42);
    CHECK(t.hear(409) == Heard::not_stored);
    CHECK(t.method() == "HEAD");
    CHECK(t.hear(200, {{"Upload-Offset", "250"}}) == Heard::done);
  }

  TEST_CASE("tus: a creation whose answer was lost is asked for with the same key") {
    Tus t(file(250));
    CHECK(t.tus->next().headers.get("Idempotency-Key") == "gw-1");
    CHECK(t.tus->broke());
    CHECK(t.method() == "POST");
    CHECK(t.tus->next().headers.get("Idempotency-Key") == "gw-1");
    t.create();
    CHECK(t.method() == "PATCH");
    CHECK(t.hear(409) == Heard::not_stored);  // it has some already
    CHECK(t.hear(200, {{"Upload-Offset", "200"}}) == Heard::go_on);
    CHECK(t.tus->next().from == 200);
  }

  TEST_CASE("tus: it goes on with the upload that is remembered, if it is of the same server") {
    Tus t(file(250), "https://h.example/files/7", 2);
    CHECK(t.method() == "HEAD");
    CHECK(t.tus->place() == "https://h.example/files/7");
    for (const char* other : {"https://other.example/files/7", "http://h.example/files/7", "nonsense"}) {
      Tus u(file(250), other, 2);
      CHECK(u.method() == "POST");
      CHECK(u.tus->next().headers.get("Idempotency-Key") == "gw-1-2");
    }
  }

  TEST_CASE("tus: an upload that is gone, or another file's, is made anew under another key") {
    for (const int status : {403, 404, 410}) {
      Tus t(file(250), "https://h.example/files/7", 0);
      CHECK(t.method() == "HEAD");
      CHECK(t.hear(status) == Heard::not_stored);
      CHECK(t.tus->next().headers.get("Idempotency-Key") == "gw-1-1");
      CHECK(t.tus->made() == 1);
      t.create("/files/8");
      CHECK(t.method() == "PATCH");
      CHECK(t.hear(status) == Heard::not_stored);
      CHECK(t.tus->next().headers.get("Idempotency-Key") == "gw-1-2");
    }
    Tus longer(file(250), "https://h.example/files/7");
    CHECK(longer.hear(200, {{"Upload-Offset", "0"}, {"Upload-Length", "251"}}) == Heard::not_stored);
    CHECK(longer.method() == "POST");
    Tus beyond(file(250), "https://h.example/files/7");
    CHECK(beyond.hear(200, {{"Upload-Offset", "251"}}) == Heard::not_stored);
    CHECK(beyond.method() == "POST");
  }

  TEST_CASE("tus: a place at another server is refused, and not with an attempt") {
    for (const char* other : {"https://evil.example/files/7", "http://h.example/files/7", "//h.example:444/7"}) {
      Tus t(file(250));
      CHECK(t.hear(201, {{"Location", other}}) == Heard::failed);
      CHECK(t.tus->trouble().outcome == Outcome::defer);
      CHECK(t.tus->trouble().park_runner);
      CHECK(t.tus->place().empty());
    }
    Tus none(file(250));
    CHECK(none.hear(201) == Heard::failed);
    CHECK(none.tus->trouble().outcome == Outcome::retry);
    Tus longest(file(250));
    const std::string start = "https://h.example/";
    CHECK(longest.hear(201, {{"Location", start + std::string(kUploadUrlMax - start.size(), 'u')}}) == Heard::go_on);
    Tus longer(file(250));
    CHECK(longer.hear(201, {{"Location", start + std::string(kUploadUrlMax - start.size() + 1, 'u')}}) == Heard::failed);
    CHECK(longer.tus->trouble().outcome == Outcome::dead);
  }

  TEST_CASE("tus: an offset that cannot be is asked for again") {
    for (const char* offset : {"0", "101", "x", "-1", ""}) {
      Tus t(file(250));
      t.create();
      CHECK(t.method() == "PATCH");
      CHECK(t.hear(204, {{"Upload-Offset", offset}}) == Heard::not_stored);
      CHECK(t.method() == "HEAD");
    }
    Tus t(file(250), "https://h.example/files/7");
    CHECK(t.hear(200) == Heard::failed);
    CHECK(t.tus->trouble().outcome == Outcome::retry);
  }

  TEST_CASE("tus: checksums go along if the server takes sha256") {
    UploadFile f = file(250);
    f.sum = std::string(32, 's');
    Tus t(f);
    CHECK(t.method() == "OPTIONS");
    CHECK(t.hear(204, {{"Tus-Checksum-Algorithm", "sha1, sha256"}, {"Tus-Max-Size", "250"}}) == Heard::go_on);
    t.create();
    CHECK(t.tus->next().sum_header == "Upload-Checksum");
    CHECK(t.tus->next().sum_before == "sha256 ");
    CHECK(t.hear(460) == Heard::not_stored);
    CHECK(t.method() == "HEAD");

    Tus without(f);
    CHECK(without.hear(404) == Heard::go_on);
    without.create();
    CHECK(without.tus->next().sum_header.empty());
    without.tus = make_tus(f, without.server, "", 0);
    CHECK(without.method() == "POST");  // asked for once

    Tus small(f);
    CHECK(small.hear(204, {{"Tus-Max-Size", "249"}}) == Heard::failed);
    CHECK(small.tus->trouble().outcome == Outcome::dead);
  }

  TEST_CASE("tus: what else may be said") {
    Tus t(file(250));
    CHECK(t.hear(412) == Heard::failed);
    CHECK(t.tus->trouble().outcome == Outcome::dead);
    CHECK(t.hear(423) == Heard::failed);
    CHECK(t.tus->trouble().outcome == Outcome::retry);
    CHECK(t.hear(500) == Heard::unknown);
    CHECK(t.hear(413) == Heard::unknown);
  }

  TEST_CASE("range: chunks, and 308 says how far it is") {
    auto range = make_range(file(250, "https://h.example/in/"), false, 0);
    UploadAsk ask = range->next();
    CHECK(ask.method == "PUT");
    CHECK(ask.url.target == "/in/clips/a%20b.mp4");
    CHECK(ask.headers.get("Content-Range") == "bytes 0-99/250");
    CHECK(ask.headers.get("Content-Type") == "video/mp4");
    CHECK(ask.headers.get("Idempotency-Key") == "gw-1-0");
    CHECK(range->heard(says(308, {{"Range", "bytes=0-49"}})) == Heard::go_on);
    CHECK(range->offset() == 50);
    ask = range->next();
    CHECK(ask.headers.get("Content-Range") == "bytes 50-149/250");
    CHECK(range->heard(says(308, {{"Range", "bytes=0-49"}})) == Heard::not_stored);
    CHECK(range->next().from == 50);
    CHECK(range->heard(says(200)) == Heard::go_on);  // a server that says so of each part
    CHECK(range->next().headers.get("Content-Range") == "bytes 150-249/250");
    CHECK(range->broke());
    ask = range->next();
    CHECK(ask.headers.get("Content-Range") == "bytes */250");
    CHECK(ask.size == 0);
    CHECK(range->heard(says(308, {{"Range", "bytes=0-199"}})) == Heard::go_on);
    CHECK(range->next().from == 200);
    CHECK(range->heard(says(201)) == Heard::done);
  }

  TEST_CASE("range: what was begun before is asked for") {
    const auto first = [](HttpResponse response) {
      auto range = make_range(file(250), true, 0);
      CHECK(range->next().headers.get("Content-Range") == "bytes */250");
      return std::pair(range->heard(response), range->next().from);
    };
    CHECK(first(says(200)).first == Heard::done);
    CHECK(first(says(308)) == std::pair(Heard::go_on, int64_t{0}));
    CHECK(first(says(308, {{"Range", "bytes=0-249"}})).first == Heard::done);
    CHECK(first(says(404)) == std::pair(Heard::not_stored, int64_t{0}));
    CHECK(first(says(308, {{"Range", "bytes=0-250"}})).first == Heard::failed);
    CHECK(first(says(308, {{"Range", "bytes=5-9"}})).first == Heard::failed);
    CHECK(first(says(308, {{"Location", "/moved"}})).first == Heard::unknown);
    CHECK(first(says(501)).first == Heard::unknown);
  }

  TEST_CASE("range: what is sent anew has other keys, and what was not sent is not there") {
    auto range = make_range(file(250), false, 0);
    CHECK(range->next().headers.get("Idempotency-Key") == "gw-1-0");
    CHECK(range->heard(says(308, {{"Range", "bytes=0-99"}})) == Heard::go_on);
    CHECK(range->next().headers.get("Idempotency-Key") == "gw-1-100");
    CHECK(range->heard(says(308, {{"Range", "bytes=0-200"}})) == Heard::failed);
    CHECK(range->trouble().outcome == Outcome::retry);
    for (const int status : {404, 410}) {
      auto again = make_range(file(250), true, 2);
      again->next();
      CHECK(again->heard(says(status)) == Heard::not_stored);
      CHECK(again->made() == 3);
      CHECK(again->next().headers.get("Idempotency-Key") == "gw-1-0-3");
    }
  }

  TEST_CASE("put: the whole at once, with its digest") {
    UploadFile f = file(250);
    f.sum = std::string(32, '\0');
    auto put = make_put(f);
    const UploadAsk ask = put->next();
    CHECK(ask.url.target == "/files");
    CHECK(ask.headers.get("Repr-Digest") == "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:");
    CHECK(ask.headers.get("Idempotency-Key") == "gw-1");
    CHECK(ask.size == 250);
    CHECK(put->heard(says(201)) == Heard::done);
    CHECK(put->heard(says(301)) == Heard::unknown);
    CHECK_FALSE(put->broke());
  }

  TEST_CASE("a job names a file, and what else it says goes along") {
    const UploadJob job = job_of(R"({"file": "clips/7.mp4", "filetype": "video/mp4", "n": 3, "deep": {"a": [1, 2]}, "key": "not ours", "none": ""})");
    CHECK(job.path == "clips/7.mp4");
    CHECK(job.name == "7.mp4");
    CHECK(job.content_type == "video/mp4");
    CHECK(job.metadata == "filename Ny5tcDQ=,key Z3ctNw==,job Nw==,type Y2xpcA==,queue ZGVmYXVsdA==,filetype dmlkZW8vbXA0,n Mw==,deep eyJhIjpbMSwyXX0=,none");
    CHECK(job_of(R"({"file": "7", "filename": "other"})").name == "other");
    CHECK(job_of(R"({"file": "7"})").content_type == "application/octet-stream");
    for (const char* none : {"", "7", "[]", "{}", R"({"file": 7})", R"({"path": "x"})"}) CHECK(refused(none).find("names no file") != std::string::npos);
    CHECK(refused(R"({"file": "../x"})").find("..") != std::string::npos);
    CHECK(refused(R"({"file": "x", "a b": 1})").find("metadata") != std::string::npos);
    CHECK(refused(R"({"file": "x", "": 1})").find("metadata") != std::string::npos);
    CHECK(refused("{\"file\": \"x\", \"m\": \"" + std::string(2900, 'm') + "\"}").empty());
    CHECK(refused("{\"file\": \"x\", \"m\": \"" + std::string(3100, 'm') + "\"}").find("limit") != std::string::npos);
  }

  TEST_CASE("what is remembered comes back, and fits") {
    UploadMemo memo;
    memo.size = kFileBytesMax;
    memo.mtime_ns = INT64_MAX;
    memo.sum = std::string(32, '\xff');
    memo.url = "https://h.example/" + std::string(kUploadUrlMax - 18, '"');
    memo.made = 1'000'000;
    memo.best = kFileBytesMax;
    CHECK(decode_memo(encode_memo(memo)) == memo);
    memo.url = "https://h.example/" + std::string(kUploadUrlMax - 18, 'u');
    CHECK(encode_memo(memo).size() <= kMemoMax);
    CHECK(memo.is_of({9, kFileBytesMax, INT64_MAX}));
    CHECK_FALSE(memo.is_of({9, kFileBytesMax, 0}));
    for (const char* none : {"", "x", "[]", "{}", R"({"size": "x"})"}) CHECK(decode_memo(none) == UploadMemo{});
    CHECK_FALSE(UploadMemo{}.is_of({1, 0, 0}));
  }
}
