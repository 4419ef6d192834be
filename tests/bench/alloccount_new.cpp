// Tells alloccount.c which of what the heap is asked for comes through operator new: what C++ asks for, and neither SQLite nor libuv.
#include <cstdlib>
#include <new>

#include "tests/bench/alloccount.h"

__attribute__((visibility("default"))) void* operator new(std::size_t size) {
  alloccount_new();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
