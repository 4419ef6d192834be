// Room for jobs that come in: max_pending of their queues, max_jobs and max_bytes of the file, and who gives way where they are
// reached (core/front.h). The rest of class Jobs is in jobs.cpp.
#include <algorithm>
#include <utility>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

// What an insert adds, beside its payload: the row, its index entries, and the rounding of a long payload to pages.
constexpr int64_t kRowBytesMax = 512;
// ... with it. A page of payload has links, and its place in the map of pages: nine bytes in a thousand.
int64_t room_of(int64_t payload_bytes, int64_t jobs) { return payload_bytes + payload_bytes / 64 + jobs * kRowBytesMax; }
// What its removal gives back at least, beside its payload, in the long run: pages are given back whole.
constexpr int64_t kRowBytesMin = 64;

std::string counted(int64_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

}  // namespace

int64_t Jobs::total() const {
  int64_t sum = 0;
  for (int64_t n : turn_.stats.by_state) sum += n;
  return sum;
}

bool Jobs::has_max_pending(const JobSpec& spec) const {
  const Queue* queue = turn_.lanes.find_queue(spec.queue);
  return queue != nullptr && queue->max_pending() != 0;
}

Jobs::Arrivals Jobs::arrivals(const std::vector<const JobSpec*>& specs) {
  Arrivals in;
  std::set<std::string_view> keys;  // of new ones
  for (const JobSpec* s : specs) {
    in.bytes += static_cast<int64_t>(s->payload.size());
    in.stay.insert(s->after.begin(), s->after.end());
    if (!s->unique_key.empty()) {
      if (keys.contains(s->unique_key)) continue;
      if (const JobId other = stand_in(*s); other != 0) {
        in.stay.insert(other);
        continue;
      }
      keys.insert(s->unique_key);
    }
    in.jobs.push_back(s);
  }
  return in;
}

// ---- who gives way ------------------------------------------------------------------------------------------------

void Jobs::read_on(Front& front, const Queue* queue, size_t most) {
  Front::Reading reading(front, most);
  const auto read = [&](const Lane& lane) {
    if (lane.pending == 0 || lane.delivery() || lane.id == 0) return;
    turn_.store.each_pending(lane.id, [&](int priority, JobId id) { return reading.add(priority, id); });
  };
  if (queue == nullptr) {
    for (int id = 1; id <= turn_.lanes.last_id(); ++id) read(*turn_.lanes.by_id(id));
  } else {
    for (const auto& [name, key] : queue->keys) {
      for (const Lane* lane : key.lanes) read(*lane);
    }
  }
  reading.done();
}

// It goes already, or has its place for others of the call or of a transaction.
bool Jobs::stays(JobId id, const Arrivals& in, const Leaving& leave) const {
  return leave.ids.contains(id) || in.stay.contains(id) || promises_.holders.contains(id);
}

// `queue`: it is to be of this one; null: of any, but then those do not count of whose end somebody is told: there would be no less
// in the file.
bool Jobs::may_leave(const FullRow& row, const Lane& lane, const Queue* queue) const {
  if (row.job.state != State::pending || lane.delivery()) return false;
  return queue != nullptr ? lane.queue == queue : callback_of(lane, decode_opts(row.job.opts), State::dead).empty();
}

// Of those in `front`, in its order, each that is not in `leave` nor stays, until `take` says false. `queue`: whose front it is;
// null: the file's.
void Jobs::each_in_front(Front& front, const Queue* queue, const Arrivals& in, const Leaving& leave,
                         const std::function<bool(const FullRow&, const Lane&)>& take) {
  flush();
  const int64_t waiting = queue != nullptr ? queue->pending : turn_.stats.by_state[static_cast<int>(State::pending)];
  const size_t most = std::max({std::clamp(static_cast<size_t>(waiting) / 64, kFrontMin, kFrontMax), in.jobs.size() + in.stay.size()});
  auto at = front.known().begin();
  while (turn_.store.ok()) {
    if (at == front.known().end()) {
      if (front.whole()) return;
      const Front::Place until = front.until();
      read_on(front, queue, most);
      at = front.known().lower_bound(until);
      continue;
    }
    const JobId id = at->second;
    if (stays(id, in, leave)) {
      ++at;
      continue;
    }
    const FullRow row = turn_.store.read(id, false);
    if (!row.found) {
      at = front.known().erase(at);
      continue;
    }
    const Lane& lane = *turn_.lanes.by_id(row.job.lane);
    if (front.place(row.job.priority, id) != *at || !may_leave(row, lane, queue)) {
      at = front.known().erase(at);
      continue;
    }
    if (!take(row, lane)) return;
    ++at;
  }
}

// Of those that come in, and before them those that are promised their places, the last `n`: for the others there is room. In
// `placed` are so many of a queue for whom somebody goes already. `queue`: of this one alone; null: of all.
std::map<LaneName, Jobs::Coming> Jobs::last_coming(const Queue* queue, int64_t n, const Arrivals& in, std::map<std::string_view, int64_t> placed) const {
  std::map<LaneName, Coming> lanes;
  const auto look_at = [&](const JobSpec& s) {
    if (n == 0 || (queue != nullptr && s.queue != queue->name)) return;
    if (const auto at = placed.find(s.queue); at != placed.end() && at->second > 0) {
      --at->second;
      return;
    }
    --n;
    Coming& coming = lanes[{s.queue, s.type, s.concurrency_key, 0}];
    ++coming.jobs;
    coming.bytes += room_of(static_cast<int64_t>(s.payload.size()), 1);
  };
  for (auto at = in.jobs.rbegin(); at != in.jobs.rend(); ++at) look_at(**at);
  for (auto at = promises_.all.rbegin(); at != promises_.all.rend(); ++at) {
    if (at->new_job) look_at(at->spec);
  }
  return lanes;
}

// As each_in_front(), but of one lane, the next to run first. `wanted`: so many are taken at most; up to kPassedOverMax more are
// looked at, if some may not give way.
void Jobs::each_in_lane(const LaneName& name, int64_t wanted, const Queue* queue, const Arrivals& in, const Leaving& leave,
                        const std::function<bool(const FullRow&, const Lane&)>& take) {
  const Lane* lane = turn_.lanes.find(name);
  if (lane == nullptr || lane->pending == 0) return;
  flush();
  const size_t others = leave.ids.size() + in.stay.size() + promises_.holders.size();
  const auto most = static_cast<size_t>(wanted + kPassedOverMax);
  for (size_t n = 8;; n = std::min(8 * n, most)) {
    const std::vector<JobId> ids = turn_.store.first_pending(lane->id, turn_.now_ms, lane->order, others + n);
    for (const JobId id : ids) {
      if (stays(id, in, leave)) continue;
      const FullRow row = turn_.store.read(id, false);
      if (row.found && row.job.lane == lane->id && may_leave(row, *lane, queue) && !take(row, *lane)) return;
    }
    if (ids.size() < others + n || n == most) return;
  }
}

Jobs::Shortage Jobs::find_in_lanes(const Queue* queue, int64_t n, const Arrivals& in, Leaving& leave) {
  Shortage shortage;
  for (const auto& [lane, coming] : last_coming(queue, n, in, queue == nullptr ? leave.by_queue : std::map<std::string_view, int64_t>())) {
    int64_t lacks = coming.jobs;
    each_in_lane(lane, lacks, queue, in, leave, [&](const FullRow& row, const Lane& of) {
      leave.add(row, of, callback_of(of, decode_opts(row.job.opts), State::dead).empty(), queue == nullptr);
      return --lacks > 0;
    });
    if (lacks > 0 && !shortage.any) shortage = {true, coming.jobs - lacks, lane};
  }
  return shortage;
}

// `n`: that the file lacks.
void Jobs::find_bytes(int64_t n, const Arrivals& in, Leaving& leave) {
  Front& front = turn_.lanes.front();
  front.follow(turn_.limits.when_full);
  if (front.by_lane()) return find_bytes_in_lanes(n, in, leave);
  const auto lowest = std::min_element(in.jobs.begin(), in.jobs.end(), [](const JobSpec* a, const JobSpec* b) { return a->priority < b->priority; });
  const int64_t enough = leave.bytes + n;
  int64_t left = kDisplacedMax * std::max<int64_t>(static_cast<int64_t>(in.jobs.size()) + promises_.new_jobs, 1);
  each_in_front(front, nullptr, in, leave, [&](const FullRow& row, const Lane& lane) {
    if (front.by_priority() && !in.promised && lowest != in.jobs.end() && row.job.priority > (*lowest)->priority) return false;
    leave.add(row, lane, true, true);
    return --left > 0 && leave.bytes < enough;
  });
}

// No lane gives more than what comes into it has.
void Jobs::find_bytes_in_lanes(int64_t n, const Arrivals& in, Leaving& leave) {
  const int64_t enough = leave.bytes + n;
  for (const auto& [lane, coming] : last_coming(nullptr, kNever, in, {})) {
    if (leave.bytes >= enough) return;
    const int64_t most = std::min(enough, leave.bytes + coming.bytes);
    int64_t left = coming.jobs * kDisplacedMax;
    each_in_lane(lane, left, nullptr, in, leave, [&](const FullRow& row, const Lane& of) {
      leave.add(row, of, true, true);
      return --left > 0 && leave.bytes < most;
    });
  }
}

std::string Jobs::Shortage::text() const {
  const auto& [queue, type, key, origin] = lane;
  const std::string whose = queue.empty() ? "them" : "type " + type + " with " + (key.empty() ? "no concurrency_key" : "concurrency_key " + quoted(key)) + " in queue " + queue;
  return ", and " + (found == 0 ? "none" : "only " + std::to_string(found)) + " of " + whose + " may give way (when_full)";
}

// So many jobs have to go as come in, or there would be more than before; and if there are too many already, some more.
Jobs::Shortage Jobs::find_leaving(Front& front, const Queue* queue, const std::vector<int>& priorities, int64_t over, int64_t ahead,
                                  const Arrivals& in, Leaving& leave) {
  const auto n = static_cast<int64_t>(priorities.size());
  const int64_t before = std::clamp<int64_t>(over - n, 0, ahead);  // for those that are promised their places already
  const int64_t must = before + std::min(over, n), may = std::min(over, before + n * kDisplacedMax);
  if (front.by_lane()) return find_in_lanes(queue, must, in, leave);
  int64_t found = 0;
  each_in_front(front, queue, in, leave, [&](const FullRow& row, const Lane& lane) {
    if (front.by_priority() && !in.promised && found >= before) {
      const int64_t whose = found < must ? n - (must - found) : n - 1;
      if (row.job.priority > priorities[static_cast<size_t>(whose)]) return false;
    }
    leave.add(row, lane, callback_of(lane, decode_opts(row.job.opts), State::dead).empty(), queue == nullptr);
    return ++found < may;
  });
  return {found < must, found};
}

void Jobs::Leaving::add(const FullRow& row, const Lane& lane, bool silent, bool of_file) {
  ids.emplace(row.job.id, of_file);
  if (!silent) return;  // that it has gone is told by another row
  ++rows;
  ++by_queue[lane.queue->name];
  bytes += row.payload_size + kRowBytesMin;
}

// ---- is there room --------------------------------------------------------------------------------------------------

Status Jobs::room_in_queue(Queue& queue, const std::vector<int>& priorities, const Arrivals& in, Leaving& leave) {
  const int64_t most = queue.max_pending();
  const auto promised = promises_.by_queue.find(queue.name.text());
  const int64_t ahead = promised == promises_.by_queue.end() ? 0 : promised->second;
  const auto n = static_cast<int64_t>(priorities.size());
  const int64_t over = queue.pending + ahead + n - most;
  if (over <= 0) return ok_status();
  const std::string limit = "; the limit is " + std::to_string(most) + " (max_pending)";
  const std::string holds = "queue " + queue.name + " holds " + counted(queue.pending + ahead, "job") + " that wait";
  if (queue.when_full() == WhenFull::reject) return in.promised ? ok_status() : Status(Error{HF_E_FULL, holds + limit});
  if (ahead + n > most && !in.promised) {
    return Error{HF_E_FULL, counted(ahead + n, "job") + " for queue " + queue.name + " at once" + limit};
  }
  queue.front.follow(queue.when_full());
  const Shortage shortage = find_leaving(queue.front, &queue, priorities, over, ahead, in, leave);
  if (!shortage.any || in.promised) return ok_status();
  return Error{HF_E_FULL, holds + limit + shortage.text()};
}

Status Jobs::room_in_file(const Arrivals& in, Leaving& leave) {
  const auto n = static_cast<int64_t>(in.jobs.size());
  const Limits& limits = turn_.limits;
  const int64_t over = total() + promises_.new_jobs + n - leave.rows - limits.max_jobs;
  if (over <= 0 || n == 0) return ok_status();
  const std::string full = "the queue holds " + std::to_string(total() + promises_.new_jobs) + " jobs; the limit is " + std::to_string(limits.max_jobs) + " (max_jobs)";
  if (limits.when_full == WhenFull::reject) return in.promised ? ok_status() : Status(Error{HF_E_FULL, full});
  std::vector<int> priorities;
  for (const JobSpec* s : in.jobs) priorities.push_back(s->priority);
  turn_.lanes.front().follow(limits.when_full);
  const Shortage shortage = find_leaving(turn_.lanes.front(), nullptr, priorities, over, promises_.new_jobs, in, leave);
  if (!shortage.any || in.promised) return ok_status();
  return Error{HF_E_FULL, full + shortage.text()};
}

Status Jobs::room_in_bytes(const Arrivals& in, Leaving& leave) {
  const Limits& limits = turn_.limits;
  const auto n = static_cast<int64_t>(in.jobs.size());
  const int64_t bytes = room_of(in.bytes, n);
  if (bytes > room_bytes_) {
    flush();  // what is written only later is in the file, too
    room_bytes_ = limits.max_bytes - turn_.store.used_bytes() - room_of(promises_.bytes, promises_.new_jobs);
  }
  const int64_t over = bytes - room_bytes_ - leave.bytes;
  if (over > 0 && limits.when_full != WhenFull::reject) find_bytes(over, in, leave);
  if (bytes > room_bytes_ + leave.bytes && !in.promised) {
    const std::string more = limits.when_full == WhenFull::reject ? "" : ", and of those that may give way (when_full) none has the bytes of it, nor have " + std::to_string(kDisplacedMax);
    return Error{HF_E_FULL, "the file has " + format_size(limits.max_bytes - room_bytes_) + "; the limit is " + format_size(limits.max_bytes) + " (max_bytes)" + more};
  }
  room_bytes_ += leave.bytes - bytes;
  return ok_status();
}

Result<Jobs::Leaving> Jobs::room_for(const Arrivals& in) {
  Leaving leave;
  std::map<std::string_view, std::vector<int>> by_queue;  // priorities
  for (const JobSpec* s : in.jobs) {
    if (has_max_pending(*s)) by_queue[s->queue].push_back(s->priority);
  }
  for (const auto& [name, priorities] : by_queue) HF_TRY(room_in_queue(*turn_.lanes.find_queue(std::string(name)), priorities, in, leave));
  HF_TRY(room_in_file(in, leave));
  HF_TRY(room_in_bytes(in, leave));
  return leave;
}

// Who holds their unique keys is looked up only where that matters: where somebody may have to give way, or there is no room for all.
Result<Jobs::Leaving> Jobs::room_for(const std::vector<const JobSpec*>& specs) {
  const auto limited = [this](const JobSpec* s) { return has_max_pending(*s); };
  if (turn_.limits.when_full == WhenFull::reject && std::none_of(specs.begin(), specs.end(), limited)) {
    Arrivals most;  // as if each were new
    for (const JobSpec* s : specs) most.bytes += static_cast<int64_t>(s->payload.size());
    const auto n = static_cast<int64_t>(specs.size());
    const int64_t bytes = room_of(most.bytes, n);
    if (total() + promises_.new_jobs + n <= turn_.limits.max_jobs && bytes <= room_bytes_) {  // as it nearly always is
      room_bytes_ -= bytes;
      return Leaving();
    }
    most.jobs = specs;
    if (Result<Leaving> leave = room_for(most)) return leave;
  }
  return room_for(arrivals(specs));
}

// ---- they go ----------------------------------------------------------------------------------------------------------

void Jobs::displace(const Leaving& leave) {
  for (const auto& [id, of_file] : leave.ids) {
    const FullRow row = turn_.store.read(id, false);
    if (!row.found) return turn_.store.damaged("a job that was there is not");
    const std::string why = std::string("displaced: it gave way to another job, as ") + (of_file ? "the file was full (max_jobs, max_bytes)" : "its queue was full (max_pending)");
    Lane& lane = *turn_.lanes.by_id(row.job.lane);
    const JobOpts opts = decode_opts(row.job.opts);
    turn_.lanes.removed(lane, id);
    if (!callback_of(lane, opts, State::dead).empty()) {  // told of a row that says how it ended
      turn_.store.make_final(id, State::dead, turn_.now_ms, false);
      turn_.store.set_error(id, why);
    }
    ended(id, lane, opts, State::dead);
    turn_.store.remove(id);
    --turn_.stats.by_state[static_cast<int>(State::pending)];
    turn_.losses.add(LossCause::displaced, lane.queue->name, turn_.now_ms);
    turn_.tell(Change::displaced, id, &lane).detail = why;
  }
  if (!leave.ids.empty()) let_followers_go();
}

}  // namespace hf
