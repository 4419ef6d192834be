// Paths and folders by the calls of the system: std::filesystem, as the streams, brings 300 KB of locales into a static program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hf {

std::string folder_of(const std::string& path);  // "." without a slash, "/" at the top
std::string name_of(const std::string& path);    // behind the last slash
int64_t size_of(const std::string& path);        // of a file, in bytes; -1: not there
// The names in a folder, without "." and "..", in no order. Empty if it cannot be read.
std::vector<std::string> entries_of(const std::string& folder);
// All of a small file; empty if it cannot be read, or is longer than `most`.
std::string read_small(const std::string& path, size_t most);

}  // namespace hf
