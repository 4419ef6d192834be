// HTTP/1.1 on a Unix socket: the admin API's ears and mouth. It knows nothing of jobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "platform/server_message.h"
#include "platform/loop.h"
#include "platform/request_parser.h"

namespace hf {

// Who knocks. Guests together get half of the places and of the memory for bodies, so that they cannot keep out who may do
// everything; a stranger is a guest that is answered at once, whatever it wants.
enum class Entry : std::uint8_t { everything, guest, stranger };

struct HttpServerOptions {
  std::string socket_path;      // at most 107 bytes; its folder exists
  std::optional<gid_t> group;   // of the socket file; see group_id()
  mode_t mode = 0660;
  int listen_fd = -1;           // >= 0: a socket of the service manager's, in place of socket_path

  std::function<Entry(const Peer&)> entry;  // none: everything for everybody
  ServerResponse to_strangers;

  int max_clients = 64;         // connections at once; the next one takes the place of the longest idle one, or gets 503
  RequestLimits request;
  std::size_t pending_bytes = 16 * 1024;           // of further requests, read while one is handled
  std::size_t bodies_bytes = 8 * 1024 * 1024;      // of all clients' requests together, half of it for guests; more: 503
  std::size_t stream_buffer_bytes = 64 * 1024;     // that a slow reader of a stream may leave unread
  std::int64_t head_deadline_ms = 10'000;  // from the first byte of a head (or from connecting) to its end
  std::int64_t body_deadline_ms = 10'000;  // in which at least body_progress_bytes come (or the end)
  std::size_t body_progress_bytes = 1024;
  std::int64_t idle_deadline_ms = 60'000;  // between two requests
  std::int64_t write_stall_ms = 30'000;    // in which a client reads nothing of what waits for it
  std::int64_t hang_up_look_ms = 30'000;   // how often is looked whether a client that will send no more still waits for its answer
  std::int64_t linger_ms = 1'000;          // for a client to notice that it is cut off with an answer
};

class ServerConnection;
class Responder;

// Handles one request, on the loop thread; must not block. The answer may come later: keep the Responder.
using HttpHandler = std::function<void(ServerRequest request, Responder responder)>;

// The answer to one request; copies are the same answer. If the last copy goes without an answer, the client
// gets 500. Nothing happens once the client is gone, or after the first answer.
//
// Owner: the handler, by value; may outlive the server. Thread: as said at each function.
class Responder {
 public:
  // Any thread.
  void reply(ServerResponse response) const;

  // Begins a body of unknown length (chunked), such as server-sent events. Loop thread, as all below.
  void open_stream(std::string_view content_type = "text/event-stream") const;
  // False, and nothing is sent, once the client is gone, was too slow, or asked for the head alone. A client
  // is too slow if more than stream_buffer_bytes would wait for it: an event stream then ends with
  // "event: lagged", any other is cut off.
  bool send(std::string_view data) const;
  void end_stream() const;

  // Called once, later on the loop, if the client goes, is cut off or lags before the answer is complete; at
  // once if that has happened. Replaces the one set before.
  void on_gone(std::function<void()> gone) const;
  bool gone() const;

 private:
  friend class ServerConnection;
  struct Exchange;
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  std::shared_ptr<Exchange> exchange_;
};

// Owner: whoever made it. Thread: the loop's, all of it (create() also any, before Loop::start).
class HttpServer {
 public:
  // Listens at once. Errors as ListenSocket::create. `loop` outlives the server.
  static Result<std::unique_ptr<HttpServer>> create(Loop& loop, HttpServerOptions options, HttpHandler handler);
  // Cuts every client off.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Removes the socket file, takes no more requests, ends streams, lets answers under way finish for up
  // to grace_ms, then cuts. `closed` is called, later on the loop, when nothing is left on the loop;
  // the server may be destroyed in it, or before (then it is not called). Once.
  void shutdown(std::int64_t grace_ms, std::function<void()> closed);

  std::size_t clients() const;

 private:
  struct State;
  friend class ServerConnection;
  explicit HttpServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace hf
