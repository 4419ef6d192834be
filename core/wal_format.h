// The write-ahead log as a file, for those who read it past SQLite: sqlite.org/fileformat2.html, "The Write-Ahead Log".
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace hf::wal {

inline constexpr size_t kHeader = 32, kFrameHeader = 24;

// Big-endian; 0 where it goes beyond the end.
inline uint32_t u16(std::string_view s, size_t at) {
  if (at + 2 > s.size()) return 0;
  return static_cast<uint32_t>(static_cast<uint8_t>(s[at])) << 8 | static_cast<uint8_t>(s[at + 1]);
}
inline uint32_t u32(std::string_view s, size_t at) { return u16(s, at) << 16 | u16(s, at + 2); }

// The salts: others each time that the log begins anew.
inline uint64_t generation(std::string_view header) { return static_cast<uint64_t>(u32(header, 16)) << 32 | u32(header, 20); }

// The running checksum: over 8 bytes at a time, in the byte order that the log's magic names.
using Sum = std::array<uint32_t, 2>;
inline void add(std::string_view bytes, bool big, Sum& sum) {
  const bool swapped = big != (std::endian::native == std::endian::big);
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    std::array<uint32_t, 2> words;
    std::memcpy(words.data(), bytes.data() + at, 8);
    if (swapped) words = {__builtin_bswap32(words[0]), __builtin_bswap32(words[1])};
    sum[0] += words[0] + sum[1];
    sum[1] += words[1] + sum[0];
  }
}
// What a frame, or the header, says its sum is.
inline Sum sum_in_header(std::string_view header) { return {u32(header, 24), u32(header, 28)}; }
inline Sum sum_in_frame(std::string_view frame) { return {u32(frame, 16), u32(frame, 20)}; }
// The sum of the frames up to this one.
inline Sum sum_after(Sum sum, std::string_view frame, bool big) {
  add(frame.substr(0, 8), big, sum);
  add(frame.substr(kFrameHeader), big, sum);
  return sum;
}

}  // namespace hf::wal
