// What the admin routes work with: who may do what, answers from the engine, and those who wait.
// Internal to the admin server.
//
// Owner: the AdminServer, shared with answers under way. Thread: the loop's, all of it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/admin.h"
#include "platform/clock.h"
#include "platform/http_server.h"
#include "platform/json.h"
#include "platform/metrics.h"

namespace hf {

// What a caller may do, by the credentials of its process.
enum class Role : uint8_t { none, view, act };

struct AdminRoles {
  uid_t own_uid = 0;
  std::optional<gid_t> group;
  std::string group_name;
  bool open_view = false;

  Role role_of(const Peer& peer) const;
  std::string who_may_act()
      const;  // "root, the daemon's user or a member of the group \"operators\""
};

// One request being served.
struct AdminCall {
  ServerRequest request;
  Responder responder;
  Sight sight = Sight::outline;
  std::vector<std::string> names;  // what stands at the * of the route's path
};

ServerResponse error_response(const Error& error);  // with the status that fits the code
ServerResponse json_response(std::string body, int status = 200);
ServerResponse no_such(std::string_view kind, const std::string& name);  // 404

class AdminDesk : public std::enable_shared_from_this<AdminDesk> {
 public:
  AdminDesk(Host& desk_host, AdminRoles desk_roles)
      : host(desk_host), roles(std::move(desk_roles)) {}

  // Asks the engine; an Error becomes the answer by itself, `answer` makes it of any other reply.
  void ask(const AdminCall& call, Op op, std::function<ServerResponse(Reply&)> answer);
  // The same, but `next` goes on with the call in place of an answer.
  void ask_then(const AdminCall& call, Op op, std::function<void(Reply&)> next);

  // Answers with the job once it is final, at the latest after timeout_ms with what it is then.
  void wait_for(const AdminCall& call, JobId id, int64_t timeout_ms);
  // Sends every transition that fits.
  struct Filter {
    std::string queue, type;
    JobId id = 0;
  };
  void watch(const AdminCall& call, Filter filter);
  // `fire` runs once, after `ms`, unless it is called off.
  using Deadline = std::pair<int64_t, uint64_t>;  // boot time, and a number of its own
  Deadline after(int64_t ms, std::function<void()> fire);
  void call_off(Deadline deadline);  // nothing happens if it has fired

  Status open_timer();
  void on_transition(const Transition& transition);
  void close();  // ends what waits; called before the server goes

  Host& host;
  const AdminRoles roles;
  RunTimes run_times;
  const int64_t start_wall_ms = wall_ms();
  HttpServer* server = nullptr;

 private:
  struct Waiter {
    JobId id = 0;
    AdminCall call;
    Deadline deadline;
  };
  struct Watcher {
    Responder responder;
    Filter filter;
    Sight sight;
  };
  void drop_waiter(uint64_t token);
  void answer_waiter(uint64_t token);  // with the job as it is now
  void ring();
  void set_timer();

  std::map<uint64_t, Waiter> waiters_;  // by a token that callbacks hold
  std::map<uint64_t, Watcher> watchers_;
  uint64_t last_token_ = 0;
  std::map<Deadline, std::function<void()>> deadlines_;
  std::unique_ptr<BootTimer> timer_;
};

// The table of routes: answers `request`.
void route_admin_request(AdminDesk& desk, ServerRequest request, Responder responder);

}  // namespace hf
