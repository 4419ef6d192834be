// FreeLists for any thread: memory for what one thread makes and another lets go of, with every job. The system's allocator
// keeps blocks for the thread that frees them, where those who ask next do not find them.
#pragma once

#include <memory_resource>
#include <mutex>

#include "core/free_lists.h"

namespace hf {

class SharedFreeLists final : public std::pmr::memory_resource {
 public:
  // The process's. It is never destroyed: a run may be kept by its handler for longer than its engine.
  static SharedFreeLists& get() {
    static auto* const lists = new SharedFreeLists;
    return *lists;
  }

 private:
  void* do_allocate(size_t bytes, size_t align) override {
    const std::lock_guard lock(mutex_);
    return lists_.allocate(bytes, align);
  }
  void do_deallocate(void* at, size_t bytes, size_t align) override {
    const std::lock_guard lock(mutex_);
    lists_.deallocate(at, bytes, align);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::mutex mutex_;
  FreeLists lists_;
};

}  // namespace hf
