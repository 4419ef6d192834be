// What the fuzz targets share. Each is a function of bytes alone: no clock, no random device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/names.h"
#include "core/result.h"

namespace hf::fuzz {

// An invariant. Not assert(): it holds in every build.
inline void must(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: an invariant does not hold\n", file, line);
  std::abort();
}

// An error as Result promises it: of the table, and one line of UTF-8.
inline void must_be_told(const Error& error) {
  must(error.code != HF_OK && !error.message.empty());
  must(valid_utf8(error.message) && error.message.find('\n') == std::string::npos);
}

// Takes the input apart from its front. What is not there is 0 or "".
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t byte() { return static_cast<uint8_t>(number(1)); }
  uint64_t number(size_t bytes) {  // big endian
    uint64_t value = 0;
    for (const char c : text(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view text(size_t bytes) {
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view line() {  // without its newline
    const std::string_view taken = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(taken.size() < rest_.size() ? taken.size() + 1 : taken.size());
    return taken;
  }
  std::string_view rest() { return text(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace hf::fuzz

// HF_FUZZ(input) { ... }: the entry that libFuzzer, or replay.cpp, calls.
#define HF_FUZZ(input)                                                    \
  static void fuzz_one(hf::fuzz::Input input);                            \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    fuzz_one(hf::fuzz::Input(data, size));                                \
    return 0;                                                             \
  }                                                                       \
  static void fuzz_one(hf::fuzz::Input input)
