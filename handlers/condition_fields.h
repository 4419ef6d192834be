// The "conditions" of the configuration.
#pragma once

#include "handlers/config.h"
#include "platform/json_fields.h"

namespace hf {

std::span<const JsonField<ConditionConfig>> condition_fields();
// One of them. `condition->spec.name` is set before.
bool read_condition(const JsonValue& object, ConditionConfig* condition);

}  // namespace hf
