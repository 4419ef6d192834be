// The same for malloc and its like, of all that is linked statically (SQLite, libuv, mbedTLS, llhttp):
// -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
#include <cstddef>

#include "fault.h"

extern "C" {
void* __real_malloc(size_t n);
void* __real_calloc(size_t n, size_t size);
void* __real_realloc(void* p, size_t n);
void* __wrap_malloc(size_t n) { return fault::refuse() ? nullptr : __real_malloc(n); }
void* __wrap_calloc(size_t n, size_t size) { return fault::refuse() ? nullptr : __real_calloc(n, size); }
void* __wrap_realloc(void* p, size_t n) { return fault::refuse() ? nullptr : __real_realloc(p, n); }
}
