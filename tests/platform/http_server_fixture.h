// A server with a loop of its own and a handler that does as the path says.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "platform/http_server.h"
#include "tests/temp_folder.h"
#include "unix_client.h"

namespace hf {

inline constexpr std::int64_t kSoon = 50;  // ms; a deadline that a test waits for

// A server on a loop of its own. Its handler:
//   /echo      answers at once with method, path, parameters and body
//   /later     keeps the Responder: take_later() waits for it
//   /drop      forgets it
//   /big?n=    n bytes
//   /empty     204
class Fixture {
 public:
  explicit Fixture(HttpServerOptions options = {}) {
    auto made = Loop::create();
    REQUIRE(made.ok());
    loop_ = *std::move(made);
    options.socket_path = path();
    auto server = HttpServer::create(*loop_, std::move(options), [this](ServerRequest request, Responder responder) {
      handle(std::move(request), std::move(responder));
    });
    REQUIRE(server.ok());
    server_ = *std::move(server);
    REQUIRE(loop_->start().ok());
  }
  ~Fixture() {
    on_loop([this] {
      later_.clear();
      server_.reset();
    });
    loop_->stop();
  }

  std::string path() const { return folder_ / "s"; }
  UnixClient client() const { return UnixClient(path()); }
  Loop& loop() { return *loop_; }
  HttpServer& server() { return *server_; }

  void on_loop(std::function<void()> task) {
    std::promise<void> done;
    REQUIRE(loop_->post([&] {
      task();
      done.set_value();
    }));
    done.get_future().get();
  }
  std::size_t clients() {
    std::size_t number = 0;
    on_loop([&] { number = server_->clients(); });
    return number;
  }
  // Waits until the server has noticed that clients came or went. A round trip through the loop a look,
  // no sleep.
  void wait_for_clients(std::size_t number) {
    while (clients() != number) std::this_thread::yield();
  }

  // The next request for /later, which waits for an answer.
  std::pair<ServerRequest, Responder> take_later() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !later_.empty(); });
    auto first = std::move(later_.front());
    later_.erase(later_.begin());
    return first;
  }
  std::size_t waiting_later() {
    const std::lock_guard lock(mutex_);
    return later_.size();
  }

 private:
  void handle(ServerRequest request, Responder responder) {
    const std::string what = request.path.empty() ? "" : request.path[0];
    ServerResponse response;
    if (what == "echo") {
      response.body = request.method;
      for (const auto& segment : request.path) response.body += "/" + segment;
      for (const auto& [name, value] : request.query) response.body += "?" + name + "=" + value;
      response.body += " " + (request.body.size() > 100 ? std::to_string(request.body.size()) : request.body);
      response.content_type = "text/plain";
    } else if (what == "later") {
      const std::lock_guard lock(mutex_);
      later_.emplace_back(std::move(request), std::move(responder));
      came_.notify_one();
      return;
    } else if (what == "drop") {
      return;
    } else if (what == "big") {
      response.body.assign(std::stoul(*request.parameter("n")), 'b');
    } else if (what == "empty") {
      response.status = 204;
    } else if (what == "peer") {
      response.body = std::to_string(request.peer.pid) + " " + std::to_string(request.peer.uid) + " " +
                      std::to_string(request.peer.gid);
    } else {
      response = ServerResponse::error(404, "not_found", "no such path");
    }
    responder.reply(std::move(response));
  }

  TempFolder folder_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<HttpServer> server_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::pair<ServerRequest, Responder>> later_;
};

inline const std::string kGet = "GET /echo HTTP/1.1\r\nHost: t\r\n\r\n";

inline std::string post(std::size_t length) {
  return "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

inline bool is_error(const ClientResponse& response, int status, const std::string& code) {
  return response.status == status && response.body.rfind("{\"error\":{\"code\":\"" + code + "\",\"message\":\"", 0) == 0 &&
         response.has("Content-Type: application/json\r\n");
}

}  // namespace hf
