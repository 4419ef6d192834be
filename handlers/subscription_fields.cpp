#include "handlers/subscription_fields.h"

#include "core/events.h"
#include "core/jobs.h"
#include "platform/event_fields.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

constexpr JsonField<SubscriptionSpec> kFields[] = {
    {"event", "name", [](SubscriptionSpec& s, const JsonValue& v) { return v.name("event", &s.event); }},
    {"filter", "object", [](SubscriptionSpec& s, const JsonValue& v) { return read_filter(v, &s.filter); }},
};

}  // namespace

std::span<const JsonField<SubscriptionSpec>> subscription_fields() { return kFields; }

bool read_subscription(const JsonValue& object, SubscriptionSpec* spec) {
  if (!read_fields(object, {{kFields, *spec}, {subscribed_job_fields(), spec->job}})) return false;
  const JsonNode& node = object.node();
  if (node.find("payload") && node.find("payload_base64")) return object.fail("\"payload\" and \"payload_base64\" exclude each other");
  if (spec->event.empty()) return object.fail("\"event\" is missing: it says what starts its jobs");
  if (spec->job.type.empty()) return object.fail("\"type\" is missing: it says what runs its jobs");
  if (node.find("on_conflict") && !is_unique(spec->job)) return object.fail("\"on_conflict\" needs \"unique_key\" or \"unique_by\": \"payload\"");
  spec->own_payload = node.find("payload") || node.find("payload_base64");
  const Status ok = validate(*spec);
  return ok || object.fail(ok.error().message);
}

}  // namespace hf
