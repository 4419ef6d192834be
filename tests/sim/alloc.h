// An allocator that fails: the n-th allocation of SQLite or of C++ while a Failing is alive, or from the n-th on.
#pragma once

#include <cstdint>

namespace hf::sim {

// Before SQLite is used for the first time.
void install_allocator();

// Allocations in its life are counted; the n-th (from 1) fails, and with `forever` all that follow. n = 0: none.
class Failing {
 public:
  explicit Failing(uint64_t n, bool forever = false);
  ~Failing();
  Failing(const Failing&) = delete;
  Failing& operator=(const Failing&) = delete;
  static uint64_t counted();
  static bool failed();  // since the last Failing began
};

// What the test itself needs does not fail and does not count.
class Spared {
 public:
  Spared();
  ~Spared();
  Spared(const Spared&) = delete;
  Spared& operator=(const Spared&) = delete;

 private:
  bool before_;
};

}  // namespace hf::sim
