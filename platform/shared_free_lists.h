// FreeLists for any thread: memory for what one thread makes and another lets go of, with every job. The system's allocator
// keeps blocks for the thread that frees them, where those who ask next do not find them.
#pragma once

#include <memory>
#include <mutex>

#include "core/free_lists.h"

namespace hf {

class SharedFreeLists {
 public:
  void* allocate(size_t bytes, size_t align) {
    const std::lock_guard lock(mutex_);
    return lists_.allocate(bytes, align);
  }
  void deallocate(void* at, size_t bytes, size_t align) {
    const std::lock_guard lock(mutex_);
    lists_.deallocate(at, bytes, align);
  }

 private:
  std::mutex mutex_;
  FreeLists lists_;
};

// For std::allocate_shared: the lists live as long as anything that came from them.
template <class T>
class FromSharedLists {
 public:
  using value_type = T;
  explicit FromSharedLists(std::shared_ptr<SharedFreeLists> lists) : lists_(std::move(lists)) {}
  template <class U>
  FromSharedLists(const FromSharedLists<U>& other) : lists_(other.lists()) {}

  T* allocate(size_t n) { return static_cast<T*>(lists_->allocate(n * sizeof(T), alignof(T))); }
  void deallocate(T* at, size_t n) { lists_->deallocate(at, n * sizeof(T), alignof(T)); }
  const std::shared_ptr<SharedFreeLists>& lists() const { return lists_; }
  template <class U>
  bool operator==(const FromSharedLists<U>& other) const {
    return lists_ == other.lists();
  }

 private:
  std::shared_ptr<SharedFreeLists> lists_;
};

}  // namespace hf
