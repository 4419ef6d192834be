// EngineOptions::digest, by SHA-256.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace hf {

// 128 bits of it, as hex. HF_E_NO_MEMORY; HF_E_UNSUPPORTED in a build without it.
Result<std::string> payload_digest(std::string_view bytes);

}  // namespace hf
