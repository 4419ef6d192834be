// What the configuration says of a program's limits: "limits", "nice", "io_class", "oom_score_adj", "user", "group", "cgroup".
#pragma once

#include "handlers/process_limits.h"
#include "platform/json_fields.h"

namespace hf {

std::span<const JsonField<ProcessLimits>> process_fields();  // of a handler
std::span<const JsonField<ProcessLimits>> limit_fields();    // of its "limits"

// Looks up what of `limits`, which were read from `handler`, depends on this device.
bool find_limits(const JsonValue& handler, ProcessLimits* limits);

}  // namespace hf
