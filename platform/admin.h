// The admin API (docs/reference.md) on a Unix socket: HTTP requests to the Host's requests and
// back.
#pragma once

#include <memory>
#include <string>

#include "core/result.h"
#include "platform/host.h"

namespace hf {

struct AdminOptions {
  std::string group;       // its members may act like the daemon's own user; "": nobody else
  bool open_view = false;  // others may view, without payloads, results, error texts, tags and keys
  int max_clients = 64;
  int listen_fd = -1;  // >= 0: a listening socket of the service manager's, in place of the path
};

// Owner: whoever started it; ends before its Host closes. Thread: any but the loop's.
class AdminServer {
 public:
  // Listens at once. Errors: as ListenSocket::create; HF_E_NOT_FOUND: there is no such group;
  // HF_E_THREAD.
  static Result<std::unique_ptr<AdminServer>> start(Host& host, const std::string& socket_path,
                                                    AdminOptions options);
  ~AdminServer();  // shutdown()
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Lets answers under way finish for a second, cuts the rest off, removes the socket file. Once.
  void shutdown();

 private:
  struct State;
  explicit AdminServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hf
