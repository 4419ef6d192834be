// What a target of the configuration ("url" and what belongs to it) needs of other files, and of "network".
#pragma once

#include "handlers/config.h"
#include "platform/json_fields.h"

namespace hf {

// Checks what `http` says, which was read from `object`, and reads its secrets: what cannot be sent is better known now.
bool check_target(const JsonValue& object, HttpConfig& http, const Config& config);

// The same of a sink whose URL is a broker's.
bool check_broker(const JsonValue& object, SinkConfig& sink, const Config& config);

}  // namespace hf
