// What open() looks at before it touches the file, so that each refusal says what is wrong and where.
#pragma once

#include <string>

#include "core/result.h"

namespace hf {

std::string host_name();  // of the system; "device" if it has none that fits
// A device name becomes part of keys and headers: 1..HF_NAME_MAX bytes of A-Z a-z 0-9 _ . -
Status check_device(const std::string& device);
// HF_E_INVALID (empty), HF_E_IO (no such folder, a folder in its place), HF_E_READ_ONLY.
Status check_database_path(const std::string& path);
// Adds to an error of the engine's open what the system knows: above all, which process holds the file.
Error explain_open_error(const std::string& path, Error error);

}  // namespace hf
