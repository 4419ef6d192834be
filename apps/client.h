// HTTP/1.1 to the daemon over its Unix socket: one blocking request a connection.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hf {

struct ClientResponse {
  int status = 0;
  std::string body;
  bool ok() const { return status >= 200 && status < 300; }
};

// Thread: one.
class Client {
 public:
  explicit Client(std::string socket_path) : path_(std::move(socket_path)) {}
  const std::string& socket_path() const { return path_; }

  // `target`: "/v1/jobs?limit=5". HF_E_UNREACHABLE: nobody answers at the path, the message says
  // why; HF_E_TIMEOUT: no complete answer came within timeout_ms; HF_E_IO: the answer broke off or
  // is no HTTP.
  Result<ClientResponse> request(std::string_view method, const std::string& target,
                                 const std::string& body = "", int64_t timeout_ms = 30'000) const;

  // The same for a body that comes bit by bit and may never end: a 2xx one is handed to `data`,
  // which returns false to stop. No time limit. The response has another body, such as an error's.
  Result<ClientResponse> stream(const std::string& target,
                                const std::function<bool(std::string_view)>& data) const;

 private:
  Result<int> connect() const;
  Result<ClientResponse> exchange(std::string_view method, const std::string& target,
                                  const std::string& body, int64_t timeout_ms,
                                  const std::function<bool(std::string_view)>* data) const;
  Error unreachable(int error) const;

  const std::string path_;
};

}  // namespace hf
