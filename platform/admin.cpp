#include "platform/admin.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <future>
#include <utility>

#include "platform/admin_desk.h"
#include "platform/listen_socket.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr int64_t kGraceMs = 1000;  // for answers under way, at the end
constexpr rlim_t kClientsShare = 4;  // of the descriptors, a fourth

// Clients must not take the descriptors that runs, uploads and the file need; and where there is none left nobody can be
// let in, not even in the place of another.
int clients_by_descriptors() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT_MAX;
  return static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur / kClientsShare, 1, INT_MAX));
}

// Runs `task` on the loop thread and waits for it. False: the loop stops, it will not run.
bool run_on_loop(Host& host, std::function<void()> task) {
  auto done = std::make_shared<std::promise<bool>>();
  auto ran = done->get_future();
  if (!host.loop().post([task = std::move(task), done] {
        try {
          task();
          done->set_value(true);
        } catch (const std::bad_alloc&) {
          done->set_exception(std::current_exception());  // for who waits
        }
      })) {
    return false;
  }
  return ran.get();
}

}  // namespace

struct AdminServer::State {
  explicit State(Host& the_host) : host(the_host) {}
  Host& host;
  // On the loop thread alone:
  std::shared_ptr<AdminDesk> desk;
  std::unique_ptr<HttpServer> server;
  int watch = -1;
};

AdminServer::AdminServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdminServer::~AdminServer() {
  shutdown();
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(Host& host, const std::string& socket_path,
                                                        AdminOptions options) {
  if (host.loop().on_loop_thread()) {
    return Error{HF_E_THREAD, "the admin socket cannot be opened on the loop thread"};
  }
  AdminRoles roles;
  roles.own_uid = geteuid();
  roles.group_name = options.group;
  roles.open_view = options.open_view;
  if (!options.group.empty()) {
    auto group = group_id(options.group);
    if (!group) return group.error();
    roles.group = *group;
  }
  HttpServerOptions server_options;
  server_options.socket_path = socket_path;
  server_options.listen_fd = options.listen_fd;
  server_options.group = roles.group;
  // Whoever reaches the socket is told by its credentials what it may do; a folder that others may
  // not enter keeps them out altogether.
  server_options.mode = 0666;
  server_options.entry = [roles](const Peer& peer) {
    const Role role = roles.role_of(peer);
    return role == Role::act ? Entry::everything : role == Role::view ? Entry::guest : Entry::stranger;
  };
  server_options.to_strangers = error_response(Error{HF_E_DENIED, "this needs " + roles.who_may_act()});
  server_options.max_clients = std::min(options.max_clients, clients_by_descriptors());
  if (server_options.max_clients < options.max_clients) {
    host.log().warn("few_descriptors", {{"max_clients", server_options.max_clients}, {"note", "the limit of open files (RLIMIT_NOFILE) allows no more: clients take a quarter of it"}});
  }

  std::unique_ptr<AdminServer> admin(new AdminServer(std::make_unique<State>(host)));
  State* const state = admin->state_.get();
  Status opened = ok_status();
  const bool ran = run_on_loop(host, [&] {
    auto desk = std::make_shared<AdminDesk>(host, std::move(roles));
    auto server = HttpServer::create(
        host.loop(), std::move(server_options), [desk](ServerRequest request, Responder responder) {
          route_admin_request(*desk, std::move(request), std::move(responder));
        });
    if (!server) {
      opened = server.error();
      return;
    }
    opened = desk->open_timer();
    if (!opened) return;
    state->watch =
        host.watch([desk](const Transition& transition) { desk->on_transition(transition); });
    desk->server = server->get();
    state->desk = std::move(desk);
    state->server = std::move(*server);
  });
  if (!ran) return Error{HF_E_STATE, "the engine stops"};
  if (!opened) return opened.error();
  return admin;
}

void AdminServer::shutdown() {
  if (!state_ || !state_->server) return;
  // Everything is made here, so that nothing fails there.
  auto closed = patient([] { return std::make_shared<std::promise<void>>(); });
  auto gone = closed->get_future();
  State* state = state_.get();
  auto task = patient([&] {
    std::function<void()> finished = [state, closed] {
      state->desk->server = nullptr;
      state->server.reset();
      state->desk.reset();
      closed->set_value();
    };
    return LoopPoster::prepare([state, finished]() mutable {
      state->host.unwatch(state->watch);
      state->desk->close();
      state->server->shutdown(kGraceMs, std::move(finished));
    });
  });
  if (state->host.loop().poster().post(std::move(task))) gone.wait();
  state_.reset();
}

}  // namespace hf
