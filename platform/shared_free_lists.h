// FreeLists for what one thread makes and any other lets go of, with every job. The system's allocator keeps blocks for the thread
// that frees them, where who asks next does not find them.
#pragma once

#include <memory>
#include <mutex>

#include "core/free_lists.h"

namespace hf {

class SharedFreeLists {
 public:
  // Thread: one at a time.
  void* allocate(size_t bytes, size_t align) {
    if (!own_.has(bytes, align)) {  // all that came back meanwhile, under one lock
      const std::lock_guard lock(mutex_);
      own_.take_from(back_, bytes, align);
    }
    return own_.allocate(bytes, align);
  }
  // Thread: any.
  void deallocate(void* at, size_t bytes, size_t align) {
    const std::lock_guard lock(mutex_);
    back_.deallocate(at, bytes, align);
  }

 private:
  FreeLists own_;  // of the thread that allocates
  std::mutex mutex_;
  FreeLists back_;  // guarded by it
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
