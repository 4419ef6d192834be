#include "tests/bench/load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace hf::bench {
namespace {

class Client {
 public:
  explicit Client(const std::string& socket_path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.size() >= sizeof address.sun_path) load_failed("the path is too long: " + socket_path);
    std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
    const void* any = &address;
    if (fd_ < 0 || connect(fd_, static_cast<const sockaddr*>(any), sizeof address) != 0) load_failed("no connection to " + socket_path);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int fd() const { return fd_; }
  void begin(const Protocol& protocol, int job) {
    job_ = job;
    step_ = 0;
    send(protocol.request(0, job, {}));
  }
  // Once there is something to read. True if the job is done.
  bool go_on(const Protocol& protocol) {
    char bytes[16384];
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) load_failed("the server ended the connection", received_);
    received_.append(bytes, static_cast<size_t>(got));
    while (const size_t size = protocol.answer_size(step_, received_)) {
      const std::string answer = received_.substr(0, size);
      received_.erase(0, size);
      if (++step_ == protocol.requests()) return true;
      send(protocol.request(step_, job_, answer));
    }
    return false;
  }

 private:
  void send(const std::string& request) const {
    if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) load_failed("a request was not taken");
  }

  const int fd_;
  int job_ = 0, step_ = 0;
  std::string received_;
};

}  // namespace

void load_failed(const std::string& why, std::string_view answer) {
  std::fprintf(stderr, "load: %s: %.*s\n", why.c_str(), static_cast<int>(answer.size()), answer.data());
  std::exit(1);
}

void run_load(const std::string& socket_path, const Protocol& protocol, int jobs, int clients) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Client>> all;
  for (int i = 0; i < clients; ++i) {
    all.push_back(std::make_unique<Client>(socket_path));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = all.back().get();
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, all.back()->fd(), &event) != 0) load_failed("epoll_ctl");
  }
  int begun = 0, done = 0;
  for (; begun < std::min(clients, jobs); ++begun) all[static_cast<size_t>(begun)]->begin(protocol, begun);
  while (done < jobs) {
    epoll_event events[64];
    const int n = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < n; ++i) {
      auto* client = static_cast<Client*>(events[i].data.ptr);
      if (!client->go_on(protocol)) continue;
      ++done;
      if (begun < jobs) client->begin(protocol, begun++);
    }
  }
  close(epoll);
}

}  // namespace hf::bench
