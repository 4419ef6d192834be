// The "tls" object of the configuration.
#pragma once

#include <optional>
#include <span>

#include "platform/json_fields.h"
#include "platform/net/tls_config.h"

namespace hf {

std::span<const JsonField<TlsConfig>> tls_fields();
// Reads the object, and checks what can be seen without the files that it names.
bool read_tls(const JsonValue& object, std::optional<TlsConfig>* tls);

}  // namespace hf
