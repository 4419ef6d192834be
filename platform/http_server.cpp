#include "platform/http_server.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <unordered_map>

#include "platform/server_connection.h"
#include "platform/listen_socket.h"
#include "platform/memory.h"

namespace hf {
namespace {
constexpr std::uint64_t kLetInAgainMs = 100;
}

// ---- Responder ----------------------------------------------------------------------------------

Responder::Exchange::~Exchange() {
  if (answered) return;
  const auto drop = [connection = connection, serial = serial] {
    if (const auto alive = connection.lock()) alive->dropped(serial);
  };
  if (poster.on_loop_thread())
    drop();
  else
    poster.post(patient([&] { return LoopPoster::prepare(drop); }));
}

void Responder::reply(ServerResponse response) const {
  if (exchange_->poster.on_loop_thread()) {
    if (exchange_->answered.exchange(true)) return;
    if (const auto alive = exchange_->connection.lock()) alive->reply(exchange_->serial, response);
    return;
  }
  auto task = LoopPoster::prepare([exchange = exchange_, answer = std::move(response)] {
    if (const auto alive = exchange->connection.lock()) alive->reply(exchange->serial, answer);
  });
  if (!exchange_->answered.exchange(true)) exchange_->poster.post(std::move(task));
}

void Responder::open_stream(std::string_view content_type) const {
  if (exchange_->answered) return;
  const auto alive = exchange_->connection.lock();
  // Answered only when the stream ends: if the last copy goes before, the client is to see a cut.
  if (!alive || !alive->open_stream(exchange_->serial, content_type)) exchange_->answered = true;
}

bool Responder::send(std::string_view data) const {
  const auto alive = exchange_->connection.lock();
  return alive && alive->send(exchange_->serial, data);
}

void Responder::end_stream() const {
  exchange_->answered = true;
  if (const auto alive = exchange_->connection.lock()) alive->end_stream(exchange_->serial);
}

void Responder::on_gone(std::function<void()> gone) const {
  const auto alive = exchange_->connection.lock();
  LoopPoster::Prepared task = LoopPoster::prepare(std::move(gone));
  if (!alive || !alive->on_gone(exchange_->serial, task)) exchange_->poster.post(std::move(task));
}

bool Responder::gone() const {
  const auto alive = exchange_->connection.lock();
  return !alive || !alive->serves(exchange_->serial);
}

// ---- HttpServer ---------------------------------------------------------------------------------

// Holds itself until nothing of it is on the loop, so that the HttpServer may go at any time.
struct HttpServer::State : std::enable_shared_from_this<HttpServer::State> {
  State(uv_loop_t* on_loop, std::shared_ptr<ServerShared> with)
      : loop(on_loop), shared(std::move(with)) {}

  uv_loop_t* const loop;
  const std::shared_ptr<ServerShared> shared;
  std::shared_ptr<State> self;
  ListenSocket socket;
  uv_pipe_t listener;
  uv_timer_t grace;  // of the shutdown; before that: until somebody who waits is let in
  int open_handles = 0;
  bool grace_closing = false;
  std::unordered_map<ServerConnection*, std::shared_ptr<ServerConnection>> connections;
  std::function<void()> closed;

  Status listen();
  void on_connection();
  void let_in();
  bool make_room(const ServerConnection& knocks);
  void shutdown(std::int64_t grace_ms);
  void cut_all();
  void check_empty();
  void close_handle(uv_handle_t* handle);
};

Status HttpServer::State::listen() {
  uv_pipe_init(loop, &listener, 0);
  uv_timer_init(loop, &grace);
  listener.data = grace.data = this;
  open_handles = 2;
  self = shared_from_this();
  const int fd = socket.release_fd();
  int error = uv_pipe_open(&listener, fd);
  if (error != 0) close(fd);
  if (error == 0)
    error = uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 128, [](uv_stream_t* stream, int status) {
      if (status == 0) static_cast<State*>(stream->data)->on_connection();
    });
  if (error == 0) return ok_status();
  shutdown(0);
  return Error{HF_E_IO, std::string("cannot listen: ") + uv_strerror(error)};
}

// Without memory whoever knocks waits, and libuv listens no more until he has been let in.
void HttpServer::State::on_connection() {
  if (guarded([this] { let_in(); })) return;
  uv_timer_start(&grace, [](uv_timer_t* timer) {
    auto* state = static_cast<State*>(timer->data);
    if (!state->shared->shutting_down) state->on_connection();
  }, kLetInAgainMs, 0);
}

void HttpServer::State::let_in() {
  // A place first: a connection, once made, is on the loop.
  decltype(connections) place;
  place.emplace(nullptr, nullptr);
  auto node = place.extract(nullptr);
  connections.reserve(connections.size() + 1);
  const auto connection = std::make_shared<ServerConnection>(loop, shared);
  node.key() = connection.get();
  node.mapped() = connection;
  connections.insert(std::move(node));
  if (!connection->accept(reinterpret_cast<uv_stream_t*>(&listener))) return;
  if (make_room(*connection))
    connection->begin();
  else
    connection->turn_away();  // one too many gets an answer, and no memory that lasts
}

// Who has waited longest between two requests, or before the first, goes: clients that only hold their place must not
// keep a person out. HTTP lets either side end an idle connection at any time (RFC 9112, 9.5). Guests that have half of the
// places make room for a guest among themselves.
bool HttpServer::State::make_room(const ServerConnection& knocks) {
  const auto most = static_cast<std::size_t>(shared->options.max_clients);
  std::size_t all = 0, guests = 0;
  ServerConnection *longest = nullptr, *longest_guest = nullptr;
  const auto longer = [](const ServerConnection* one, const ServerConnection* other) {
    return other == nullptr || one->waits_since() < other->waits_since();
  };
  for (const auto& [key, connection] : connections) {
    if (key == &knocks || key->closed()) continue;
    ++all;
    if (key->guest()) ++guests;
    if (!key->idle()) continue;
    if (longer(key, longest)) longest = key;
    if (key->guest() && longer(key, longest_guest)) longest_guest = key;
  }
  const bool guests_full = knocks.guest() && guests >= std::max<std::size_t>(most / 2, 1);
  if (all < most && !guests_full) return true;
  ServerConnection* goes = guests_full ? longest_guest : longest;
  if (goes != nullptr) goes->close();
  return goes != nullptr;
}

void HttpServer::State::shutdown(std::int64_t grace_ms) {
  if (shared->shutting_down) return;
  shared->shutting_down = true;
  socket.remove_file();
  close_handle(reinterpret_cast<uv_handle_t*>(&listener));
  for (const auto& [key, connection] : connections) connection->finish();  // none goes before libuv has closed it
  if (!connections.empty())
    uv_timer_start(&grace, [](uv_timer_t* timer) { static_cast<State*>(timer->data)->cut_all(); },
                   static_cast<std::uint64_t>(grace_ms), 0);
  check_empty();
}

void HttpServer::State::cut_all() {
  for (const auto& [key, connection] : connections) connection->close();
}

void HttpServer::State::close_handle(uv_handle_t* handle) {
  uv_close(handle, [](uv_handle_t* closed_handle) {
    auto* state = static_cast<State*>(closed_handle->data);
    if (--state->open_handles > 0) return;
    const auto alive = std::move(state->self);  // goes when this returns, unless the HttpServer holds it
    if (state->closed) std::exchange(state->closed, nullptr)();
  });
}

void HttpServer::State::check_empty() {
  if (!shared->shutting_down || !connections.empty() || grace_closing) return;
  grace_closing = true;
  close_handle(reinterpret_cast<uv_handle_t*>(&grace));
}

HttpServer::HttpServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::create(Loop& loop, HttpServerOptions options, HttpHandler handler) {
  auto socket = options.listen_fd >= 0 ? ListenSocket::adopt(options.listen_fd)
                                       : ListenSocket::create(options.socket_path, options.mode, options.group);
  if (!socket) return socket.error();
  auto shared = std::make_shared<ServerShared>();
  shared->options = std::move(options);
  shared->handler = std::move(handler);
  shared->poster = loop.poster();
  shared->read_buffer = std::make_unique<char[]>(kHttpReadBuffer);
  auto state = std::make_shared<State>(loop.uv(), shared);
  std::unique_ptr<HttpServer> server(new HttpServer(state));
  state->socket = *std::move(socket);
  shared->closed = [raw = state.get()](ServerConnection* connection) {
    const auto alive = raw->shared_from_this();
    raw->connections.erase(connection);
    raw->check_empty();
  };
  HF_TRY(state->listen());
  return server;
}

HttpServer::~HttpServer() {
  state_->closed = nullptr;
  state_->shutdown(0);
  state_->cut_all();
}

void HttpServer::shutdown(std::int64_t grace_ms, std::function<void()> closed) {
  state_->closed = std::move(closed);
  state_->shutdown(grace_ms);
}

std::size_t HttpServer::clients() const { return state_->connections.size(); }

}  // namespace hf
