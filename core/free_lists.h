// Memory for what comes and goes with every job: a block that was given back is the next one of its size. Containers of std::pmr
// take it from here, so that a steady state asks the system for nothing.
//
// Thread: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <utility>

namespace hf {

class FreeLists final : public std::pmr::memory_resource {
 public:
  static constexpr size_t kStep = 16, kLargest = 1024;  // bytes; larger ones come from the system each time
  static constexpr int kKept = 256;                      // of each size, at most

  FreeLists() = default;
  FreeLists(const FreeLists&) = delete;
  FreeLists& operator=(const FreeLists&) = delete;
  bool has(size_t bytes, size_t align) {
    const List* list = list_of(bytes, align);
    return list != nullptr && list->first != nullptr;
  }
  // REQUIRES: !has(bytes, align). All blocks of that size that `other` has.
  void take_from(FreeLists& other, size_t bytes, size_t align) {
    if (List* list = list_of(bytes, align)) std::swap(*list, *other.list_of(bytes, align));
  }
  ~FreeLists() override {
    for (List& list : lists_) {
      while (list.first != nullptr) ::operator delete(pop(list));
    }
  }

 private:
  struct Block {
    Block* next;
  };
  struct List {
    Block* first = nullptr;
    int kept = 0;
  };

  static void* pop(List& list) {
    Block* block = list.first;
    list.first = block->next;
    --list.kept;
    return block;
  }
  List* list_of(size_t bytes, size_t align) {
    return bytes > 0 && bytes <= kLargest && align <= alignof(std::max_align_t) ? &lists_[(bytes - 1) / kStep] : nullptr;
  }

  void* do_allocate(size_t bytes, size_t align) override {
    List* list = list_of(bytes, align);
    if (list == nullptr) return std::pmr::new_delete_resource()->allocate(bytes, align);
    return list->first != nullptr ? pop(*list) : ::operator new((bytes + kStep - 1) / kStep * kStep);
  }
  void do_deallocate(void* at, size_t bytes, size_t align) override {
    List* list = list_of(bytes, align);
    if (list == nullptr) return std::pmr::new_delete_resource()->deallocate(at, bytes, align);
    if (list->kept == kKept) return ::operator delete(at);
    list->first = new (at) Block{list->first};
    ++list->kept;
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::array<List, kLargest / kStep> lists_ = {};
};

}  // namespace hf
