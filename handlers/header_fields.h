// The "headers" of the configuration: text, or what is in a secret.
#pragma once

#include "handlers/config.h"
#include "platform/json_fields.h"

namespace hf {

bool read_headers(const JsonValue& object, HttpConfig* http);

}  // namespace hf
