// Memory for one thread that makes and drops the same sizes by the million: lists of free blocks by size, which are kept
// for the next one. With a sanitizer each block is malloc's own, so that it is watched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace hf::sim {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kPooled = false;
#else
inline constexpr bool kPooled = true;
#endif

class Pool {
 public:
  static void* get(size_t n) {
    const size_t list = (n + kStep - 1) / kStep;
    if (kPooled && list < kLists && free_[list] != nullptr) {
      Block* block = free_[list];
      std::memcpy(&free_[list], block + 1, sizeof(Block*));
      block->bytes = n;
      return block + 1;
    }
    const size_t bytes = list < kLists ? list * kStep : n;
    auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + (bytes < kStep ? kStep : bytes)));
    if (block == nullptr) return nullptr;
    block->bytes = n;
    return block + 1;
  }
  static void put(void* p) {
    if (p == nullptr) return;
    Block* block = static_cast<Block*>(p) - 1;
    const size_t list = (block->bytes + kStep - 1) / kStep;
    if (!kPooled || list >= kLists) return std::free(block);
    std::memcpy(p, &free_[list], sizeof(Block*));
    free_[list] = block;
  }
  static size_t size(void* p) { return p != nullptr ? (static_cast<Block*>(p) - 1)->bytes : 0; }

 private:
  static constexpr size_t kStep = 32, kLists = 512;  // up to 16 KiB
  struct alignas(std::max_align_t) Block {
    size_t bytes;  // asked for
  };
  static inline thread_local std::array<Block*, kLists> free_{};
};

}  // namespace hf::sim
