// A page of a database, for those who read it past SQLite: sqlite.org/fileformat2.html, "B-tree Pages" and "Pointer Map".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/wal_format.h"

namespace hf::pages {

using wal::u16, wal::u32;
inline constexpr std::string_view kMagic{"SQLite format 3\0", 16};
enum PageType : uint8_t { kIndexInterior = 2, kTableInterior = 5, kIndexLeaf = 10, kTableLeaf = 13 };
enum PointerKind { kRootPage = 1, kFreePage = 2, kFirstOverflow = 3, kNextOverflow = 4, kTreePage = 5 };

inline uint8_t u8(std::string_view s, size_t at) { return at < s.size() ? static_cast<uint8_t>(s[at]) : 0; }

inline bool varint(std::string_view s, size_t& at, uint64_t& v) {
  v = 0;
  for (int i = 0; i < 9; ++i) {
    if (at >= s.size()) return false;
    const uint8_t b = static_cast<uint8_t>(s[at++]);
    if (i == 8) return v = v << 8 | b, true;
    v = v << 7 | (b & 0x7f);
    if (!(b & 0x80)) return true;
  }
  return true;
}

inline size_t header_at(int64_t page) { return page == 1 ? 100 : 0; }
inline bool interior(uint8_t type) { return type == kIndexInterior || type == kTableInterior; }
inline bool is_tree_page(uint8_t type) { return interior(type) || type == kIndexLeaf || type == kTableLeaf; }

// Where the cells of a page begin, those that lie within it.
inline std::vector<size_t> cells(std::string_view page, int64_t number) {
  const size_t head = header_at(number);
  const size_t first = head + (interior(u8(page, head)) ? 12 : 8);
  const size_t count = u16(page, head + 3);
  std::vector<size_t> out;
  if (first + count * 2 > page.size()) return out;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = u16(page, first + i * 2);
    if (at >= first + count * 2 && at + 4 <= page.size()) out.push_back(at);
  }
  return out;
}

}  // namespace hf::pages
