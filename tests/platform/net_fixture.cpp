#include "net_fixture.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <utility>

namespace hf::test {
namespace {

constexpr uint64_t kGuardMs = 60000;  // reached by a failing test only

void close_and_delete(uv_tcp_t* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* h) { delete reinterpret_cast<uv_tcp_t*>(h); });
}

}  // namespace

TestLoop::TestLoop() {
  signal(SIGPIPE, SIG_IGN);  // as the loop's thread has it
  REQUIRE(uv_loop_init(&loop_) == 0);
}

TestLoop::~TestLoop() {
  drain();
  CHECK(uv_loop_close(&loop_) == 0);
}

bool TestLoop::run_until(const std::function<bool()>& holds) {
  uv_timer_t guard;
  bool late = false;
  uv_timer_init(&loop_, &guard);
  guard.data = &late;
  uv_timer_start(&guard, [](uv_timer_t* t) { *static_cast<bool*>(t->data) = true; }, kGuardMs, 0);
  while (!holds() && !late) uv_run(&loop_, UV_RUN_ONCE);
  bool closed = false;
  guard.data = &closed;
  uv_close(reinterpret_cast<uv_handle_t*>(&guard), [](uv_handle_t* h) { *static_cast<bool*>(h->data) = true; });
  while (!closed) uv_run(&loop_, UV_RUN_NOWAIT);
  return !late;
}

bool TestLoop::timer_armed() {
  bool armed = false;
  uv_walk(&loop_, [](uv_handle_t* handle, void* out) {
    if (handle->type == UV_TIMER && uv_is_active(handle)) *static_cast<bool*>(out) = true;
  }, &armed);
  return armed;
}

struct Peer::Client::Block {
  uv_tcp_t tcp;
  Peer* peer;
  Client* client;
  char buffer[65536];
};

Peer::Peer(TestLoop& loop, Script on_bytes, Script on_connect)
    : loop_(loop.uv()), on_bytes_(std::move(on_bytes)), on_connect_(std::move(on_connect)) {
  listener_ = new uv_tcp_t;
  uv_tcp_init(loop_, listener_);
  listener_->data = this;
  sockaddr_in address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  REQUIRE(uv_tcp_bind(listener_, reinterpret_cast<sockaddr*>(&address), 0) == 0);
  REQUIRE(uv_listen(reinterpret_cast<uv_stream_t*>(listener_), 64, [](uv_stream_t* stream, int) {
            static_cast<Peer*>(stream->data)->accept();
          }) == 0);
  int size = sizeof address;
  uv_tcp_getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

Peer::~Peer() {
  stop_listening();
  for (Client& client : clients_) client.finish();
}

void Peer::stop_listening() {
  if (listener_) close_and_delete(std::exchange(listener_, nullptr));
}

int Peer::open() const {
  int n = 0;
  for (const Client& client : clients_) n += client.block_ != nullptr && !client.gone;
  return n;
}

Peer::Client& Peer::client(int number) { return *std::next(clients_.begin(), number); }

Url Peer::url(const std::string& target) const {
  return *parse_url("http://127.0.0.1:" + std::to_string(port_) + target);
}

void Peer::accept() {
  Client& client = clients_.emplace_back();
  client.number = static_cast<int>(clients_.size()) - 1;
  auto* block = client.block_ = new Client::Block;
  block->peer = this;
  block->client = &client;
  uv_tcp_init(loop_, &block->tcp);
  block->tcp.data = block;
  REQUIRE(uv_accept(reinterpret_cast<uv_stream_t*>(listener_), reinterpret_cast<uv_stream_t*>(&block->tcp)) == 0);
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&block->tcp),
      [](uv_handle_t* handle, size_t, uv_buf_t* out) {
        auto* b = static_cast<Client::Block*>(handle->data);
        *out = uv_buf_init(b->buffer, sizeof b->buffer);
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t*) {
        auto* b = static_cast<Client::Block*>(stream->data);
        if (!b->client || size == 0) return;
        if (size > 0) b->client->got.append(b->buffer, static_cast<size_t>(size));
        if (size < 0) {
          b->client->gone = true;
          uv_read_stop(stream);
        }
        b->peer->on_bytes_(*b->client);
        if (size < 0 && b->client) b->client->finish();
      });
  if (on_connect_) on_connect_(client);
}

void Peer::Client::say(std::string bytes) {
  if (!block_) return;
  struct Write {
    uv_write_t request;
    std::string bytes;
  };
  auto* write = new Write{{}, std::move(bytes)};
  write->request.data = write;
  const uv_buf_t buf = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  const int code = uv_write(&write->request, reinterpret_cast<uv_stream_t*>(&block_->tcp), &buf, 1,
                            [](uv_write_t* request, int) { delete static_cast<Write*>(request->data); });
  if (code != 0) delete write;  // after a reset by the client nothing can be written, and nobody is called
}

void Peer::Client::finish() {
  Block* block = std::exchange(block_, nullptr);
  if (!block) return;
  block->client = nullptr;
  auto* shutdown = new uv_shutdown_t;
  const auto close = [](uv_handle_t* handle) {
    uv_close(handle, [](uv_handle_t* h) { delete static_cast<Block*>(h->data); });
  };
  const int code = uv_shutdown(shutdown, reinterpret_cast<uv_stream_t*>(&block->tcp), [](uv_shutdown_t* request, int) {
    uv_close(reinterpret_cast<uv_handle_t*>(request->handle), [](uv_handle_t* h) { delete static_cast<Block*>(h->data); });
    delete request;
  });
  if (code == 0) return;
  delete shutdown;
  close(reinterpret_cast<uv_handle_t*>(&block->tcp));
}

void Peer::Client::reset() {
  Block* block = std::exchange(block_, nullptr);
  if (!block) return;
  block->client = nullptr;
  uv_tcp_close_reset(&block->tcp, [](uv_handle_t* h) { delete static_cast<Block*>(h->data); });
}

void Peer::Client::pause() {
  if (block_) uv_read_stop(reinterpret_cast<uv_stream_t*>(&block_->tcp));
}

Peer::Script answer(std::string response) {
  return [response](Peer::Client& client) {
    size_t end;
    while ((end = client.got.find("\r\n\r\n")) != std::string::npos) {
      client.got.erase(0, end + 4);
      ++client.requests;
      client.say(response);
    }
  };
}

HttpRequest request_to(const Url& url) {
  HttpRequest request;
  request.url = url;
  request.allow_private = true;
  return request;
}

HttpResult fetch(TestLoop& loop, HttpClient& client, HttpRequest request) {
  bool done = false;
  HttpResult out;
  client.send(std::move(request), [&](HttpResult result) {
    CHECK(!done);
    done = true;
    out = std::move(result);
  });
  CHECK(!done);
  REQUIRE(loop.run_until([&] { return done; }));
  return out;
}

void shut(TestLoop& loop, HttpClient& client) {
  bool closed = false;
  client.shutdown([&] { closed = true; });
  REQUIRE(loop.run_until([&] { return closed; }));
}

}  // namespace hf::test
