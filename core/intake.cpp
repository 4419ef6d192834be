#include "core/intake.h"

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

RateLimits of_queue(const Queue& queue) { return {queue.settings.enqueue_limit.value_or(Rate{}), {}}; }
RateLimits of_key(const Queue& queue) { return {queue.settings.key_enqueue_limit.value_or(Rate{}), {}}; }

void follow_key(Turn& turn, RateGates& gates, const Queue& queue, const std::string& key) {
  turn.rates.follow(gates, of_key(queue), "enqueue_key", queue.name + ":" + key, turn.now_ms);
}
void follow_queue(Turn& turn, Queue& queue) { turn.rates.follow(queue.intake, of_queue(queue), "enqueue", queue.name, turn.now_ms); }

}  // namespace

bool limits_intake(const Queue& queue) { return !of_queue(queue).rate_limit.none() || !of_key(queue).rate_limit.none(); }

void came_in(Turn& turn, Lane& lane) {
  Queue& queue = *lane.queue;
  if (!limits_intake(queue)) return;
  // That a power cut takes one back with its job is no matter.
  follow_queue(turn, queue);
  (void)turn.rates.began(queue.intake, turn.now_ms);
  if (lane.key.empty()) return;
  Key& key = *lane.in_key;
  if (key.intake == nullptr) key.intake = std::make_unique<RateGates>();
  follow_key(turn, *key.intake, queue, key.name);
  (void)turn.rates.began(*key.intake, turn.now_ms);
}

RateGate* Intake::gate_of_key(Queue& queue, const std::string& key) {
  const auto known = queue.keys.find(key);
  const bool has_gates = known != queue.keys.end() && known->second.intake != nullptr;
  RateGates& gates = has_gates ? *known->second.intake : new_keys_[{&queue, key}];
  follow_key(*turn_, gates, queue, key);
  return &gates.rate_limit;
}

Status Intake::let_in(Queue& queue, const std::string& key) {
  if (!limits_intake(queue)) return ok_status();
  follow_queue(*turn_, queue);
  RateGate* of_all = &queue.intake.rate_limit;
  RateGate* of_its_key = key.empty() ? nullptr : gate_of_key(queue, key);
  const std::string key_text = "concurrency_key " + key + " of queue " + queue.name;
  for (const auto& [gate, whose, setting] : {std::tuple(of_all, "queue " + queue.name, "enqueue_limit"), std::tuple(of_its_key, key_text, "key_enqueue_limit")}) {
    if (gate == nullptr || gate->rate().none()) continue;
    const int with_it = let_in_[gate] + 1;
    const std::string takes = whose + " takes " + format_rate_limit(gate->rate()) + " (" + setting + ")";
    if (with_it > gate->rate().burst) return Error{HF_E_TOO_LARGE, takes + ", and not more than " + std::to_string(gate->rate().burst) + " at once"};
    const int64_t opens = gate->opens_ms(turn_->now_ms, with_it);
    if (opens > turn_->now_ms) return Error{HF_E_RATE, takes + ": room for " + (with_it == 1 ? "the next one" : std::to_string(with_it)) + " in " + format_duration_human(opens - turn_->now_ms)};
  }
  for (RateGate* gate : {of_all, of_its_key}) {
    if (gate != nullptr) ++let_in_[gate];
  }
  return ok_status();
}

}  // namespace hf
