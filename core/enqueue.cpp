// How jobs come in: validation, limits, unique keys, ids. The other half of class Jobs is in jobs.cpp.
#include <algorithm>
#include <map>
#include <utility>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr int64_t kMaxDelayMs = 3660LL * 86400 * 1000;  // ten years and a bit

Error invalid(const std::string& text) { return Error{HF_E_INVALID, text}; }
Error held(JobId by, const std::string& key) {
  return Error{HF_E_CONFLICT, "job " + std::to_string(by) + " holds unique_key " + quoted(key)};
}

}  // namespace

Status validate(const Policy& p) {
  if (p.empty()) return ok_status();
  if (p.max_attempts != 0) HF_TRY(check_range("max_attempts", p.max_attempts, 1, HF_ATTEMPTS_MAX));
  if (p.timeout_ms != 0 && p.timeout_ms != -1) HF_TRY(check_range("timeout_ms", p.timeout_ms, 1, kBackoffMaxMs));
  if (p.backoff.kind == BackoffKind::list && p.backoff.list_ms.empty()) return invalid("backoff.list is empty for kind list");
  if (p.backoff.list_ms.size() > HF_BACKOFF_LIST_MAX) {
    return invalid("backoff.list has " + std::to_string(p.backoff.list_ms.size()) + " entries; at most " + std::to_string(HF_BACKOFF_LIST_MAX));
  }
  return validate(resolve(p, Policy{}).backoff);
}

AttemptLimits attempt_limits(const Policy& job, const Policy& handler) {
  AttemptLimits r{5, 300000};
  for (const Policy* p : {&handler, &job}) {
    if (p->max_attempts != 0) r.max_attempts = p->max_attempts;
    if (p->timeout_ms != 0) r.timeout_ms = p->timeout_ms;
  }
  return r;
}

ResolvedPolicy resolve(const Policy& job, const Policy& handler) {
  ResolvedPolicy r{attempt_limits(job, handler), Backoff{}};
  for (const Policy* p : {&handler, &job}) {
    if (p->empty()) continue;
    const BackoffSpec& b = p->backoff;
    if (b.kind) r.backoff.kind = *b.kind;
    if (b.base_ms != 0) r.backoff.base_ms = b.base_ms;
    if (b.factor != 0) r.backoff.factor = b.factor;
    if (b.max_ms != 0) r.backoff.max_ms = b.max_ms;
    if (b.jitter) r.backoff.jitter = *b.jitter;
    if (b.jitter_percent != 0) r.backoff.jitter_percent = b.jitter_percent;
    if (!b.list_ms.empty()) {
      r.backoff.list_len = static_cast<int>(std::min<size_t>(b.list_ms.size(), HF_BACKOFF_LIST_MAX));
      std::copy_n(b.list_ms.begin(), r.backoff.list_len, r.backoff.list_ms.begin());
    }
  }
  // A list that is named on one level may meet a kind of another; without entries it cannot be one.
  if (r.backoff.kind == BackoffKind::list && r.backoff.list_len == 0) r.backoff.kind = BackoffKind::exponential;
  return r;
}

namespace {
// Of most jobs: what it is, where it goes and when, and nothing else.
bool is_plain(const JobSpec& s) {
  return s.delay_ms == 0 && s.at_wall_ms == 0 && s.ttl_ms == 0 && !is_unique(s) && s.unique_for_ms == 0 && s.on_conflict == OnConflict::keep && s.debounce_max_ms == 0 &&
         s.concurrency_key.empty() && s.sink.empty() && s.callback.empty() && s.failure_callback.empty() && s.after.empty() && s.tags.empty() &&
         s.after_failure == AfterFailure::dead && s.durability != Durability::result && s.policy.empty();
}
}  // namespace

Status validate(const JobSpec& s) {
  HF_TRY(check_name("job type", s.type));
  if (is_sink_queue(s.type)) return invalid("job type " + quoted(s.type) + ": names that begin with \"sink:\" are for deliveries");
  HF_TRY(check_name("queue", s.queue));
  if (is_sink_queue(s.queue)) return invalid("queue \"" + s.queue + "\": names that begin with \"sink:\" are for deliveries");
  HF_TRY(check_range("priority", s.priority, -HF_PRIORITY_MAX, HF_PRIORITY_MAX));
  if (is_plain(s)) return ok_status();
  HF_TRY(check_sinks(s));
  HF_TRY(check_range("delay_ms", s.delay_ms, 0, kMaxDelayMs));
  HF_TRY(check_range("ttl_ms", s.ttl_ms, 0, kMaxDelayMs));
  HF_TRY(check_range("unique_for_ms", s.unique_for_ms, 0, kMaxDelayMs));
  HF_TRY(check_range("debounce_max_ms", s.debounce_max_ms, 0, kMaxDelayMs));
  if (s.at_wall_ms != 0 && s.delay_ms != 0) return invalid("delay and at exclude each other");
  HF_TRY(check_range("run_at_unix_ms", s.at_wall_ms, 0, 253402300799999));
  if (!s.unique_key.empty() && s.unique_by == UniqueBy::payload) return invalid("unique_key and unique_by payload exclude each other");
  if (!is_unique(s) && s.unique_for_ms != 0) return invalid("unique_for without unique_key");
  const bool debounce = s.on_conflict == OnConflict::debounce;
  if (debounce && !is_unique(s)) return invalid("on_conflict debounce without unique_key");
  if (debounce && s.delay_ms == 0 && s.at_wall_ms == 0) return invalid("on_conflict debounce without delay: that is what starts anew");
  if (s.debounce_max_ms != 0 && !debounce) return invalid("debounce_max without on_conflict debounce");
  if (s.debounce_max_ms != 0 && s.debounce_max_ms < s.delay_ms) return invalid("debounce_max is shorter than delay");
  if (s.debounce_max_ms != 0 && s.at_wall_ms != 0) return invalid("debounce_max and at exclude each other: it is the longest delay");
  if (s.on_conflict == OnConflict::keep_last) {
    if (!is_unique(s)) return invalid("on_conflict keep_last without unique_key");
    if (s.unique_for_ms != 0) return invalid("on_conflict keep_last and unique_for exclude each other: it runs when the one before has ended");
    if (s.at_wall_ms != 0) return invalid("on_conflict keep_last and at exclude each other: it runs when the one before has ended");
  }
  HF_TRY(validate_after(s));
  if (s.ttl_ms != 0 && s.ttl_ms <= s.delay_ms) return invalid("ttl is not longer than delay: the job could never run");
  HF_TRY(hf::validate(s.policy));
  HF_TRY(text_fits("unique_key", s.unique_key, HF_KEY_MAX));
  HF_TRY(text_fits("concurrency_key", s.concurrency_key, HF_KEY_MAX));
  HF_TRY(text_fits("tags", s.tags, HF_TAGS_MAX));
  return ok_status();
}

Status payload_fits(std::string_view payload, const Limits& limits) {
  if (payload.size() <= static_cast<size_t>(limits.max_payload)) return ok_status();
  return Error{HF_E_TOO_LARGE, "payload has " + std::to_string(payload.size()) + " bytes; the limit is " + std::to_string(limits.max_payload) + " (max_payload)"};
}

Status Jobs::validate(const JobSpec& s) const {
  HF_TRY(hf::validate(s));
  return payload_fits(s.payload, turn_.limits);
}

// Its unique_key is made of type and payload, and it goes by that from then on.
Status Jobs::name_by_payload(JobSpec& s) const {
  if (s.unique_by != UniqueBy::payload || !s.unique_key.empty()) return ok_status();  // both: validate() says so
  Result<std::string> digest = turn_.digest(s.type + '\n' + s.payload);
  if (!digest) return digest.error();
  s.unique_key = kPayloadKeyPrefix + *digest;
  s.unique_by = UniqueBy::key;
  return ok_status();
}

Status Jobs::takes_jobs(const Queue* queue) const {
  if (queue == nullptr || !queue->draining) return ok_status();
  return Error{HF_E_CONFLICT, "queue " + queue->name + " is draining: it takes no new jobs until it is resumed"};
}

JobId Jobs::next_id() {
  if (next_id_ == reserved_until_) {
    reserved_until_ += kIdBlock;
    save_ids();
  }
  return next_id_++;
}

void Jobs::save_ids() {
  turn_.store.reserve_ids(reserved_until_);
  turn_.out->must_sync = true;  // an id that a power cut takes back could name two jobs
}

Result<std::vector<JobId>> Jobs::reserve(int count) {
  HF_TRY(check_range("count", count, 1, 1000));
  std::vector<JobId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(next_id());
  return ids;
}

Status Jobs::let_in(Intake& intake, const JobSpec& s) {
  Queue* queue = turn_.lanes.find_queue(s.queue);
  if (queue == nullptr || !limits_intake(*queue)) return ok_status();
  if (!s.unique_key.empty() && (stand_in(s) != 0 || !intake.first_with(s.unique_key))) return ok_status();
  return intake.let_in(*queue, s.concurrency_key);
}

Result<std::vector<JobId>> Jobs::enqueue(std::vector<JobSpec>& specs, How how) {
  const auto& called = how.called;
  if (specs.empty() || specs.size() > HF_ENQUEUE_MANY_MAX) {
    return invalid("one call takes 1 to " + std::to_string(HF_ENQUEUE_MANY_MAX) + " jobs, not " + std::to_string(specs.size()));
  }
  // All or none: everything that can be refused is looked at before anything is written.
  auto name = [&](size_t i) { return called ? called(i) : "job " + std::to_string(i); };
  auto where = [&](size_t i, Error e) {
    if (called || specs.size() > 1) e.message = name(i) + ": " + e.message;
    return e;
  };
  std::map<std::string_view, size_t> keys;  // of this call
  Following following;
  bool limited = false;  // some, in how many may come in
  for (size_t i = 0; i < specs.size(); ++i) {
    JobSpec& s = specs[i];
    if (Status ok = name_by_payload(s); !ok) return where(i, ok.error());
    if (Status ok = validate(s); !ok) return where(i, ok.error());
    const Queue* queue = turn_.lanes.find_queue(s.queue);
    if (Status ok = takes_jobs(queue); !ok) return where(i, ok.error());
    limited = limited || (queue != nullptr && limits_intake(*queue));
    const auto [first, new_here] = s.unique_key.empty() ? std::pair(keys.end(), true) : keys.emplace(s.unique_key, i);
    // One that is there already was asked for once, when those it waits for were there.
    if (!s.after.empty() && new_here && stand_in(s) == 0) {
      if (Status ok = may_follow(s, following); !ok) return where(i, ok.error());
      following.add(s);
    }
    if (s.unique_key.empty()) continue;
    if (s.on_conflict != OnConflict::reject) continue;
    if (!new_here) {
      return where(i, Error{HF_E_CONFLICT, name(first->second) + " of the same call has unique_key " + quoted(s.unique_key)});
    }
    if (JobId other = holder(s.unique_key); other != 0) return where(i, held(other, s.unique_key));
  }
  Intake intake(turn_);
  for (size_t i = 0; limited && i < specs.size(); ++i) {
    if (Status ok = let_in(intake, specs[i]); !ok) return where(i, ok.error());
  }
  std::vector<const JobSpec*>& all = arriving_;
  all.clear();
  for (const JobSpec& s : specs) all.push_back(&s);
  const Result<Leaving> leave = room_for(all);
  if (!leave) return leave.error();
  std::vector<Lane*>& lanes = arriving_at_;
  lanes.clear();
  for (const JobSpec& s : specs) {
    Result<Lane*> lane = turn_.lanes.intern(s.queue, s.type, s.concurrency_key, nullptr);
    if (!lane) return where(lanes.size(), lane.error());
    lanes.push_back(*lane);
  }
  displace(*leave);
  how.ids.clear();
  for (size_t i = 0; i < specs.size(); ++i) how.ids.push_back(insert(specs[i], *lanes[i], {.lent = how.lent ? &specs[i].payload : nullptr}));
  return std::move(how.ids);
}

// What is written for them now is written before the savepoint to which they may be taken back.
bool Jobs::expect_promises() {
  flush();
  if (reserved_until_ - next_id_ >= HF_TRANSACT_JOBS_MAX) return false;
  reserved_until_ += kIdBlock;
  save_ids();
  return true;
}

Result<JobId> Jobs::promise(JobSpec s) {
  HF_TRY(name_by_payload(s));
  Promises& before = promises_;
  if (before.all.size() >= HF_TRANSACT_JOBS_MAX) {
    return Error{HF_E_FULL, "a transaction enqueues at most " + std::to_string(HF_TRANSACT_JOBS_MAX) + " jobs (HF_TRANSACT_JOBS_MAX)"};
  }
  HF_TRY(validate(s));
  HF_TRY(takes_jobs(turn_.lanes.find_queue(s.queue)));
  JobId other = 0;
  if (!s.unique_key.empty()) {
    auto promised = before.by_key.find(s.unique_key);
    const bool is_new = promised != before.by_key.end() && before.following.coming.contains(promised->second);
    other = is_new ? promised->second : stand_in(s);
  }
  if (other != 0 && s.on_conflict == OnConflict::reject) return held(other, s.unique_key);
  if (other == 0) HF_TRY(may_follow(s, before.following));
  Arrivals in;
  in.bytes = static_cast<int64_t>(s.payload.size());
  if (other == 0) {
    if (!before.intake) before.intake.emplace(turn_);
    HF_TRY(let_in(*before.intake, s));
    in.jobs = {&s};
    in.stay.insert(s.after.begin(), s.after.end());
  } else {
    in.stay = {other};
    const JobOpts its = decode_opts(turn_.store.read(other, false).job.opts);  // empty: it was promised before, with those it waits for
    in.stay.insert(its.after.begin(), its.after.end());
  }
  if (const Result<Leaving> leave = room_for(in); !leave) return leave.error();
  LaneName lane{s.queue, s.type, s.concurrency_key, 0};
  if (other == 0 && !turn_.lanes.has(lane) && !before.new_lanes.contains(lane)) {
    HF_TRY(turn_.lanes.has_room_for(before.new_lanes.size() + 1));
    before.new_lanes.insert(std::move(lane));
  }
  const JobId id = other != 0 ? other : next_id_++;
  if (!s.unique_key.empty()) before.by_key[s.unique_key] = id;
  before.bytes += in.bytes;
  if (other == 0) {
    before.following.add(s);
    before.following.coming.insert(id);
    ++before.by_queue[s.queue];
    ++before.new_jobs;
    before.holders.insert(s.after.begin(), s.after.end());
  } else {
    before.holders.insert(in.stay.begin(), in.stay.end());
  }
  before.all.push_back({std::move(s), id, other == 0});
  return id;
}

std::vector<JobId> Jobs::keep_promises() {
  std::vector<JobId> ids;
  const Promises kept = std::exchange(promises_, {});
  Arrivals in;
  in.promised = true;
  in.bytes = kept.bytes;
  in.stay = kept.holders;
  for (const Promise& p : kept.all) {
    if (p.new_job) in.jobs.push_back(&p.spec);
  }
  if (const Result<Leaving> leave = room_for(in)) displace(*leave);
  for (const Promise& p : kept.all) {
    ids.push_back(p.id);
    if (!p.new_job) {
      flush();
      give_to_holder(p.id, p.spec);
    } else if (Result<Lane*> lane = turn_.lanes.intern(p.spec.queue, p.spec.type, p.spec.concurrency_key, nullptr); lane) {
      insert_new(p.spec, **lane, {.reserved = p.id});
    } else {
      turn_.store.damaged("a lane that was there is not");  // not met: promise() has looked
    }
  }
  return ids;
}

Result<std::vector<JobId>> Jobs::enqueue_scheduled(const JobSpec& spec, const std::string& schedule, const std::vector<int64_t>& occurrences_wall_ms) {
  HF_TRY(validate(spec));
  HF_TRY(takes_jobs(turn_.lanes.find_queue(spec.queue)));
  Intake intake(turn_);
  for (size_t n = 0; n < occurrences_wall_ms.size(); ++n) HF_TRY(let_in(intake, spec));
  Arrivals in;
  in.jobs.assign(occurrences_wall_ms.size(), &spec);
  in.bytes = static_cast<int64_t>(in.jobs.size() * spec.payload.size());
  const Result<Leaving> leave = room_for(in);
  if (!leave) return leave.error();
  Result<Lane*> lane = turn_.lanes.intern(spec.queue, spec.type, spec.concurrency_key, nullptr);
  if (!lane) return lane.error();
  displace(*leave);
  std::vector<JobId> ids;
  for (const int64_t occurrence : occurrences_wall_ms) ids.push_back(insert(spec, **lane, {.schedule = schedule, .occurrence_wall_ms = occurrence}));
  return ids;
}

Result<JobId> Jobs::add_delivery(const Delivery& delivery) {
  Result<Lane*> origin = turn_.lanes.intern(kOwnQueue, delivery.type, "", nullptr);
  if (!origin) return origin.error();
  Result<Lane*> to_sink = turn_.lanes.intern(std::string(kSinkPrefix) + delivery.sink, delivery.type, "", *origin);
  if (!to_sink) return to_sink.error();
  JobSpec spec;
  spec.sink = delivery.sink;
  spec.priority = delivery.priority;
  const JobId id = insert(spec, **to_sink, {});
  flush();
  EndOfRun to;
  to.id = id;
  to.lane = (*to_sink)->id;
  to.due_ms = turn_.now_ms;
  to.set_result = true;
  to.result = delivery.result;
  turn_.store.end_run(to);
  JobOpts opts;
  opts.sink = delivery.sink;
  number(id, **to_sink, opts);
  take_room(delivery.result.size());
  (*to_sink)->group->waiting_bytes += static_cast<int64_t>(delivery.result.size());
  return id;
}

JobId Jobs::holder(const std::string& unique_key) {
  flush();
  JobId id = turn_.store.find_unique(unique_key);
  if (id == 0) return 0;
  FullRow row = turn_.store.read(id, false);
  if (!is_final(row.job.state) || keeps_unique(decode_opts(row.job.opts))) return id;
  turn_.store.release_unique(id);  // its time is over
  return 0;
}

Status Jobs::take_unique(JobId id, const JobOpts& opts) {
  if (opts.unique_key.empty()) return ok_status();
  JobId other = holder(opts.unique_key);
  if (other != 0 && other != id) return held(other, opts.unique_key);
  turn_.store.set_unique(id, opts.unique_key);
  return ok_status();
}

// With keep_last a job that runs, or whose result is on its way, does not stand for a newer one: the one does that waits for its end.
JobId Jobs::stand_in(const JobSpec& s) {
  if (s.unique_key.empty()) return 0;
  const JobId id = holder(s.unique_key);
  if (id == 0 || s.on_conflict != OnConflict::keep_last) return id;
  const FullRow row = turn_.store.read(id, false);
  if (is_final(row.job.state)) return id;  // held by an earlier job's unique_for
  const JobId next = successor(id, decode_opts(row.job.opts));
  if (next == 0 && row.job.state == State::pending && !turn_.lanes.by_id(row.job.lane)->delivery()) return id;
  return next;
}

// Validated; puts the job in, or lets another one stand for it.
JobId Jobs::insert(const JobSpec& s, Lane& lane, const Origin& origin) {
  const JobId other = stand_in(s);
  if (other == 0) return insert_new(s, lane, origin);
  give_to_holder(other, s);
  return other;
}

JobOpts Jobs::opts_of(const JobSpec& s, const Origin& origin) const {
  JobOpts opts;
  opts.policy = s.policy;
  opts.sink = s.sink;
  opts.callback = s.callback;
  opts.failure_callback = s.failure_callback;
  opts.tags = s.tags;
  opts.schedule = origin.schedule;
  opts.occurrence_wall_ms = origin.occurrence_wall_ms;
  opts.chain = origin.chain;
  opts.synced_end = s.durability == Durability::result;
  opts.unique_key = s.unique_key;
  opts.unique_for_ms = s.unique_for_ms;
  if (s.unique_for_ms != 0) opts.unique_until_ms = turn_.now_ms + s.unique_for_ms;
  return opts;
}

JobId Jobs::insert_new(const JobSpec& s, Lane& lane, const Origin& origin) {
  std::optional<JobOpts> opts;  // none: there is nothing to say
  if (!is_plain(s) || !origin.schedule.empty() || origin.chain != 0) opts = opts_of(s, origin);
  const JobId id = origin.reserved != 0 ? origin.reserved : next_id();
  // Who holds its key: nobody, or the run that it is to follow.
  const JobId runs = s.on_conflict == OnConflict::keep_last ? holder(s.unique_key) : 0;
  bool fails = false;
  if (runs != 0 || !s.after.empty()) {
    flush();
    opts->after_run = runs != 0 || s.after_failure == AfterFailure::run;
    opts->after_delay_ms = s.delay_ms;
    fails = !follow(id, runs != 0 ? std::vector<JobId>{runs} : s.after, &*opts);
    if (fails) doomed_.push_back(id);
  }
  const bool waits = s.at_wall_ms != 0 || (opts && !opts->after.empty() && !fails);

  Fresh& f = fresh_.emplace_back();
  JobRow& row = f.row;
  row.id = id;
  row.lane = lane.id;
  row.priority = s.priority;
  row.created_ms = turn_.now_ms;
  row.at_wall_ms = s.at_wall_ms;
  row.due_ms = waits ? kNever : turn_.now_ms + (fails ? 0 : s.delay_ms);
  row.expires_ms = s.ttl_ms != 0 ? turn_.now_ms + s.ttl_ms : 0;
  if (runs == 0 && !s.unique_key.empty()) row.unique_key = s.unique_key;
  if (opts) row.opts = encode_opts(*opts);
  f.lent = origin.lent;
  if (f.lent == nullptr) f.own = s.payload;
  if (row.at_wall_ms != 0) {
    wall_jobs_next_ = std::min(wall_jobs_next_, row.at_wall_ms);
    wall_jobs_wake_ = std::min(wall_jobs_wake_, row.at_wall_ms + lane.queue->slack_ms());
  }
  if (row.expires_ms != 0) expiry_next_ = std::min(expiry_next_, row.expires_ms);
  ++turn_.stats.by_state[static_cast<int>(State::pending)];
  ++turn_.stats.enqueued;
  turn_.grouped |= s.durability == Durability::grouped;
  if (row.due_ms <= turn_.now_ms) lane.group->waiting_bytes += static_cast<int64_t>(s.payload.size());
  turn_.lanes.added(lane, {-s.priority, row.due_ms, id}, turn_.now_ms);
  came_in(turn_, lane);
  turn_.tell(Change::enqueued, id, &lane);
  // A reserved id may be lower than one that came in meanwhile; fresh() searches by order.
  if (fresh_.size() > 1 && fresh_[fresh_.size() - 2].row.id > id) flush();
  return id;
}

void Jobs::give_to_holder(JobId other, const JobSpec& s) {
  turn_.grouped |= s.durability == Durability::grouped;
  if (s.on_conflict == OnConflict::keep || s.on_conflict == OnConflict::reject) return;
  FullRow row = turn_.store.read(other, false);
  if (!row.found || row.job.state != State::pending || turn_.lanes.by_id(row.job.lane)->delivery()) return;  // it runs or ran: what is there stays
  JobOpts opts = decode_opts(row.job.opts);
  const bool waits = !opts.after.empty();  // and goes on waiting
  const int64_t at = waits ? 0 : s.at_wall_ms;
  int64_t due = at != 0 ? kNever : turn_.now_ms + s.delay_ms;
  if (s.debounce_max_ms != 0) due = std::min(due, row.job.created_ms + s.debounce_max_ms);
  if (waits) {
    due = row.job.due_ms;
    opts.after_delay_ms = s.delay_ms;
  }
  opts.policy = s.policy;
  opts.tags = s.tags;
  opts.synced_end = s.durability == Durability::result;
  opts.memo.clear();  // what was tried and left was of the payload before
  turn_.store.set_payload(other, s.payload);
  turn_.store.make_pending(other, row.job.lane, s.priority, due, at, 0);
  turn_.store.set_opts(other, encode_opts(opts));
  turn_.store.set_expiry(other, s.ttl_ms != 0 ? turn_.now_ms + s.ttl_ms : 0);
  turn_.lanes.moved(*turn_.lanes.by_id(row.job.lane), other, {-s.priority, due, other}, turn_.now_ms);
  wall_jobs_next_ = expiry_next_ = 0;
  turn_.tell(Change::edited, other, turn_.lanes.by_id(row.job.lane));
}

Jobs::Fresh* Jobs::fresh(JobId id) {
  if (fresh_.empty() || id < fresh_.front().row.id) return nullptr;
  // Most have ids one after the other.
  const auto at = std::min(static_cast<size_t>(id - fresh_.front().row.id), fresh_.size() - 1);
  auto it = fresh_.begin() + static_cast<std::ptrdiff_t>(at);
  if (it->row.id != id) it = std::lower_bound(fresh_.begin(), fresh_.end(), id, [](const Fresh& f, JobId v) { return f.row.id < v; });
  return it != fresh_.end() && it->row.id == id && !it->written ? &*it : nullptr;
}

void Jobs::write_running(Fresh& f, const Lane& lane, RunJob& job) {
  f.row.state = State::running;
  f.row.attempts = job.attempt;
  turn_.store.insert(f.row, f.payload(), job.sink.empty() && !keeps_completed(lane));
  f.written = true;
  job.lent = f.lent;
  job.bytes = std::move(f.own);
}

void Jobs::flush() {
  for (const Fresh& f : fresh_) {
    if (!f.written) turn_.store.insert(f.row, f.payload());
  }
  fresh_.clear();
}

}  // namespace hf
