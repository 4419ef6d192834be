// "batch" of a sink, and of a handler: {"max_jobs": 100, "max_bytes": "1MiB", "max_wait": "5s"}.
#pragma once

#include "platform/batch_limits.h"
#include "platform/json_fields.h"

namespace hf {

// `To` has batch_jobs, batch_bytes, batch_wait_ms, and says how many jobs there may be: kJobsMax.
template <class To>
inline constexpr JsonField<To> kBatchFields[] = {
    {"max_jobs", "number", [](To& to, const JsonValue& v) { return v.integer(&to.batch_jobs, 1, To::kJobsMax); }},
    {"max_bytes", "size", [](To& to, const JsonValue& v) { return v.size(&to.batch_bytes, 1, kBatchBytesMax); }},
    {"max_wait", "duration", [](To& to, const JsonValue& v) { return v.duration(&to.batch_wait_ms, 0, kBatchWaitMaxMs); }},
};

}  // namespace hf
