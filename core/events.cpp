#include "core/events.h"

#include <algorithm>

#include "core/names.h"
#include "core/units.h"

namespace hf {

namespace {
bool goes_by_event_key(const JobSpec& job) { return !is_unique(job); }
}  // namespace

Status validate(const SubscriptionSpec& spec) {
  HF_TRY(check_name("subscription", spec.name));
  HF_TRY(check_name("event", spec.event));
  if (spec.filter.size() > kFilterMax) {
    return Error{HF_E_INVALID, "filter has " + std::to_string(spec.filter.size()) + " fields; allowed are " + std::to_string(kFilterMax)};
  }
  for (const auto& [field, value] : spec.filter) {
    HF_TRY(text_fits("filter", field, HF_KEY_MAX));
    HF_TRY(text_fits(("filter." + field).c_str(), value, kFilterValueMax));
  }
  JobSpec job = spec.job;
  if (job.at_wall_ms != 0) return Error{HF_E_INVALID, "run_at is one time, and events come again and again: delay is meant"};
  if (!job.after.empty()) return Error{HF_E_INVALID, "after is of one job, and events come again and again"};
  if (goes_by_event_key(job)) {
    if (job.on_conflict != OnConflict::keep) return Error{HF_E_INVALID, "on_conflict without unique_key"};
    if (job.unique_for_ms != 0) job.unique_key = spec.name;  // any: it is looked at alone
  }
  return validate(job);
}

Status Events::set(const SubscriptionSpec& spec) {
  HF_TRY(validate(spec));
  HF_TRY(payload_fits(spec.job.payload, turn_.limits));
  if (!subscriptions_.contains(spec.name) && subscriptions_.size() >= kSubscriptionsMax) {
    return Error{HF_E_FULL, "there are " + std::to_string(kSubscriptionsMax) + " subscriptions, which is the most"};
  }
  SubscriptionInfo& info = subscriptions_[spec.name];
  if (info.spec != spec) info = {spec};
  return ok_status();
}

Status Events::remove(const std::string& name) {
  if (subscriptions_.erase(name) != 0) return ok_status();
  return Error{HF_E_NOT_FOUND, "there is no subscription " + quoted(name)};
}

namespace {
bool matches(const EventFields& filter, const EventFields& fields) {
  return std::all_of(filter.begin(), filter.end(), [&](const auto& wanted) { return std::find(fields.begin(), fields.end(), wanted) != fields.end(); });
}

JobSpec job_of(const SubscriptionSpec& subscription, const Emit& emit) {
  JobSpec spec = subscription.job;
  if (!subscription.own_payload) spec.payload = emit.payload;
  if (!goes_by_event_key(spec)) return spec;
  if (emit.key.empty()) {
    spec.unique_for_ms = 0;
    return spec;
  }
  spec.unique_key = subscription.name + "/" + emit.key;
  if (spec.unique_for_ms == 0) spec.unique_for_ms = kEventKeyForMs;
  return spec;
}
}  // namespace

Result<std::vector<JobId>> Events::emit(const Emit& emit) {
  HF_TRY(check_name("event", emit.event));
  if (!emit.key.empty()) HF_TRY(text_fits("key", emit.key, kEventKeyMax));
  HF_TRY(payload_fits(emit.payload, turn_.limits));  // whoever subscribed
  std::vector<SubscriptionInfo*> matched;
  int64_t bytes = 0;
  for (auto& [name, info] : subscriptions_) {
    if (info.spec.event != emit.event || !matches(info.spec.filter, emit.fields)) continue;
    matched.push_back(&info);
    bytes += static_cast<int64_t>((info.spec.own_payload ? info.spec.job.payload : emit.payload).size());
  }
  if (bytes > kEmitBytesMax) {
    return Error{HF_E_TOO_LARGE, std::to_string(matched.size()) + " subscriptions match, and their payloads have " + format_size(bytes) +
                                     "; the limit is " + format_size(kEmitBytesMax) + " together"};
  }
  // Nobody who emits knows of the queues of those who subscribed: what comes in too fast for one of them is left out, and the others
  // are started.
  std::vector<JobSpec> specs;
  std::vector<const SubscriptionInfo*> starts;
  std::vector<std::string> too_fast;  // queues
  Intake intake(turn_);
  for (const SubscriptionInfo* info : matched) {
    JobSpec spec = job_of(info->spec, emit);
    HF_TRY(jobs_.name_by_payload(spec));
    if (!jobs_.let_in(intake, spec)) {
      too_fast.push_back(spec.queue);
      continue;
    }
    specs.push_back(std::move(spec));
    starts.push_back(info);
  }
  std::vector<JobId> ids;
  if (!specs.empty()) {
    auto enqueued = jobs_.enqueue(specs, {.called = [&](size_t i) { return "subscription " + quoted(starts[i]->spec.name); }});
    if (!enqueued) return enqueued.error();
    ids = std::move(*enqueued);
  }
  for (const std::string& queue : too_fast) turn_.losses.add(LossCause::too_fast, queue, turn_.now_ms);
  for (SubscriptionInfo* info : matched) ++info->matched;
  Transition& told = turn_.tell(Change::emitted, 0, nullptr);
  told.type = emit.event;
  told.detail = std::to_string(ids.size()) + (ids.size() == 1 ? " job" : " jobs");
  if (!too_fast.empty()) told.detail += ", " + std::to_string(too_fast.size()) + " left out: too fast for the queue";
  return ids;
}

Result<std::vector<SubscriptionInfo>> Events::list(const std::string& name) const {
  std::vector<SubscriptionInfo> infos;
  for (const auto& [its_name, info] : subscriptions_) {
    if (name.empty() || name == its_name) infos.push_back(info);
  }
  if (!name.empty() && infos.empty()) return Error{HF_E_NOT_FOUND, "there is no subscription " + quoted(name)};
  return infos;
}

}  // namespace hf
