// A runner that sends requests, and a server that answers as the test says.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "core/requests.h"
#include "handlers/http_peer.h"
#include "tests/platform/net_fixture.h"

namespace hf::test {

struct SeenRequest {
  std::string head, body;
  std::string header(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "(none)";
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

inline std::string reply(int status, const std::string& body = "",
                         const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}

struct HttpFixture {
  TestLoop loop;
  CertClock clock{true, 1614265330000};
  HttpClient client{loop.uv(), options_with_clock()};
  std::vector<SeenRequest> seen;
  // What is answered; "": nothing.
  std::function<std::string(const SeenRequest&)> answer = [](const SeenRequest&) {
    return reply(200);
  };
  Peer peer{loop, [this](Peer::Client& connection) { arrived(connection); }};
  std::map<JobId, RunEnded> ended;
  int reports = 0;

  ~HttpFixture() { shut(loop, client); }
  HttpClientOptions options_with_clock() {
    HttpClientOptions options;
    options.cert_clock = [this] { return clock; };
    return options;
  }

  void arrived(Peer::Client& connection) {
    const size_t head_end = connection.got.find("\r\n\r\n");
    if (head_end == std::string::npos) return;
    SeenRequest request{connection.got.substr(0, head_end + 2), ""};
    const std::string length = request.header("Content-Length");
    const size_t size = length == "(none)" ? 0 : std::stoul(length);
    if (connection.got.size() < head_end + 4 + size) return;
    request.body = connection.got.substr(head_end + 4, size);
    connection.got.erase(0, head_end + 4 + size);
    seen.push_back(request);
    if (const std::string text = answer(request); !text.empty()) connection.say(text);
  }

  HttpTarget target(const std::string& path = "/") const {
    HttpTarget to;
    to.url = peer.url(path);
    to.allow_private = true;
    return to;
  }
  std::function<void(RunEnded)> end_run() {
    return [this](RunEnded end) {
      ++reports;
      ended[end.id] = std::move(end);
    };
  }
  static StartRun jobs(JobId first, JobId last) {
    StartRun run;
    run.timeout_ms = 300'000;
    for (JobId id = first; id <= last; ++id) {
      RunJob& job = run.jobs.emplace_back();
      job.id = id;
      job.attempt = 3;
      job.type = "report";
      job.queue = "default";
      job.key = "gw-" + std::to_string(id);
      job.bytes = "{\"n\":" + std::to_string(id) + "}";
    }
    return run;
  }
  const RunEnded& wait(JobId id) {
    REQUIRE(loop.run_until([&] { return ended.count(id) == 1; }));
    CHECK(ended[id].attempt == 3);
    return ended[id];
  }
  void wait_seen(size_t requests) {
    REQUIRE(loop.run_until([&] { return seen.size() >= requests; }));
  }
  template <class R>
  void shut_down(R& runner) {
    bool closed = false;
    runner.shutdown([&] { closed = true; });
    CHECK_FALSE(closed);
    REQUIRE(loop.run_until([&] { return closed; }));
  }
};

}  // namespace hf::test
