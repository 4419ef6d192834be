// The keys of the configuration, one table for each object in it.
#pragma once

#include "handlers/config.h"
#include "platform/json_fields.h"

namespace hf {

// Reads the whole document; what needs two parts of it, or another file, is checked in config.cpp.
bool read_config(const JsonValue& document, Config* config);

}  // namespace hf
