// In place of files/sha256.cpp, which is Mbed TLS's.
#include "core/left_out.h"
#include "platform/payload_digest.h"

namespace hf {

Result<std::string> payload_digest(std::string_view) { return left_out("SHA-256, and with it unique_by payload, is", "HTTP"); }

}  // namespace hf
