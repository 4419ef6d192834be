// In place of compress.cpp. Nobody makes a Compressor: a configuration that wants one is refused.
#include "platform/compress.h"

namespace hf {

bool can_compress() { return false; }
const char* encoding_name(Encoding) { return "identity"; }
std::unique_ptr<Compressor> Compressor::make(Encoding) { return nullptr; }

}  // namespace hf
