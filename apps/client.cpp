#include "apps/client.h"

#include <grp.h>
#include <llhttp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/names.h"
#include "core/units.h"
#include "platform/clock.h"

namespace hf {
namespace {

constexpr size_t kAnswerMax = 64 << 20;  // bytes of a body; a page of jobs with errors is far below

struct Connection {
  explicit Connection(int number) : fd(number) {}
  ~Connection() { close(fd); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  const int fd;
};

// Waits until the descriptor is ready; false: the time is over (errno says so). timeout_at < 0: for
// ever.
bool wait_for(int fd, short events, int64_t timeout_at) {
  for (;;) {
    int64_t left = -1;
    if (timeout_at >= 0) left = std::max<int64_t>(0, timeout_at - boot_ms());
    struct pollfd entry = {fd, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, 1 << 30)));
    if (ready > 0) return true;
    if (ready == 0) {
      errno = ETIMEDOUT;
      return false;
    }
    if (errno != EINTR) return false;
  }
}

// Puts the answer together.
class Answer {
 public:
  explicit Answer(const std::function<bool(std::string_view)>* data) : data_(data) {
    llhttp_settings_init(&settings_);
    settings_.on_body = [](llhttp_t* parser, const char* at, size_t size) {
      return of(parser).body(at, size);
    };
    settings_.on_message_complete = [](llhttp_t* parser) {
      of(parser).complete_ = true;
      return 0;
    };
    llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
    parser_.data = this;
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  bool feed(std::string_view bytes) {  // false: it is no HTTP
    const llhttp_errno_t failure = llhttp_execute(&parser_, bytes.data(), bytes.size());
    return stopped_ || complete_ || failure == HPE_OK;
  }
  void finish() { llhttp_finish(&parser_); }  // a body that ends with the connection is complete
  bool complete() const { return complete_; }
  bool stopped() const { return stopped_; }
  bool too_large() const { return too_large_; }
  ClientResponse take() { return {static_cast<int>(parser_.status_code), std::move(body_)}; }

 private:
  static Answer& of(llhttp_t* parser) { return *static_cast<Answer*>(parser->data); }
  int body(const char* at, size_t size) {
    if (data_ && parser_.status_code / 100 == 2) {
      stopped_ = !(*data_)({at, size});
      return stopped_ ? HPE_USER : 0;
    }
    too_large_ = body_.size() + size > kAnswerMax;
    if (too_large_) return HPE_USER;
    body_.append(at, size);
    return 0;
  }

  llhttp_t parser_;
  llhttp_settings_t settings_;
  const std::function<bool(std::string_view)>* const data_;
  std::string body_;
  bool complete_ = false;
  bool stopped_ = false;
  bool too_large_ = false;
};

std::string owner_of(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return "";
  const struct group* entry = getgrgid(info.st_gid);
  return " (its group is " + (entry ? std::string(entry->gr_name) : std::to_string(info.st_gid)) +
         ")";
}

}  // namespace

Error Client::unreachable(int error) const {
  const std::string what = "cannot reach the daemon at " + path_ + ": ";
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {HF_E_UNREACHABLE, what + "there is no such socket (is `holdfast serve` running?)"};
    case ECONNREFUSED:
      return {HF_E_UNREACHABLE, what + "nobody listens there any more"};
    case EACCES:
    case EPERM:
      return {HF_E_UNREACHABLE, what + "permission denied" + owner_of(path_)};
    case EAGAIN:
      return {HF_E_UNREACHABLE, what + "too many clients wait already"};
    default:
      return {HF_E_UNREACHABLE, what + std::strerror(error)};
  }
}

Result<int> Client::connect() const {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path_.empty() || path_.size() >= sizeof address.sun_path) {
    return Error{HF_E_INVALID, "the socket path " + hf::quoted(path_, 200) + " has " +
                                   std::to_string(path_.size()) + " bytes: allowed are 1 to " +
                                   std::to_string(sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return unreachable(errno);
  // A Unix socket connects at once or not at all.
  if (::connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    close(fd);
    return unreachable(error);
  }
  return fd;
}

Result<ClientResponse> Client::request(std::string_view method, const std::string& target,
                                       const std::string& body, int64_t timeout_ms) const {
  return exchange(method, target, body, timeout_ms, nullptr);
}

Result<ClientResponse> Client::stream(const std::string& target,
                                      const std::function<bool(std::string_view)>& data) const {
  return exchange("GET", target, "", -1, &data);
}

Result<ClientResponse> Client::exchange(std::string_view method, const std::string& target,
                                        const std::string& body, int64_t timeout_ms,
                                        const std::function<bool(std::string_view)>* data) const {
  const auto connected = connect();
  if (!connected) return connected.error();
  const Connection connection(*connected);
  const int64_t timeout_at = timeout_ms < 0 ? -1 : boot_ms() + timeout_ms;
  const auto failed = [&](const char* doing) {
    if (errno == ETIMEDOUT) {
      return Error{HF_E_TIMEOUT,
                   "the daemon did not answer within " + format_duration_human(timeout_ms)};
    }
    return Error{HF_E_IO, std::string(doing) + ": " + std::strerror(errno)};
  };

  std::string out =
      std::string(method) + " " + target + " HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n";
  if (!body.empty()) out += "Content-Type: application/json\r\n";
  if (!body.empty() || method != "GET")
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n" + body;
  for (std::string_view rest = out; !rest.empty();) {
    const ssize_t sent = send(connection.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      rest.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      break;  // it has answered already, perhaps that this is too much
    } else if (errno == EAGAIN && !wait_for(connection.fd, POLLOUT, timeout_at)) {
      return failed("sending the request");
    } else if (errno != EAGAIN && errno != EINTR) {
      return failed("sending the request");
    }
  }

  Answer answer(data);
  char buffer[16384];
  while (!answer.complete() && !answer.stopped()) {
    if (!wait_for(connection.fd, POLLIN, timeout_at)) return failed("reading the answer");
    const ssize_t got = recv(connection.fd, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0 && errno != ECONNRESET) return failed("reading the answer");
    if (got <= 0) {
      answer.finish();
      break;
    }
    if (!answer.feed({buffer, static_cast<size_t>(got)})) {
      return Error{HF_E_IO, answer.too_large() ? "the answer is too large"
                                               : "what answers at " + path_ + " is no HTTP server"};
    }
  }
  if (!answer.complete() && !answer.stopped()) {
    return Error{HF_E_UNREACHABLE, "the daemon went away before its answer was complete"};
  }
  return answer.take();
}

}  // namespace hf
