// What filters see of an event: the fields of a JSON object at its top, each value as text that is the same for what is equal.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "core/types.h"
#include "platform/json_fields.h"

namespace hf {

// Text, numbers, true, false and null; what is nested is left out, and so is what no filter can name: a long name or value. A name
// that is there twice counts as its last value says. None if the payload is not a JSON object, or nested more than
// kJsonDepthMax deep. At most kEventFieldsMax.
EventFields event_fields(std::string_view payload);

// {"door": 3, "alarm": true}: what an event has to have. Reports what is nested or too much.
bool read_filter(const JsonValue& object, EventFields* filter);
// The same of text: HF_E_INVALID names the field.
Result<EventFields> parse_filter(std::string_view text);

}  // namespace hf
