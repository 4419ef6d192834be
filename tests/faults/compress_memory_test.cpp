// Each allocation of zlib and zstd fails, and how many bytes they take is what platform/compress.h says.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include "platform/compress.h"

using namespace hf;

namespace {
bool active = false;
int count = 0, fails_at = 0;
size_t bytes = 0;

bool refuse(size_t size) {
  if (!active) return false;
  bytes += size;
  return ++count == fails_at;
}
}  // namespace

extern "C" {
void* __real_malloc(size_t n);
void* __real_calloc(size_t n, size_t size);
void* __wrap_malloc(size_t n) { return refuse(n) ? nullptr : __real_malloc(n); }
void* __wrap_calloc(size_t n, size_t size) { return refuse(n * size) ? nullptr : __real_calloc(n, size); }
}

namespace {

// The n-th allocation fails; 0: none. False: memory ran out.
bool compress(Encoding encoding, int n) {
  std::string text, out;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919LL % 100'003);
  out.reserve(text.size());
  count = 0;
  bytes = 0;
  fails_at = n;
  bool done = true;
  active = true;
  try {
    const auto compressor = Compressor::make(encoding);
    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(std::min<size_t>(rest.size(), 10'000)))
      compressor->add(rest.substr(0, 10'000), &out);
    compressor->finish(&out);
  } catch (const std::bad_alloc&) {
    done = false;
  }
  active = false;
  if (done) CHECK(out.size() < text.size() * 2 / 3);
  return done;
}

}  // namespace

TEST_CASE("compress: memory that is not there, and how much is wanted") {
  for (const Encoding encoding : {Encoding::gzip, Encoding::zstd}) {
    CAPTURE(encoding_name(encoding));
    REQUIRE(compress(encoding, 0));
    const int all = count;
    CHECK(all > 0);
    CHECK(bytes <= (encoding == Encoding::gzip ? 70 : 306) * 1024);
    CHECK(bytes > (encoding == Encoding::gzip ? 50 : 200) * 1024);  // else that is not where it allocates
    for (int n = 1; n <= all; ++n) {
      CAPTURE(n);
      CHECK_FALSE(compress(encoding, n));
    }
  }
}
