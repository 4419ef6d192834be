// One allocation of C++ fails, wherever it is: the n-th of the process, of those that are not spared.
#pragma once

#include <atomic>
#include <cstdint>

namespace failing_new {

inline std::atomic<int64_t> left{-1};  // until it fails; below 0: never
inline thread_local bool spared = false;

inline bool refuse() { return !spared && left.load(std::memory_order_relaxed) >= 0 && left.fetch_sub(1, std::memory_order_relaxed) == 0; }

// The program's own do not fail, the library's do.
class Spare {
 public:
  explicit Spare(bool on) : before_(spared) { spared = on; }
  ~Spare() { spared = before_; }
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;

 private:
  const bool before_;
};

template <class F>
auto library(F call) {
  Spare no(false);
  return call();
}

}  // namespace failing_new
