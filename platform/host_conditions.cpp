// The Host's part in conditions: who is asked, and where the answer goes.
#include "core/conditions.h"
#include "core/events.h"
#include "core/names.h"
#include "platform/host_state.h"

namespace hf {

Status Host::set_condition(const ConditionSpec& spec, std::shared_ptr<Probe> probe) {
  HF_TRY(validate(spec));
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase >= State::Phase::closing) return Error{HF_E_STATE, "it is closing"};
    if (!state_->conditions.contains(spec.name) && state_->conditions.size() >= kConditionsMax) {
      return Error{HF_E_FULL, "there are " + std::to_string(kConditionsMax) + " conditions, which is the most"};
    }
    State::Condition fresh{spec, std::move(probe)};
    probe = std::exchange(state_->conditions[spec.name], std::move(fresh)).probe;
  }
  if (probe) state_->shut_down(std::move(probe));
  return tell(SetCondition{spec}, [](Request&) {});
}

Status Host::remove_condition(const std::string& name) {
  std::shared_ptr<Probe> probe;
  {
    std::lock_guard lock(state_->mutex);
    const auto it = state_->conditions.find(name);
    if (it == state_->conditions.end()) return Error{HF_E_NOT_FOUND, "there is no condition " + quoted(name)};
    probe = std::move(it->second.probe);
    state_->conditions.erase(it);
  }
  if (probe) state_->shut_down(std::move(probe));
  return tell(RemoveCondition{name}, [](Request&) {});
}

Status Host::set_subscription(const SubscriptionSpec& spec) {
  HF_TRY(validate(spec));
  Op op = SetSubscription{spec};
  SubscriptionSpec before = spec;  // then what there was; without a name: nothing
  // First: an engine that is reopened meanwhile is told of it.
  {
    std::lock_guard lock(state_->mutex);
    std::swap(state_->subscriptions[spec.name], before);
  }
  const Reply taken = call_guarded(std::move(op));
  auto* error = std::get_if<Error>(&taken);
  if (error == nullptr) return ok_status();
  std::lock_guard lock(state_->mutex);
  if (before.name.empty()) state_->subscriptions.erase(spec.name);
  else state_->subscriptions[spec.name] = std::move(before);
  return *error;
}

Status Host::remove_subscription(const std::string& name) {
  RemoveSubscription remove{name};
  // First, as above: taken out, and put back whole if the engine refuses.
  decltype(state_->subscriptions)::node_type kept;
  {
    std::lock_guard lock(state_->mutex);
    kept = state_->subscriptions.extract(name);
  }
  if (kept.empty()) return Error{HF_E_NOT_FOUND, "there is no subscription " + quoted(name)};
  const Reply taken = call_guarded(std::move(remove));
  auto* error = std::get_if<Error>(&taken);
  // Not found: the engine was opened anew meanwhile, without it.
  if (error == nullptr || error->code == HF_E_NOT_FOUND) return ok_status();
  std::lock_guard lock(state_->mutex);
  state_->subscriptions.insert(std::move(kept));  // unless there is one of that name again
  return *error;
}

void Host::State::ask_condition(const AskCondition& ask) {
  post([this, ask] {
    std::shared_ptr<Probe> probe;  // the one of this moment: none is asked after its shutdown
    std::string name = patient([&] { return ask.name; });
    {
      std::lock_guard lock(mutex);
      const auto it = conditions.find(ask.name);
      if (it == conditions.end()) return;  // the engine will know
      it->second.number = ask.number;
      if (std::exchange(it->second.asking, true)) return;
      probe = it->second.probe;
    }
    const auto answer = [this, name = std::move(name), asked = probe.get()](const ProbeAnswer& said) { condition_answered(name, asked, said); };
    if (!probe) return answer({false, "nobody is there to be asked"});
    if (!guarded([&] { probe->ask(answer); })) answer({false, "out of memory"});
  });
}

void Host::State::condition_answered(const std::string& name, const Probe* asked, const ProbeAnswer& said) {
  patient([&] {
    TellCondition tell{name, said.open, std::string(cut_utf8(one_line(said.why), HF_REASON_MAX))};
    {
      std::lock_guard lock(mutex);
      const auto it = conditions.find(name);
      if (it == conditions.end() || it->second.probe.get() != asked) return;  // another one is asked now
      it->second.asking = false;
      tell.number = it->second.number;
    }
    (void)send(std::move(tell), {}, SIZE_MAX);
  });
}

void Host::State::shut_down(std::shared_ptr<Probe> probe) {
  post([probe] { probe->shutdown(patient([&]() -> std::function<void()> { return [probe] {}; })); });
}

}  // namespace hf
