// "subscriptions" of the configuration: {"on-door": {"event": "door.opened", "filter": {"door": 3}, "type": "report"}}.
#pragma once

#include <span>

#include "core/types.h"
#include "platform/json_fields.h"

namespace hf {

std::span<const JsonField<SubscriptionSpec>> subscription_fields();  // beside those of its jobs: subscribed_job_fields()

// `spec.name` is set before.
bool read_subscription(const JsonValue& object, SubscriptionSpec* spec);

}  // namespace hf
