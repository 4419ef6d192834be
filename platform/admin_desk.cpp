#include "platform/admin_desk.h"

#include <algorithm>
#include <utility>

#include "core/names.h"
#include "platform/memory.h"

namespace hf {
namespace {

// The one table from HF_E_* to a status of HTTP (RFC 9110; 507 of RFC 4918).
int status_of(int code) {
  switch (code) {
    case HF_E_INVALID:
      return 400;
    case HF_E_DENIED:
      return 403;
    case HF_E_NOT_FOUND:
      return 404;
    case HF_E_STATE:
    case HF_E_CONFLICT:
    case HF_E_STALE:
      return 409;
    case HF_E_TOO_LARGE:
      return 413;
    case HF_E_RATE:
      return 429;
    case HF_E_UNSUPPORTED:
      return 501;
    case HF_E_BUSY:
    case HF_E_LOCKED:
      return 503;
    case HF_E_TIMEOUT:
    case HF_E_UNREACHABLE:
      return 504;
    case HF_E_FULL:
    case HF_E_READ_ONLY:
      return 507;
    default:
      return 500;
  }
}

bool is_end(Change change) {
  return change == Change::completed || change == Change::died || change == Change::cancelled ||
         change == Change::expired || change == Change::removed || change == Change::displaced;
}

}  // namespace

ServerResponse error_response(const Error& error) {
  auto response =
      ServerResponse::error(status_of(error.code), error_name(error.code), error.message);
  if (error.code == HF_E_BUSY) response.headers.emplace_back("Retry-After", "1");
  return response;
}

ServerResponse no_such(std::string_view kind, const std::string& name) {
  return error_response(Error{HF_E_NOT_FOUND, "there is no " + std::string(kind) + " " + quoted(name)});
}

ServerResponse json_response(std::string body, int status) {
  ServerResponse response;
  response.status = status;
  response.body = std::move(body);
  response.body += '\n';  // for those who read it with curl
  return response;
}

Role AdminRoles::role_of(const Peer& peer) const {
  if (peer.uid == 0 || peer.uid == own_uid || (group && peer.in_group(*group))) return Role::act;
  return open_view ? Role::view : Role::none;
}

std::string AdminRoles::who_may_act() const {
  const std::string first = own_uid == 0 ? "root" : "root, user " + std::to_string(own_uid);
  if (!group) return first + " (there is no operator group: \"admin\": {\"group\": ...} names one)";
  return first + " or a member of the group \"" + group_name + "\"";
}

void AdminDesk::ask(const AdminCall& call, Op op, std::function<ServerResponse(Reply&)> answer) {
  ask_then(call, std::move(op),
           [responder = call.responder, answer = std::move(answer)](Reply& reply) {
             responder.reply(answer(reply));
           });
}

void AdminDesk::ask_then(const AdminCall& call, Op op, std::function<void(Reply&)> next) {
  const Status taken = host.submit_to_loop(
      std::move(op), [responder = call.responder, next = std::move(next)](Reply reply) {
        if (const auto* error = std::get_if<Error>(&reply))
          return responder.reply(error_response(*error));
        next(reply);
      });
  if (!taken) call.responder.reply(error_response(taken.error()));
}

// ---- waiting for a job
// ----------------------------------------------------------------------------

void AdminDesk::wait_for(const AdminCall& call, JobId id, int64_t timeout_ms) {
  const uint64_t token = ++last_token_;
  const auto self = shared_from_this();
  waiters_.emplace(token,
                   Waiter{id, call, after(timeout_ms, [this, token] { answer_waiter(token); })});
  call.responder.on_gone([weak = weak_from_this(), token] {
    if (const auto desk = weak.lock()) desk->drop_waiter(token);
  });
  // Asked after the waiter is there: an end that comes meanwhile is not missed.
  const Status taken = host.submit_to_loop(Get{id}, [self, token, call](Reply reply) {
    const auto* job = std::get_if<JobInfo>(&reply);
    if (job && !is_final(job->state)) return;
    self->drop_waiter(token);
    if (job) return call.responder.reply(json_response(job_json(*job, call.sight)));
    const auto* error = std::get_if<Error>(&reply);
    call.responder.reply(error_response(error ? *error : Error{}));
  });
  if (taken) return;
  drop_waiter(token);
  call.responder.reply(error_response(taken.error()));
}

void AdminDesk::drop_waiter(uint64_t token) {
  const auto waiter = waiters_.find(token);
  if (waiter == waiters_.end()) return;
  call_off(waiter->second.deadline);
  waiters_.erase(waiter);
}

void AdminDesk::answer_waiter(uint64_t token) {
  const auto waiter = waiters_.find(token);
  if (waiter == waiters_.end()) return;
  const AdminCall call = std::move(waiter->second.call);
  const JobId id = waiter->second.id;
  drop_waiter(token);
  (void)guarded([&] {
    ask(call, Get{id}, [sight = call.sight](Reply& reply) {
      return json_response(job_json(std::get<JobInfo>(reply), sight));
    });
  });
}

// ---- the feed
// -------------------------------------------------------------------------------------

void AdminDesk::watch(const AdminCall& call, Filter filter) {
  const uint64_t token = ++last_token_;
  call.responder.open_stream();
  call.responder.send(": watching\n\n");  // the client sees at once that it is connected
  watchers_.emplace(token, Watcher{call.responder, std::move(filter), call.sight});
  call.responder.on_gone([weak = weak_from_this(), token] {
    if (const auto desk = weak.lock()) desk->watchers_.erase(token);
  });
}

// Each of those who wait for it is served, or, without memory, let go: a client sees that there will be no answer.
void AdminDesk::on_transition(const Transition& transition) {
  run_times.count(transition);
  if (is_end(transition.change)) {
    for (auto at = waiters_.begin(); at != waiters_.end();) {
      const auto waiter = at++;
      if (waiter->second.id == transition.id) answer_waiter(waiter->first);
    }
  }
  std::string event[2];  // by Sight, made when it is first needed
  for (auto at = watchers_.begin(); at != watchers_.end();) {
    const auto watcher = at++;
    const auto& [responder, filter, seen] = watcher->second;
    const Sight sight = seen;  // a lambda cannot have a structured binding (Clang before 16)
    if (filter.id != 0 && filter.id != transition.id) continue;
    if (!filter.queue.empty() && filter.queue != transition.queue) continue;
    if (!filter.type.empty() && filter.type != transition.type) continue;
    std::string& text = event[static_cast<size_t>(sight)];
    const bool made = !text.empty() || guarded([&] {
      text = "event: " + std::string(change_name(transition.change)) +
             "\ndata: " + transition_json(transition, wall_ms(), sight) + "\n\n";
    });
    if (!made || !responder.send(text)) watchers_.erase(watcher);
  }
}

// ---- time
// -----------------------------------------------------------------------------------------

Status AdminDesk::open_timer() {
  auto timer = BootTimer::create(host.loop().uv(), [this] { ring(); });
  if (!timer) return timer.error();
  timer_ = std::move(*timer);
  return ok_status();
}

AdminDesk::Deadline AdminDesk::after(int64_t ms, std::function<void()> fire) {
  const Deadline deadline{boot_ms() + ms, ++last_token_};
  deadlines_.emplace(deadline, std::move(fire));
  set_timer();
  return deadline;
}

void AdminDesk::call_off(Deadline deadline) {
  if (deadlines_.erase(deadline) > 0) set_timer();
}

void AdminDesk::ring() {
  const auto self = shared_from_this();
  const int64_t now = boot_ms();
  while (!deadlines_.empty() && deadlines_.begin()->first.first <= now) {
    const auto due = deadlines_.extract(deadlines_.begin());
    (void)guarded(due.mapped());
  }
  set_timer();
}

void AdminDesk::set_timer() {
  if (timer_) timer_->set(deadlines_.empty() ? kNever : deadlines_.begin()->first.first);
}

void AdminDesk::close() {
  for (const auto& [token, watcher] : watchers_) watcher.responder.end_stream();
  watchers_.clear();
  while (!waiters_.empty()) {
    const auto responder = waiters_.begin()->second.call.responder;
    drop_waiter(waiters_.begin()->first);
    (void)guarded([&] { responder.reply(error_response(Error{HF_E_STATE, "the daemon stops"})); });
  }
  deadlines_.clear();
  timer_.reset();
}

}  // namespace hf
