#include "alloc.h"

#include <malloc.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "pool.h"

using hf::sim::Pool;

namespace {

thread_local bool active = false;
thread_local bool once_failed = false;
thread_local bool forever_on = false;
thread_local uint64_t count = 0;
thread_local uint64_t at = 0;

bool refuse() {
  if (!active) return false;
  ++count;
  bool no = at != 0 && (count == at || (forever_on && count > at));
  once_failed |= no;
  return no;
}

}  // namespace

void* operator new(std::size_t n) {
  if (refuse()) throw std::bad_alloc();
  void* p = Pool::get(n);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void* operator new[](std::size_t n) { return operator new(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return refuse() ? nullptr : Pool::get(n); }
void* operator new[](std::size_t n, const std::nothrow_t& t) noexcept { return operator new(n, t); }
void operator delete(void* p) noexcept { Pool::put(p); }
void operator delete[](void* p) noexcept { Pool::put(p); }
void operator delete(void* p, std::size_t) noexcept { Pool::put(p); }
void operator delete[](void* p, std::size_t) noexcept { Pool::put(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { Pool::put(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { Pool::put(p); }

namespace hf::sim {

void install_allocator() {
  static bool done = false;
  if (done) return;
  done = true;
  // The files of a disk grow and go by the thousand: their memory is kept, not given back and faulted in again.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  static sqlite3_mem_methods failing{};
  failing.xMalloc = [](int n) { return refuse() ? nullptr : Pool::get(static_cast<size_t>(n)); };
  failing.xFree = [](void* p) { Pool::put(p); };
  failing.xRealloc = [](void* p, int n) -> void* {
    void* larger = refuse() ? nullptr : Pool::get(static_cast<size_t>(n));
    if (larger == nullptr) return nullptr;
    std::memcpy(larger, p, std::min(Pool::size(p), static_cast<size_t>(n)));
    Pool::put(p);
    return larger;
  };
  failing.xSize = [](void* p) { return static_cast<int>(Pool::size(p)); };
  failing.xRoundup = [](int n) { return (n + 7) & ~7; };
  failing.xInit = [](void*) { return SQLITE_OK; };
  failing.xShutdown = [](void*) {};
  sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
}

Failing::Failing(uint64_t n, bool forever) {
  active = true;
  once_failed = false;
  forever_on = forever;
  count = 0;
  at = n;
}
Failing::~Failing() { active = false; }
Spared::Spared() : before_(active) { active = false; }
Spared::~Spared() { active = before_; }
uint64_t Failing::counted() { return count; }
bool Failing::failed() { return once_failed; }

}  // namespace hf::sim
