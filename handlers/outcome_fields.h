// "on_exit" and "on_status" of the configuration: {"ok": [3], "retry": [1], "permanent": [2, "64-78"], "defer": [75]}.
#pragma once

#include "handlers/outcome_rules.h"
#include "platform/json_fields.h"

namespace hf {

inline constexpr size_t kOutcomeEntriesMax = 64;  // numbers and ranges of one class

std::optional<Outcome> outcome_named(std::string_view name);  // as the classes are

bool read_on_exit(const JsonValue& object, OutcomeRules* rules);    // 1 to 255
bool read_on_status(const JsonValue& object, OutcomeRules* rules);  // 200 to 599

}  // namespace hf
