// What the tests of platform/net share: a loop that is run until something holds, and a peer on the same
// loop that says what a script tells it.
#pragma once

#include <uv.h>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "platform/net/http_client.h"
#include "platform/net/loop_handles.h"

namespace hf::test {

// A loop of the test's own. The destructor runs what is left and checks that no handle remains.
class TestLoop {
 public:
  TestLoop();
  ~TestLoop();
  TestLoop(const TestLoop&) = delete;
  TestLoop& operator=(const TestLoop&) = delete;

  uv_loop_t* uv() { return &loop_; }
  // False if it does not hold within a limit that only a failure reaches.
  bool run_until(const std::function<bool()>& holds);
  // Until nothing is left to do.
  void drain() { uv_run(&loop_, UV_RUN_DEFAULT); }
  // True if a timer of the loop is armed.
  bool timer_armed();

 private:
  uv_loop_t loop_;
};

// Listens on 127.0.0.1, a port of the system's choice. Everything it got is in `received`.
class Peer {
 public:
  class Client {
   public:
    void say(std::string bytes);
    void finish();  // FIN once what was said is sent
    void reset();   // RST
    void pause();   // reads no more
    std::string got;       // since the last take()
    std::string take() { return std::exchange(got, {}); }
    bool gone = false;     // the other side ended
    int number = 0;        // 0 for the first connection
    int requests = 0;      // for scripts to count
    void* user = nullptr;

   private:
    friend class Peer;
    struct Block;
    Block* block_ = nullptr;
  };
  using Script = std::function<void(Client&)>;  // after each arrival of bytes, and at the end

  Peer(TestLoop& loop, Script on_bytes, Script on_connect = {});
  ~Peer();

  uint16_t port() const { return port_; }
  Url url(const std::string& target = "/") const;
  int connections() const { return static_cast<int>(clients_.size()); }
  int open() const;
  Client& client(int number);
  void stop_listening();

 private:
  void accept();
  uv_loop_t* const loop_;
  const Script on_bytes_, on_connect_;
  uv_tcp_t* listener_ = nullptr;
  uint16_t port_ = 0;
  std::list<Client> clients_;
};

// Answers each whole request (headers, no body) with `response`.
Peer::Script answer(std::string response);

// A request that may go to the peer.
HttpRequest request_to(const Url& url);

// Sends and waits.
HttpResult fetch(TestLoop& loop, HttpClient& client, HttpRequest request);

// Shuts the client down and waits until its handles are gone.
void shut(TestLoop& loop, HttpClient& client);

}  // namespace hf::test
