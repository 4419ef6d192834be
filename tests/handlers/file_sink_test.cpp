// Uploads through the runner, to a tus server on the same loop that breaks off where the test says.
#include "handlers/file_sink.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/handlers/http_fixture.h"
#include "tests/temp_folder.h"

using namespace hf;
using namespace hf::test;

namespace {

struct Fixture {
  TestLoop loop;
  HttpClient client{loop.uv()};
  TempFolder outbox;
  Peer peer{loop, [this](Peer::Client& connection) { arrived(connection); }};
  FileSinkOptions options;
  std::unique_ptr<FileSinkRunner> runner;
  std::vector<RunEnded> ended;
  std::vector<std::function<void()>> recorded;
  std::vector<Remember> memos;
  std::vector<int> percents;
  // The server.
  std::string stored;
  int64_t length = -1;  // -1: there is no upload
  std::vector<std::string> seen;  // methods
  std::vector<size_t> cuts;       // it breaks off when it has so much, for good or with a reset
  std::function<std::string(const SeenRequest&)> instead = [](const SeenRequest&) { return ""; };
  std::vector<SeenRequest> requests;

  Fixture() {
    options.target.url = peer.url("/files");
    options.target.allow_private = true;
    options.files.root = outbox.path();
    options.files.checksum = false;
  }
  ~Fixture() {
    if (runner) shut_down();
    shut(loop, client);
  }
  void shut_down() {
    bool closed = false;
    runner->shutdown([&] { closed = true; });
    CHECK_FALSE(closed);
    REQUIRE(loop.run_until([&] { return closed; }));
    runner.reset();
  }

  std::string make(const std::string& name, size_t size) const {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 251);
    std::ofstream(outbox / name, std::ios::binary) << text;
    return text;
  }
  void start(const std::string& result, const std::string& memo = "") {
    if (!runner) {
      runner = std::make_unique<FileSinkRunner>(
          loop.uv(), client, options,
          [this](RunEnded end, std::function<void()> then) {
            ended.push_back(std::move(end));
            recorded.push_back(std::move(then));
          },
          [this](const Op& op) {
            if (auto* memo_op = std::get_if<Remember>(&op)) memos.push_back(*memo_op);
            if (auto* progress = std::get_if<Progress>(&op)) percents.push_back(progress->percent);
          });
    }
    StartRun run;
    RunJob& job = run.jobs.emplace_back();
    job.id = 7;
    job.attempt = 2;
    job.run = 5;
    job.key = "gw-7";
    job.type = "clip";
    job.bytes = result;
    job.memo = memo;
    const size_t before = ended.size();
    runner->start(std::move(run));
    CHECK(ended.size() == before);
  }
  const RunEnded& wait(size_t n = 1) {
    REQUIRE(loop.run_until([&] { return ended.size() >= n; }));
    CHECK(ended.size() == n);
    CHECK(ended.back().id == 7);
    CHECK(ended.back().attempt == 2);
    CHECK(ended.back().run == 5);
    return ended.back();
  }
  const RunEnded& send(const std::string& result, const std::string& memo = "") {
    const size_t before = ended.size();
    start(result, memo);
    return wait(before + 1);
  }

  void arrived(Peer::Client& connection) {
    const size_t head_end = connection.got.find("\r\n\r\n");
    if (head_end == std::string::npos) return;
    const SeenRequest request{connection.got.substr(0, head_end + 2), connection.got.substr(head_end + 4)};
    const std::string length_text = request.header("Content-Length");
    const size_t size = length_text == "(none)" ? 0 : std::stoul(length_text);
    const std::string method = request.head.substr(0, request.head.find(' '));
    if (method == "PATCH" && instead(request).empty()) {
      const size_t offset = std::stoul(request.header("Upload-Offset"));
      if (offset + request.body.size() > stored.size() && offset <= stored.size()) stored = stored.substr(0, offset) + request.body;
      if (!cuts.empty() && stored.size() >= cuts.front()) {
        stored.resize(cuts.front());
        cuts.erase(cuts.begin());
        seen.push_back("cut");
        connection.take();
        return connection.reset();
      }
    }
    if (request.body.size() < size) return;
    connection.take();
    seen.push_back(method);
    requests.push_back(request);
    if (const std::string other = instead(request); !other.empty()) return connection.say(other == "reset" ? "" : other);
    if (method == "POST") {
      if (length < 0) stored.clear();
      length = std::stol(request.header("Upload-Length"));
      return connection.say(reply(201, "", "Location: /files/1\r\n"));
    }
    if (method == "OPTIONS") return connection.say("HTTP/1.1 204 X\r\nTus-Checksum-Algorithm: sha256\r\n\r\n");
    if (length < 0) return connection.say(method == "HEAD" ? "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n" : reply(404));
    const std::string offset = "Upload-Offset: " + std::to_string(stored.size()) + "\r\n";
    if (method == "HEAD") return connection.say("HTTP/1.1 200 X\r\nContent-Length: 0\r\n" + offset + "Upload-Length: " + std::to_string(length) + "\r\n\r\n");
    connection.say("HTTP/1.1 204 X\r\n" + offset + "\r\n");
  }
  int count(const std::string& method) const { return static_cast<int>(std::count(seen.begin(), seen.end(), method)); }
};

}  // namespace

TEST_SUITE("file sink") {
  TEST_CASE_FIXTURE(Fixture, "a file arrives in chunks, and where it is at is told") {
    options.files.chunk = 100'000;
    const std::string text = make("clip", 350'000);
    const RunEnded& end = send(R"({"file": "clip"})");
    CHECK(end.outcome == Outcome::done);
    CHECK_FALSE(end.durable);
    CHECK(stored == text);
    CHECK(seen == std::vector<std::string>{"POST", "PATCH", "PATCH", "PATCH", "PATCH"});
    CHECK(requests[0].header("Idempotency-Key") == "gw-7");
    CHECK(requests[1].header("Holdfast-Job-Id") == "7");
    REQUIRE(memos.size() == 1);
    CHECK(memos[0].run == 5);
    CHECK(memos[0].memo.find("/files/1") != std::string::npos);
    CHECK(percents == std::vector<int>{0, 28, 57, 85});
    CHECK_FALSE(recorded.back());
    CHECK(std::filesystem::exists(outbox / "clip"));
  }

  TEST_CASE_FIXTURE(Fixture, "with a slice a run hands the upload back when so much has arrived, and the next one goes on") {
    options.files.chunk = 100'000;
    options.slice = 150'000;
    const std::string text = make("a.bin", 450'000);
    std::string memo;
    for (const size_t there : {200'000u, 400'000u}) {
      const RunEnded& how = send(R"({"file":"a.bin"})", memo);
      CHECK(how.outcome == Outcome::defer);
      CHECK_FALSE(how.park_runner);
      CHECK(how.retry_after_ms == 0);
      CHECK(how.wire_bytes > 200'000);
      CHECK(how.wire_bytes < 205'000);
      CHECK(stored.size() == there);
      memo = memos.back().memo;
    }
    CHECK(send(R"({"file":"a.bin"})", memo).outcome == Outcome::done);
    CHECK(ended.back().wire_bytes < 55'000);
    CHECK(stored == text);
  }

  TEST_CASE_FIXTURE(Fixture, "a link that breaks again and again costs no attempt, and little is sent twice") {
    const std::string text = make("clip", 1'000'000);
    for (size_t i = 1; i <= 30; ++i) cuts.push_back(i * 30'000);
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::done);
    CHECK(stored == text);
    CHECK(count("cut") == 30);
    CHECK(count("POST") == 1);
    CHECK(count("HEAD") >= 30);
  }

  TEST_CASE_FIXTURE(Fixture, "without a byte more each time it is an attempt; with some it is none") {
    make("clip", 200'000);
    cuts.assign(20, 50'000);  // it never gets beyond
    const RunEnded first = send(R"({"file": "clip"})");
    CHECK(first.outcome == Outcome::defer);
    CHECK_FALSE(first.park_runner);
    CHECK(count("cut") == 2 + kUploadStallsMax);
    REQUIRE(memos.size() == 2);
    const RunEnded second = send(R"({"file": "clip"})", memos.back().memo);
    CHECK(second.outcome == Outcome::retry);
    CHECK(count("POST") == 1);
    cuts.clear();
    CHECK(send(R"({"file": "clip"})", memos.back().memo).outcome == Outcome::done);
    CHECK(count("POST") == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a file that is another one by now is uploaded anew") {
    make("clip", 200'000);
    cuts = {100'000};
    instead = [&](const SeenRequest& request) { return request.head.starts_with("HEAD") ? reply(500) : ""; };
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::retry);
    const std::string memo = memos.back().memo;
    instead = [](const SeenRequest&) { return ""; };
    const std::string text = make("clip", 150'000);
    length = -1;
    CHECK(send(R"({"file": "clip"})", memo).outcome == Outcome::done);
    CHECK(stored == text);
    CHECK(requests.back().head.starts_with("PATCH"));
    CHECK(count("POST") == 2);
    CHECK(requests[requests.size() - 2].header("Idempotency-Key") == "gw-7-1");
  }

  TEST_CASE_FIXTURE(Fixture, "a file that changes while it is sent is noticed") {
    options.files.chunk = 100'000;
    make("clip", 300'000);
    instead = [&](const SeenRequest& request) {
      if (request.header("Upload-Offset") == "100000") std::ofstream(outbox / "clip", std::ios::app) << "more";
      return "";
    };
    const RunEnded& end = send(R"({"file": "clip"})");
    CHECK(end.outcome == Outcome::retry);
    CHECK(end.error.find("changed") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "an upload that the server has lost is made anew, and not for ever") {
    make("clip", 100'000);
    instead = [&](const SeenRequest& request) { return request.head.starts_with("PATCH") ? reply(404) : ""; };
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::retry);
    CHECK(count("POST") == 1 + kUploadStallsMax);
    std::set<std::string> keys;
    for (const SeenRequest& request : requests)
      if (request.head.starts_with("POST")) keys.insert(request.header("Idempotency-Key"));
    CHECK(keys.size() == 1 + kUploadStallsMax);
  }

  TEST_CASE_FIXTURE(Fixture, "an upload that gets on and is lost is made anew some times without an attempt, then it costs some") {
    options.files.chunk = 100'000;
    make("clip", 200'000);
    instead = [&](const SeenRequest& request) {
      if (!request.head.starts_with("PATCH") || request.header("Upload-Offset") != "100000") return std::string();
      length = -1;
      return reply(404);
    };
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::defer);
    CHECK(count("POST") == 1 + kUploadsAnewMax + kUploadStallsMax);
    CHECK(send(R"({"file": "clip"})", memos.back().memo).outcome == Outcome::retry);
    CHECK(count("POST") == 1 + kUploadsAnewMax + 2 * kUploadStallsMax + 1);
  }

  TEST_CASE_FIXTURE(Fixture, "with a slice a lost upload is handed back as often as a new one") {
    options.files.chunk = 100'000;
    options.slice = 150'000;
    make("clip", 450'000);
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::defer);
    CHECK(stored.size() == 200'000);
    length = -1;
    CHECK(send(R"({"file": "clip"})", memos.back().memo).outcome == Outcome::defer);
    CHECK(count("POST") == 2);
    CHECK(stored.size() == 200'000);
  }

  TEST_CASE_FIXTURE(Fixture, "checksums: of the whole and of each part") {
    options.files.checksum = true;
    options.files.chunk = 100'000;
    const std::string text = make("clip", 150'000);
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::done);
    CHECK(stored == text);
    CHECK(seen == std::vector<std::string>{"OPTIONS", "POST", "PATCH", "PATCH"});
    CHECK(requests[1].header("Upload-Metadata").find("sha256 ") != std::string::npos);
    CHECK(requests[2].header("Upload-Checksum").starts_with("sha256 "));
    CHECK(requests[2].header("Upload-Checksum") != requests[3].header("Upload-Checksum"));
    CHECK(memos.back().memo.find("sha256") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "what is no file is dead; a folder that is not there parks the sink") {
    CHECK(send("7").outcome == Outcome::dead);
    CHECK(send(R"({"file": "missing"})").outcome == Outcome::dead);
    CHECK(ended.back().error.find("no such file") != std::string::npos);
    CHECK(send(R"({"file": "../x"})").outcome == Outcome::dead);
    shut_down();
    options.files.root = outbox / "not mounted";
    const RunEnded& end = send(R"({"file": "clip"})");
    CHECK(end.outcome == Outcome::defer);
    CHECK(end.park_runner);
    CHECK(seen.empty());
  }

  TEST_CASE_FIXTURE(Fixture, "the file is deleted when its end is recorded, not before, and no other one of its name") {
    options.files.delete_after = true;
    make("clip", 1000);
    const RunEnded& end = send(R"({"file": "clip"})");
    CHECK(end.outcome == Outcome::done);
    CHECK(end.durable);
    REQUIRE(recorded.back());
    CHECK(std::filesystem::exists(outbox / "clip"));
    SUBCASE("it") {
      recorded.back()();
      shut_down();  // waits for it
      CHECK_FALSE(std::filesystem::exists(outbox / "clip"));
    }
    SUBCASE("another one") {
      make("new", 1000);
      std::filesystem::rename(outbox / "new", outbox / "clip");
      recorded.back()();
      shut_down();
      CHECK(std::filesystem::exists(outbox / "clip"));
    }
    SUBCASE("too late") {
      shut_down();
      recorded.back()();
      CHECK(std::filesystem::exists(outbox / "clip"));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "stopped while it is sent, it is handed back or ended") {
    make("clip", 100'000);
    instead = [&](const SeenRequest& request) { return request.head.starts_with("PATCH") ? "reset" : ""; };
    start(R"({"file": "clip"})");
    REQUIRE(loop.run_until([&] { return count("PATCH") > 0; }));
    SUBCASE("cancelled") {
      runner->stop(7, 2, StopReason::cancel);
      CHECK(wait().outcome == Outcome::cancelled);
    }
    SUBCASE("shut down") {
      shut_down();
      CHECK(wait().outcome == Outcome::handed_back);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "stopped before the file is open, it ends") {
    make("clip", 100'000);
    start(R"({"file": "clip"})");
    runner->stop(7, 2, StopReason::cancel);
    CHECK(wait().outcome == Outcome::cancelled);
    CHECK(seen.empty());
  }

  TEST_CASE_FIXTURE(Fixture, "a stop that comes while a request that could not be made is still to be told") {
    options.files.protocol = UploadKind::range;
    make("clip", 1000);
    shut(loop, client);
    uv_check_t check;
    uv_check_init(loop.uv(), &check);
    check.data = static_cast<Fixture*>(this);
    uv_check_start(&check, [](uv_check_t* handle) {
      auto& test = *static_cast<Fixture*>(handle->data);
      if (test.memos.empty() || !test.ended.empty()) return;
      test.runner->stop(7, 2, StopReason::cancel);  // the request was asked for in this turn
      CHECK(test.ended.empty());
    });
    CHECK(send(R"({"file": "clip"})").outcome == Outcome::cancelled);
    bool closed = false;
    check.data = &closed;
    uv_close(reinterpret_cast<uv_handle_t*>(&check), [](uv_handle_t* handle) { *static_cast<bool*>(handle->data) = true; });
    REQUIRE(loop.run_until([&] { return closed; }));
  }

  TEST_CASE_FIXTURE(Fixture, "put: one request; what breaks off is an attempt") {
    options.files.protocol = UploadKind::put;
    options.target.url = peer.url("/in/");
    const std::string text = make("a clip", 200'000);
    instead = [&](const SeenRequest& request) { return request.body.size() == text.size() ? reply(201) : ""; };
    CHECK(send(R"({"file": "a clip", "filetype": "video/mp4"})").outcome == Outcome::done);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].head.starts_with("PUT /in/a%20clip HTTP/1.1\r\n"));
    CHECK(requests[0].header("Content-Type") == "video/mp4");
    CHECK(requests[0].body == text);
    CHECK(memos.empty());
    instead = [&](const SeenRequest&) { return reply(503); };
    CHECK(send(R"({"file": "a clip"})").outcome == Outcome::retry);
  }

  TEST_CASE_FIXTURE(Fixture, "range: it asks where it is at, with the next attempt, too") {
    options.files.protocol = UploadKind::range;
    options.files.chunk = 100'000;
    const std::string text = make("clip", 250'000);
    bool away = false;
    instead = [&](const SeenRequest& request) {
      const std::string range = request.header("Content-Range");
      if (away) return reply(500);
      if (range == "bytes */250000") return "HTTP/1.1 308 X\r\nContent-Length: 0\r\nRange: bytes=0-" + std::to_string(stored.size() - 1) + "\r\n\r\n";
      stored += request.body;
      away = stored.size() == 100'000;
      return stored == text ? reply(200) : "HTTP/1.1 308 X\r\nContent-Length: 0\r\nRange: bytes=0-" + std::to_string(stored.size() - 1) + "\r\n\r\n";
    };
    const RunEnded first = send(R"({"file": "clip"})");
    CHECK(first.outcome == Outcome::defer);
    away = false;
    CHECK(send(R"({"file": "clip"})", memos.back().memo).outcome == Outcome::done);
    CHECK(stored == text);
    CHECK(requests[2].header("Content-Range") == "bytes */250000");
  }
}
