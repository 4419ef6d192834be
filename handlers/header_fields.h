// The "headers" of the configuration: text, or what is in a secret.
#pragma once

#include "handlers/config.h"
#include "platform/json_fields.h"

namespace hf {

// Of all configured headers of a target, secrets included once they are read: what Holdfast adds has room beside them within
// kRequestHeaderMax.
inline constexpr size_t kHeaderBytesMax = 24 * 1024;

bool read_headers(const JsonValue& object, HttpConfig* http);
bool check_headers_size(const JsonValue& object, const HttpConfig& http);

}  // namespace hf
