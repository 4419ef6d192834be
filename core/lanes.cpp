#include "core/lanes.h"

#include <algorithm>

#include "core/units.h"

namespace hf {

QueueSettings over(const QueueSettings& set, const QueueSettings& configured) {
  QueueSettings s = set;
  if (!s.concurrency) s.concurrency = configured.concurrency;
  if (!s.slack_ms) s.slack_ms = configured.slack_ms;
  if (!s.windows) s.windows = configured.windows;
  if (!s.zone) s.zone = configured.zone;
  return s;
}

void Lanes::load() {
  for (const QueueRow& row : store_.queues()) {
    Queue& q = queue(row.name);
    q.paused = row.paused;
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
  made->runner->lanes.push_back(made);
  size_t index = static_cast<size_t>(row.id - 1);
  if (index >= lanes_.size()) lanes_.resize(index + 1);
  lanes_[index] = std::move(lane);
  names_[{row.queue, row.type, row.key, row.origin}] = made;
  return made;
}

Result<Lane*> Lanes::intern(const std::string& queue, const std::string& type, const std::string& key, Lane* origin) {
  auto it = names_.find({queue, type, key, origin != nullptr ? origin->id : 0});
  if (it != names_.end()) return it->second;
  if (lanes_.size() >= kLanesMax) {
    return Error{HF_E_FULL, "too many different (queue, type, concurrency_key): at most " + std::to_string(kLanesMax)};
  }
  LaneRow row{static_cast<int>(lanes_.size()) + 1, queue, type, key, origin != nullptr ? origin->id : 0};
  store_.insert_lane(row);
  Lane* lane = make(row);
  lane->stale = false;  // nothing is in it
  return lane;
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
  }
  return lost_.get();
}

Queue& Lanes::queue(const std::string& name) {
  std::unique_ptr<Queue>& q = queues_[name];
  if (!q) {
    q = std::make_unique<Queue>();
    q->name = name;
    q->sink = is_sink_queue(name);
  }
  return *q;
}

Queue* Lanes::find_queue(const std::string& name) {
  auto it = queues_.find(name);
  return it == queues_.end() ? nullptr : it->second.get();
}

namespace {
// All but the windows.
Status check_numbers(const QueueSettings& settings) {
  if (settings.concurrency) HF_TRY(check_range("concurrency", *settings.concurrency, 1, kQueueConcurrencyMax));
  if (settings.slack_ms) HF_TRY(check_duration("slack", *settings.slack_ms, 0, kSlackMaxMs));
  return ok_status();
}
}  // namespace

Status Lanes::set_queue(Queue& queue, const QueueSettings& set) {
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

void Lanes::find_zones_anew() {
  if (zones_version_ == zones_.version()) return;
  zones_version_ = zones_.version();
  // One that is gone now still is as it was read.
  for (Queue* queue : timed_) (void)queue->window.set(queue->settings, zones_);
}

void Lanes::put_in_force(Queue& queue, QueueSettings settings) {
  std::erase(timed_, &queue);
  if (!queue.window.none() || !queue.window.open()) timed_.push_back(&queue);
  const int64_t slack_before = queue.slack_ms();
  queue.settings = std::move(settings);
  if (queue.slack_ms() == slack_before) return;
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane == nullptr || lane->queue != &queue || lane->next_due_ms == kNever) continue;
    future_.erase(lane->next_due_ms, slack_before, lane->id);
    future_.insert(lane->next_due_ms, queue.slack_ms(), lane->id);
  }
}

RunnerState& Lanes::runner(const std::string& name) {
  std::unique_ptr<RunnerState>& r = runners_[name];
  if (!r) {
    r = std::make_unique<RunnerState>();
    r->spec.name = name;
  }
  return *r;
}

void Lanes::set_runner(const RunnerSpec& spec) {
  RunnerState& r = runner(spec.name);
  r.spec = spec;
  r.present = true;
  r.breaker.reset();
  next_order(r);
  for (Lane* lane : r.lanes) activate(*lane);
}

// As Bresenham's line: of any number of batches the newest-first ones are within one of their share.
void Lanes::next_order(RunnerState& runner) {
  if (runner.spec.newest_percent == 0 && runner.order == Order::oldest) return;
  runner.newest_due += runner.spec.newest_percent;
  const Order next = runner.newest_due >= 100 ? Order::newest : Order::oldest;
  if (next == Order::newest) runner.newest_due -= 100;
  if (next == runner.order) return;
  runner.order = next;
  for (Lane* lane : runner.lanes) lane->stale = true;
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
  lane.queue->active.push_back(&lane);
}

void Lanes::deactivate(Lane& lane) {
  if (!lane.active) return;
  lane.active = false;
  std::erase(lane.queue->active, &lane);
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

void Lanes::removed(Lane& lane, JobId id) {
  --lane.pending;
  --lane.queue->pending;
  std::erase_if(lane.window, [id](const ReadyEntry& e) { return e.id == id; });
}

void Lanes::moved(Lane& lane, JobId id, const ReadyEntry& entry, int64_t now_ms) {
  if (id != 0) std::erase_if(lane.window, [id](const ReadyEntry& e) { return e.id == id; });
  if (entry.due_ms > now_ms) {
    if (entry.due_ms < lane.next_due_ms) wait_until(lane, entry.due_ms);
    return;
  }
  if (!lane.stale) {
    const Order order = lane.runner->order;
    bool behind = lane.more && (lane.window.empty() || before(lane.window.back(), entry, order));
    if (!behind) {
      const auto comes_first = [order](const ReadyEntry& a, const ReadyEntry& b) { return before(a, b, order); };
      lane.window.insert(std::upper_bound(lane.window.begin(), lane.window.end(), entry, comes_first), entry);
      if (lane.window.size() > 2 * kWindow) {
        lane.window.resize(kWindow);
        lane.more = true;
      }
    }
  }
  activate(lane);
}

void Lanes::activate_due(int64_t now_ms) {
  while (future_.is_due(now_ms)) {
    Lane& lane = *by_id(future_.first());
    wait_until(lane, kNever);
    lane.stale = true;
    activate(lane);
  }
}

void Lanes::load_window(Lane& lane, int64_t now_ms) {
  std::vector<ReadyEntry> entries;
  lane.more = store_.ready(lane.id, now_ms, lane.runner->order, kWindow, entries);
  lane.window.assign(entries.begin(), entries.end());
  if (lane.stale) wait_until(lane, store_.next_due(lane.id, now_ms));
  lane.stale = false;
}

const ReadyEntry* Lanes::peek(Lane& lane, int64_t now_ms) {
  if (must_load(lane)) load_window(lane, now_ms);
  if (!lane.window.empty()) return &lane.window.front();
  deactivate(lane);
  return nullptr;
}

void Lanes::taken(Lane& lane, JobId id) {
  if (lane.window.empty() || lane.window.front().id != id) return removed(lane, id);
  lane.window.pop_front();
  --lane.pending;
  --lane.queue->pending;
}

}  // namespace hf
