#include "core/lanes.h"

#include <algorithm>
#include <utility>

#include "core/conditions.h"
#include "core/units.h"

namespace hf {

QueueSettings over(const QueueSettings& set, const QueueSettings& configured) {
  QueueSettings s = set;
  if (!s.concurrency) s.concurrency = configured.concurrency;
  if (!s.slack_ms) s.slack_ms = configured.slack_ms;
  if (!s.windows) s.windows = configured.windows;
  if (!s.zone) s.zone = configured.zone;
  if (!s.rate_limit) s.rate_limit = configured.rate_limit;
  if (!s.throttle) s.throttle = configured.throttle;
  if (!s.key_concurrency) s.key_concurrency = configured.key_concurrency;
  if (!s.key_rate_limit) s.key_rate_limit = configured.key_rate_limit;
  if (!s.key_throttle) s.key_throttle = configured.key_throttle;
  if (!s.order) s.order = configured.order;
  if (!s.aging_ms) s.aging_ms = configured.aging_ms;
  if (!s.fair) s.fair = configured.fair;
  if (!s.when) s.when = configured.when;
  if (!s.max_pending) s.max_pending = configured.max_pending;
  if (!s.when_full) s.when_full = configured.when_full;
  if (!s.enqueue_limit) s.enqueue_limit = configured.enqueue_limit;
  if (!s.key_enqueue_limit) s.key_enqueue_limit = configured.key_enqueue_limit;
  if (!s.retry_budget) s.retry_budget = configured.retry_budget;
  if (!s.keep_completed_ms) s.keep_completed_ms = configured.keep_completed_ms;
  if (!s.keep_dead_ms) s.keep_dead_ms = configured.keep_dead_ms;
  if (!s.keep_completed_count) s.keep_completed_count = configured.keep_completed_count;
  if (!s.keep_dead_count) s.keep_dead_count = configured.keep_dead_count;
  return s;
}

std::set<std::string> Lanes::draining() const {
  std::set<std::string> names;
  for (const auto& [name, queue] : queues_) {
    if (queue->draining) names.insert(name);
  }
  return names;
}

void Lanes::load(int64_t now_ms) {
  for (QueueRow& row : store_.queues()) {
    Queue& q = queue(row.name);
    row.pause.until_ms = std::min(row.pause.until_ms, now_ms + kPauseMaxMs);  // more is damage
    pause(q, std::move(row.pause));
    q.set = row.set;
    q.window.restore(q.set, zones_);
    put_in_force(q, q.set);
  }
  for (const LaneRow& row : store_.lanes()) {
    const bool sound = row.id >= 1 && row.id <= kLanesMax && is_sink_queue(row.queue) == (row.origin != 0);
    if (sound) make(row);  // else the file is damaged: its jobs are in the lane that is lost
  }
}

Lane* Lanes::make(const LaneRow& row) {
  auto lane = std::make_unique<Lane>();
  lane->id = row.id;
  lane->queue = &queue(row.queue);
  lane->type = row.type;
  lane->key = row.key;
  lane->origin = row.origin != 0 ? by_id(row.origin) : nullptr;
  lane->runner = &runner(lane->queue->sink ? row.queue : row.type);
  Lane* made = lane.get();
  attach(*made);
  size_t index = static_cast<size_t>(row.id - 1);
  if (index >= lanes_.size()) lanes_.resize(index + 1);
  lanes_[index] = std::move(lane);
  names_[{row.queue, row.type, row.key, row.origin}] = made;
  return made;
}

// REQUIRES: its queue, runner and key are set.
void Lanes::attach(Lane& lane) {
  lane.runner->lanes.push_back(&lane);
  Key& key = lane.queue->keys[lane.key];
  key.name = lane.key;
  key.lanes.push_back(&lane);
  lane.in_key = &key;
  auto& groups = lane.queue->groups;
  auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g->runner == lane.runner; });
  if (group == groups.end()) {
    group = groups.insert(groups.end(), std::make_unique<Group>(&memory_));
    (*group)->queue = lane.queue;
    (*group)->runner = lane.runner;
  }
  lane.group = group->get();
  set_order(lane);
}

Result<Lane*> Lanes::intern(const std::string& queue, const std::string& type, const std::string& key, Lane* origin) {
  const auto is_last = [&] { return last_->origin == origin && last_->type == type && last_->queue->name == queue && last_->key == key; };
  if (last_ != nullptr && is_last()) return last_;  // jobs come in by the series
  auto it = names_.find({queue, type, key, origin != nullptr ? origin->id : 0});
  if (it != names_.end()) return last_ = it->second;
  HF_TRY(has_room_for(1));
  LaneRow row{static_cast<int>(lanes_.size()) + 1, queue, type, key, origin != nullptr ? origin->id : 0};
  store_.insert_lane(row);
  Lane* lane = make(row);
  lane->stale = false;  // nothing is in it
  return lane;
}

Status Lanes::has_room_for(size_t more) const {
  if (lanes_.size() + more <= kLanesMax) return ok_status();
  return Error{HF_E_FULL, "too many different (queue, type, concurrency_key): at most " + std::to_string(kLanesMax)};
}

Lane* Lanes::by_id(int id) const {
  if (id >= 1 && static_cast<size_t>(id) <= lanes_.size() && lanes_[static_cast<size_t>(id) - 1]) {
    return lanes_[static_cast<size_t>(id) - 1].get();
  }
  return const_cast<Lanes*>(this)->lost();
}

Lane* Lanes::lost() {
  if (!lost_) {
    lost_ = std::make_unique<Lane>();
    lost_->queue = &queue("lost");
    lost_->type = "lost";
    lost_->runner = &runner("lost");
    attach(*lost_);
  }
  return lost_.get();
}

Queue& Lanes::queue(const std::string& name) {
  std::unique_ptr<Queue>& q = queues_[name];
  if (!q) {
    q = std::make_unique<Queue>();
    q->name = name;
    q->number = static_cast<int>(queues_.size());
    q->sink = is_sink_queue(name);
  }
  return *q;
}

Queue* Lanes::find_queue(const std::string& name) {
  if (last_ != nullptr && last_->queue->name == name) return last_->queue;
  auto it = queues_.find(name);
  return it == queues_.end() ? nullptr : it->second.get();
}

namespace {
// All but the windows.
Status check_numbers(const QueueSettings& settings) {
  if (settings.concurrency) HF_TRY(check_range("concurrency", *settings.concurrency, 1, kQueueConcurrencyMax));
  if (settings.key_concurrency) HF_TRY(check_range("key_concurrency", *settings.key_concurrency, 1, kQueueConcurrencyMax));
  if (settings.aging_ms) HF_TRY(check_duration("aging", *settings.aging_ms, 0, kAgingMaxMs));
  if (settings.when) HF_TRY(check_when(*settings.when));
  if (settings.slack_ms) HF_TRY(check_duration("slack", *settings.slack_ms, 0, kSlackMaxMs));
  if (settings.max_pending) HF_TRY(check_range("max_pending", *settings.max_pending, 0, kMaxPendingMax));
  if (settings.keep_completed_ms) HF_TRY(check_duration("retention_completed", *settings.keep_completed_ms, 0, kKeepMaxMs));
  if (settings.keep_dead_ms) HF_TRY(check_duration("retention_dead", *settings.keep_dead_ms, 0, kKeepMaxMs));
  if (settings.keep_completed_count) HF_TRY(check_range("retention_completed_count", *settings.keep_completed_count, 1, kKeepCountMax));
  if (settings.keep_dead_count) HF_TRY(check_range("retention_dead_count", *settings.keep_dead_count, 1, kKeepCountMax));
  return ok_status();
}
}  // namespace

Status Lanes::set_queue(Queue& queue, const QueueSettings& set) {
  if (queue.sink && (set.max_pending || set.when_full || set.enqueue_limit || set.key_enqueue_limit)) {
    return Error{HF_E_INVALID, "max_pending, when_full and enqueue_limit are for jobs that come in; in the queue of a sink are results, which are always taken"};
  }
  if (queue.sink && set.keeps()) {
    return Error{HF_E_INVALID, "retention_completed and the like are of the queue in which a job ran, not of the queue of a sink"};
  }
  if (set.keeps() && !queue.set.keeps()) {
    const auto have = std::count_if(queues_.begin(), queues_.end(), [](const auto& q) { return q.second->set.keeps(); });
    if (have >= kQueuesKeepMax) {
      return Error{HF_E_INVALID, std::to_string(have) + " queues have a retention of their own (retention_completed and the like); the limit is " + std::to_string(kQueuesKeepMax)};
    }
  }
  QueueSettings settings = over(set, queue.configured);
  HF_TRY(check_numbers(settings));
  HF_TRY(queue.window.set(settings, zones_));
  queue.set = set;
  put_in_force(queue, std::move(settings));
  return ok_status();
}

Status Lanes::configure_queue(Queue& queue, const QueueSettings& configured) {
  QueueSettings settings = over(queue.set, configured);
  HF_TRY(check_numbers(settings));
  if (Result<Windows> windows = Windows::parse(settings.windows.value_or("")); !windows) return windows.error();
  queue.window.restore(settings, zones_);
  queue.configured = configured;
  put_in_force(queue, std::move(settings));
  return ok_status();
}

void Lanes::pause(Queue& queue, Pause pause) {
  std::erase(pauses_, &queue);
  queue.pause = std::move(pause);
  if (queue.pause.until_ms != 0) pauses_.push_back(&queue);
}

void Lanes::end_pauses(int64_t now_ms, bool writes) {
  for (Queue* queue : std::vector<Queue*>(pauses_)) {
    if (queue->pause.until_ms > now_ms) continue;
    pause(*queue, {});
    join(*queue);
    if (writes) put_row(*queue);  // else it is past at the next opening, too
  }
}

int64_t Lanes::next_pause_end_ms() const {
  int64_t ends = kNever;
  for (const Queue* queue : pauses_) {
    if (queue->active > 0) ends = std::min(ends, queue->pause.until_ms);
  }
  return ends;
}

void Lanes::find_zones_anew() {
  if (zones_version_ == zones_.version()) return;
  zones_version_ = zones_.version();
  // One that is gone now still is as it was read.
  for (Queue* queue : timed_) {
    (void)queue->window.set(queue->settings, zones_);
    join(*queue);
  }
}

void Lanes::put_in_force(Queue& queue, QueueSettings settings) {
  std::erase(timed_, &queue);
  if (!queue.window.none() || !queue.window.open()) timed_.push_back(&queue);
  const int64_t slack_before = queue.slack_ms();
  ++keeps_version_;
  queue.settings = std::move(settings);
  join(queue);
  for (auto& [name, key] : queue.keys) {
    touch(key);
    for (Lane* lane : key.lanes) {
      set_order(*lane);
      if (queue.slack_ms() == slack_before || lane->next_due_ms == kNever) continue;
      future_.erase(lane->next_due_ms, slack_before, lane->id);
      future_.insert(lane->next_due_ms, queue.slack_ms(), lane->id);
    }
  }
}

RunnerState& Lanes::runner(const std::string& name) {
  std::unique_ptr<RunnerState>& r = runners_[name];
  if (!r) {
    r = std::make_unique<RunnerState>();
    r->spec.name = name;
    r->name = name;
  }
  return *r;
}

void Lanes::set_runner(const RunnerSpec& spec) {
  RunnerState& r = runner(spec.name);
  r.spec = spec;
  r.present = true;
  r.breaker.reset();
  next_order(r);
  for (Lane* lane : r.lanes) {
    set_order(*lane);
    activate(*lane);
    lane->group->oldest_ms = 0;
  }
}

// As Bresenham's line: of any number of batches the newest-first ones are within one of their share.
void Lanes::next_order(RunnerState& runner) {
  if (runner.spec.newest_percent == 0 && !runner.newest) return;
  runner.newest_due += runner.spec.newest_percent;
  const bool newest = runner.newest_due >= 100;
  if (newest) runner.newest_due -= 100;
  if (newest == runner.newest) return;
  runner.newest = newest;
  for (Lane* lane : runner.lanes) set_order(*lane);
}

void Lanes::set_order(Lane& lane) {
  Order order;
  const QueueSettings& set = lane.queue->settings;
  order.newest = lane.runner->newest || set.order == QueueOrder::lifo;
  if (!order.newest && !(reserves_ && lane.runner->spec.network)) order.aging_ms = set.aging_ms.value_or(kAgingMs);
  if (order == lane.order) return;
  lane.order = order;
  lane.stale = true;
  touch(lane);
}

void Lanes::set_budget_reserves(bool reserves) {
  if (std::exchange(reserves_, reserves) == reserves) return;
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane != nullptr) set_order(*lane);
  }
}

void Lanes::remove_runner(const std::string& name) {
  RunnerState& r = runner(name);
  r.present = false;
  for (Lane* lane : r.lanes) deactivate(*lane);
}

// ---- the window ---------------------------------------------------------------------------------------

void Lanes::activate(Lane& lane) {
  if (lane.active || !lane.runner->present || lane.pending == 0) return;
  lane.active = true;
  ++lane.queue->active;
  touch(lane);
}

void Lanes::deactivate(Lane& lane) {
  if (!lane.active) return;
  lane.active = false;
  --lane.queue->active;
  touch(lane);
}

void Lanes::wait_until(Lane& lane, int64_t due_ms) {
  if (lane.next_due_ms == due_ms) return;
  if (lane.next_due_ms != kNever) future_.erase(lane.next_due_ms, lane.queue->slack_ms(), lane.id);
  lane.next_due_ms = due_ms;
  if (due_ms != kNever) future_.insert(due_ms, lane.queue->slack_ms(), lane.id);
}

void Lanes::added(Lane& lane, const ReadyEntry& entry, int64_t now_ms) {
  ++lane.pending;
  ++lane.queue->pending;
  moved(lane, 0, entry, now_ms);
}

void Lanes::forget(Lane& lane, JobId id) {
  const auto entry = std::find_if(lane.window.begin(), lane.window.end(), [id](const ReadyEntry& e) { return e.id == id; });
  if (entry == lane.window.end()) return;
  gone(*lane.group, *entry);
  lane.window.erase(entry);
  touch(lane);
}

void Lanes::removed(Lane& lane, JobId id) {
  --lane.pending;
  --lane.queue->pending;
  forget(lane, id);
  recount(lane);
  if (lane.pending == 0) deactivate(lane);
}

void Lanes::moved(Lane& lane, JobId id, const ReadyEntry& entry, int64_t now_ms) {
  if (id != 0) forget(lane, id);
  if (!lane.delivery()) {
    for (Front* front : {&lane.queue->front, &front_}) front->came(-entry.nprio, entry.id);
  }
  if (entry.due_ms > now_ms) {
    if (entry.due_ms < lane.next_due_ms) wait_until(lane, entry.due_ms);
    return recount(lane);
  }
  lane.group->oldest_ms = std::min(lane.group->oldest_ms, entry.due_ms);
  if (!lane.stale) {
    const bool behind = lane.more && (lane.window.empty() || before(lane.window.back(), entry, lane.order));
    if (!behind) {
      const auto comes_first = [&](const ReadyEntry& a, const ReadyEntry& b) { return before(a, b, lane.order); };
      const bool last = lane.window.empty() || !comes_first(entry, lane.window.back());  // as most are
      lane.window.insert(last ? lane.window.end() : std::upper_bound(lane.window.begin(), lane.window.end(), entry, comes_first), entry);
      if (lane.window.front() == entry) touch(lane);
      if (lane.window.size() > 2 * lane.window_size()) {
        lane.window.resize(lane.window_size());
        lane.more = true;
      }
    }
  }
  recount(lane);
  activate(lane);
}

void Lanes::activate_due(int64_t now_ms) {
  while (future_.is_due(now_ms)) {
    Lane& lane = *by_id(future_.first());
    wait_until(lane, kNever);
    lane.stale = true;
    activate(lane);
    touch(lane);
  }
  while (!sleepers_.empty() && sleepers_.begin()->first <= now_ms) {
    const Sleeper sleeper = sleepers_.begin()->second;
    sleepers_.erase(sleepers_.begin());
    if (sleeper.key != nullptr) touch(*sleeper.key);
    join(*sleeper.queue);
  }
}

void Lanes::load_window(Lane& lane, int64_t now_ms) {
  lane.more = store_.ready(lane.id, now_ms, lane.order, lane.window_size(), lane.window);
  if (lane.stale) wait_until(lane, store_.next_due(lane.id, now_ms));
  lane.stale = false;
}

void Lanes::taken(Lane& lane, JobId id) {
  if (lane.window.empty() || lane.window.front().id != id) return removed(lane, id);
  gone(*lane.group, lane.window.front());
  lane.window.erase(lane.window.begin());  // few: an empty deque would take more memory than these
  --lane.pending;
  --lane.queue->pending;
  recount(lane);
  touch(lane);
  if (lane.pending == 0) deactivate(lane);  // nobody wakes up for it, though its queue is not looked at
}

// ---- whose turn it is -----------------------------------------------------------------------------------

void Lanes::touch(Lane& lane) {
  if (std::exchange(lane.touched, true)) return;
  lane.queue->touched.push_back(&lane);
  join(*lane.queue);
}

void Lanes::touch(Key& key) {
  for (Lane* lane : key.lanes) touch(*lane);
}

void Lanes::run_began(Lane& lane, bool first) {
  Key& key = *lane.in_key;
  ++lane.queue->running;
  if (first) ++lane.queue->runs;
  ++key.running;
  recount(key);
  key.turn = ++turns_;
  if (lane.queue->fair() || !lane.key_free() || key.rates != nullptr) touch(key);
}

void Lanes::run_ended(Lane& lane, bool last) {
  Key& key = *lane.in_key;
  const bool was_free = lane.key_free();
  --key.running;
  recount(key);
  if (!was_free) touch(key);
  const bool had_slot = lane.queue->slot_free();
  --lane.queue->running;
  if (last) --lane.queue->runs;
  if (!had_slot) join(*lane.queue);
}

// Of one key only so many go together as may run at once. What is ready behind a window is not known: at most all that is pending.
void Lanes::recount(Lane& lane) {
  int64_t ready = 0;
  if (lane.place) {
    ready = lane.more ? lane.pending : static_cast<int64_t>(lane.window.size());
    if (!lane.key.empty()) ready = std::min<int64_t>(ready, lane.queue->key_concurrency() - lane.in_key->running);
  }
  lane.group->ready += ready - std::exchange(lane.counted, ready);
}

void Lanes::recount(Key& key) {
  if (key.name.empty()) return;
  for (Lane* lane : key.lanes) recount(*lane);
}

// If it was the oldest, who is that now is found when somebody asks.
void Lanes::gone(Group& group, const ReadyEntry& entry) {
  if (entry.due_ms <= group.oldest_ms) group.oldest_ms = 0;
}

void Lanes::find_oldest(Group& group) {
  group.oldest_ms = kNever;
  for (const Lane* lane : group.places) {
    for (const ReadyEntry& e : lane->window) group.oldest_ms = std::min(group.oldest_ms, e.due_ms);
  }
}

void Lanes::join(Queue& queue) {
  if (!std::exchange(queue.in_ring, true)) ring_.push_back(&queue);
}

void Lanes::leave_ring() {
  ring_.front()->in_ring = false;
  ring_.pop_front();
}

void Lanes::wait_for(Group& group) {
  if (std::exchange(group.waits, true)) return;
  if (group.runner->waiting.empty()) waited_for_.push_back(group.runner);
  group.runner->waiting.push_back(&group);
}

void Lanes::let_go(RunnerState& runner) {
  Group& group = *runner.waiting.front();
  runner.waiting.pop_front();
  group.waits = false;
  if (runner.waiting.empty()) std::erase(waited_for_, &runner);
  if (!group.places.empty()) join(*group.queue);
}

bool Lanes::must_load(const Queue& queue) const {
  return std::any_of(queue.touched.begin(), queue.touched.end(), [&](const Lane* lane) { return lane->active && must_load(*lane); });
}

void Lanes::settle(Queue& queue, int64_t now_ms) {
  for (size_t i = 0; i < queue.touched.size(); ++i) {  // deactivate() touches none that is not there already
    settle(*queue.touched[i], now_ms);
    recount(*queue.touched[i]);
    queue.touched[i]->touched = false;
  }
  queue.touched.clear();
}

void Lanes::settle(Lane& lane, int64_t now_ms) {
  auto& places = lane.group->places;
  const bool had = lane.place.has_value();
  const std::optional<Place> place = find_place(lane, now_ms);
  if (had && place && places.size() == 1) {  // there is nobody to whom it could be in order
    lane.place = place;
    return;
  }
  auto node = had ? places.extract(&lane) : decltype(lane.group->places)::node_type();
  lane.place = place;
  if (!place) return;
  if (node.empty()) places.insert(&lane);
  else places.insert(std::move(node));
}

// None: it has no job that could run now.
std::optional<Place> Lanes::find_place(Lane& lane, int64_t now_ms) {
  if (lane.place && !lane.key_free()) lane.group->oldest_ms = 0;
  if (!lane.active || !lane.key_free()) return std::nullopt;
  if (const int64_t opens = key_opens_ms(lane, now_ms); opens > now_ms) {
    lane.group->oldest_ms = 0;
    sleepers_.insert({opens, {lane.queue->number, lane.in_key, lane.queue}});
    return std::nullopt;
  }
  const bool is_new = !lane.place || must_load(lane);
  if (must_load(lane)) load_window(lane, now_ms);
  if (lane.window.empty()) {
    deactivate(lane);
    return std::nullopt;
  }
  if (is_new) {
    for (const ReadyEntry& e : lane.window) lane.group->oldest_ms = std::min(lane.group->oldest_ms, e.due_ms);
  }
  return Place{lane.queue->fair() ? lane.in_key->turn : 0, rank_of(lane.window.front(), lane.order), lane.id};
}

int64_t Lanes::key_opens_ms(Lane& lane, int64_t now_ms) {
  Key& key = *lane.in_key;
  const RateLimits limits = lane.queue->key_limits();
  if (key.name.empty() || (key.rates == nullptr && limits == RateLimits())) return now_ms;
  if (key.rates == nullptr) key.rates = std::make_unique<RateGates>();
  rates_.follow(*key.rates, limits, "key", lane.queue->name + ":" + key.name, now_ms);
  return key.rates->opens_ms(now_ms);
}

}  // namespace hf
