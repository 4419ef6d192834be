// The engine thread on a disk that is full. The ballast (platform/ballast.h) is given up, and the engine, opened again,
// adds nothing more (Room::little); if even that is not enough it only reads (Room::none). Every so often the thread
// looks whether there is room again; then the ballast is made anew and all goes on. A file system that has become
// read-only is much the same: what can be read is read, from the open file, as it cannot be opened again then.
#include <algorithm>
#include <iterator>
#include <utility>

#include "platform/heal.h"
#include "platform/host_state.h"
#include "platform/memory.h"

namespace hf {
namespace {
constexpr int64_t kLookFirstMs = 1000;  // for room: after 1 s, 2 s, ... every 10 s
constexpr int64_t kLookMaxMs = 10000;
constexpr int64_t kAgainMs = 60000;     // full again so soon after: the looks go on being rare, as each makes a ballast
constexpr size_t kFewRequests = 8;      // of one turn on a full disk: their pages have to fit into the log's part of the ballast

template <class F>
void move_if(std::list<Request>& from, std::list<Request>& to, F chosen) {
  for (auto it = from.begin(); it != from.end();) {
    const auto request = it++;
    if (chosen(*request)) to.splice(to.end(), from, request);
  }
}
}  // namespace

void Host::State::keep_ballast() {
  if (room != Room::enough) return;
  int64_t bytes;
  {
    std::lock_guard lock(mutex);
    bytes = limits.ballast;
  }
  Status kept = Error{HF_E_NO_MEMORY, {}};
  (void)guarded([&] { kept = ballast->keep(bytes); });
  if (!kept && bytes > 0) options.log.warn("no_ballast", {{"bytes", bytes}, {"why", kept.error().message}, {"note", "nothing is set aside for a full disk"}});
}

void Host::State::set_room(Room to) {
  if (to == room) return;
  const Room from = std::exchange(room, to);
  const auto tell = [&](Change change, const char* note) {
    std::vector<Transition> feed;
    patient([&] { feed.assign(1, Transition{change, 0, 0, {}, {}, note}); });
    publish(std::move(feed));
  };
  if (to == Room::read_only) {
    const char* note = "nothing can be recorded until it can be written again: jobs can be read";
    options.log.error("file_system_read_only", {{"note", note}});
    tell(Change::file_system_read_only, note);
  } else if (from == Room::read_only) {
    options.log.warn("file_system_read_only_over", {});
    tell(Change::file_system_read_only_over, "");
  } else if (to == Room::enough) {
    options.log.warn("disk_full_over", {});
    tell(Change::disk_full_over, "");
  } else if (from == Room::enough || to == Room::none) {
    const char* note = to == Room::none ? "there is no room to write anything: jobs can be read"
                                        : "nothing is added, and nothing but deliveries runs, until there is room again";
    const bool given_up = ballast->give_up();
    options.log.error("disk_full", {{"ballast_given_up", given_up}, {"note", note}});
    tell(Change::disk_full, note);
  }
  if (to == Room::enough) over_at_ms = boot_ms();
  if (from == Room::enough) look_wait_ms = boot_ms() - over_at_ms < kAgainMs ? std::clamp(look_wait_ms * 2, kLookFirstMs, kLookMaxMs) : kLookFirstMs;
  look_at_ms = boot_ms() + look_wait_ms;
  if (engine == nullptr) return;
  if (only_reads(from)) {  // it has left things as they were
    last_error_code = HF_OK;
    drop_engine();
    reopen_at_ms = 0;
    return;
  }
  Requests one;
  patient([&] { one.push_back({SetRoom{to}, {}, {}}); });
  turn(one);
}

Result<std::unique_ptr<Engine>> Host::State::open_engine(EngineOptions o, int met) {
  if (read_only_store) {
    o.room = room;
    return Engine::open(std::move(o), std::move(read_only_store));
  }
  while (true) {
    o.room = room;
    Result<std::unique_ptr<Engine>> opened = open_healing(o, options.log, met);
    if (opened || opened.error().code != HF_E_FULL || room == Room::none) return opened;
    set_room(room == Room::enough ? Room::little : Room::none);
  }
}

// After a turn for which there was no room. The engine is gone already.
bool Host::State::less_room(Requests& batch, int code) {
  auto is_result = [](const Request& r) { return std::holds_alternative<RunEnded>(r.op); };
  if (only_reads(room)) return false;  // it wrote nothing, and yet
  if (code == HF_E_READ_ONLY) {
    set_room(Room::read_only);
  } else if (room == Room::enough) {
    set_room(Room::little);
  } else if (std::any_of(batch.begin(), batch.end(), is_result)) {
    results_wait = true;  // they are the largest; whoever cancels or deletes need not wait for them
  } else {
    set_room(Room::none);
  }
  Requests again = std::exchange(batch, {});  // which may be `unanswered`
  Requests called;  // whose functions are called once, whatever becomes of it
  move_if(again, called, [](const Request& r) { return std::holds_alternative<Transact>(r.op); });
  if (!called.empty()) answer_all(called, patient([&] { return Error{code, last_error}; }));
  std::erase_if(again, [](const Request& r) { return std::holds_alternative<SetRoom>(r.op); });
  for (Request& request : again) request.reply = {};
  unanswered.splice(unanswered.begin(), again);
  reopen_at_ms = 0;
  if (!results_wait) return true;
  // The others are asked again at once.
  Requests others;
  move_if(unanswered, others, [&](const Request& r) { return !is_result(r); });
  std::lock_guard lock(mutex);
  inbox.splice(inbox.begin(), others);
  inbox_size.store(inbox.size(), std::memory_order_relaxed);
  return true;
}

void Host::State::few_at_once(Requests& batch, Requests& rest) const {
  if (room != Room::little || batch.size() <= kFewRequests) return;
  rest.splice(rest.begin(), batch, std::next(batch.begin(), kFewRequests), batch.end());
}

// Results that an engine without room refused are told again when it has some.
void Host::State::keep_refused_results(Requests& batch) {
  if (room == Room::enough) return;
  Requests refused;
  move_if(batch, refused, [](const Request& r) {
    auto* error = std::holds_alternative<RunEnded>(r.op) ? std::get_if<Error>(&r.reply) : nullptr;
    return error != nullptr && (error->code == HF_E_FULL || error->code == HF_E_READ_ONLY);
  });
  for (Request& request : refused) request.reply = {};
  results_wait = results_wait || !refused.empty();
  unanswered.splice(unanswered.end(), refused);
}

void Host::State::look_for_room() {
  look_wait_ms = std::min(look_wait_ms * 2, kLookMaxMs);
  look_at_ms = boot_ms() + look_wait_ms;
  if (room == Room::read_only && (engine == nullptr || !engine->try_write())) return;
  results_wait = false;
  int64_t bytes;
  {
    std::lock_guard lock(mutex);
    bytes = limits.ballast;
  }
  bool kept = false;
  (void)guarded([&] { kept = ballast->keep(bytes).ok(); });
  if (kept) {
    set_room(Room::enough);
  } else if (only_reads(room)) {
    set_room(Room::little);
  }
}

}  // namespace hf
