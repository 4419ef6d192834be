// Makes what is sent smaller: gzip (RFC 1952) or zstd (RFC 8878).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hf {

enum class Encoding : uint8_t { none, gzip, zstd };

bool can_compress();  // false in a build without it

// As in Content-Encoding: "gzip", "zstd"; "identity" for none.
const char* encoding_name(Encoding encoding);

// A stream of bytes, compressed. Chosen for small devices; beside the output it holds, from its construction or
// its first bytes on:
//   gzip  level 6 with a window of 8 KiB: 70 KiB
//   zstd  level 1 with a window of 32 KiB: 306 KiB
// Of a few KiB of JSON lines or more both leave about an eighth; zstd takes a fifth of the time. Every function throws
// std::bad_alloc, and nothing but destruction may follow.
//
// Thread: any, one at a time.
class Compressor {
 public:
  // gzip or zstd
  static std::unique_ptr<Compressor> make(Encoding encoding);
  virtual ~Compressor() = default;
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  // Appends to `out` what is ready of it, which may be nothing.
  void add(std::string_view bytes, std::string* out) { run(bytes, false, out); }
  // Appends the rest, and gives the memory back. Once, at the end.
  void finish(std::string* out) { run({}, true, out); }

 protected:
  Compressor() = default;
  virtual void run(std::string_view bytes, bool last, std::string* out) = 0;
};

}  // namespace hf
