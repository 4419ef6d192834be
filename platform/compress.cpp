#include "platform/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <new>

namespace hf {
namespace {

constexpr int kGzipLevel = 6, kGzipWindowBits = 13, kGzipMemory = 6;
constexpr int kGzipHeader = 16;  // in windowBits: gzip in place of zlib's own frame
// ZSTD_fast, the strategy of level 1, is the one that is linked (toolchains/deps/recipe.sh).
constexpr int kZstdLevel = 1, kZstdWindowLog = 15, kZstdHashLog = 14;

constexpr size_t kRoom = 4096;  // bytes of output that a call may make

// Calls `write` with room at the end of `out`; of that `used` is kept.
template <class F>
auto append(std::string* out, F write) {
  const size_t before = out->size();
  out->resize(before + kRoom);
  size_t used = 0;
  const auto told = write(out->data() + before, &used);
  out->resize(before + used);
  return told;
}

class Gzip final : public Compressor {
 public:
  Gzip() {
    const int code = deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kGzipWindowBits + kGzipHeader, kGzipMemory, Z_DEFAULT_STRATEGY);
    if (code != Z_OK) throw std::bad_alloc();  // the arguments are right
  }
  ~Gzip() override { deflateEnd(&stream_); }  // twice does no harm

 private:
  void run(std::string_view bytes, bool last, std::string* out) override {
    while (!bytes.empty() || last) {
      const size_t size = std::min(bytes.size(), size_t{std::numeric_limits<uInt>::max()});
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream_.avail_in = static_cast<uInt>(size);
      const int code = append(out, [&](char* to, size_t* used) {
        stream_.next_out = reinterpret_cast<Bytef*>(to);
        stream_.avail_out = kRoom;
        const int told = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
        *used = kRoom - stream_.avail_out;
        return told;
      });
      bytes.remove_prefix(size - stream_.avail_in);
      if (code == Z_STREAM_END) {
        deflateEnd(&stream_);
        return;
      }
      assert(code == Z_OK || code == Z_BUF_ERROR);  // it allocates nothing after its beginning
    }
  }

  z_stream stream_ = {};
};

class Zstd final : public Compressor {
 public:
  Zstd() : context_(ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kZstdLevel));
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, kZstdWindowLog));
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_hashLog, kZstdHashLog));
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_strategy, ZSTD_fast));
  }

 private:
  // All that can fail is the memory that the first bytes want.
  static size_t check(size_t told) {
    if (ZSTD_isError(told)) throw std::bad_alloc();
    return told;
  }
  void run(std::string_view bytes, bool last, std::string* out) override {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    size_t left = last ? 1 : 0;  // that it still has to write
    while (in.pos < in.size || left > 0) {
      const size_t told = append(out, [&](char* to, size_t* used) {
        ZSTD_outBuffer buffer = {to, kRoom, 0};
        const size_t code = ZSTD_compressStream2(context_.get(), &buffer, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        *used = buffer.pos;
        return code;
      });
      left = last ? check(told) : (check(told), 0);
    }
    if (last) context_.reset();
  }

  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

}  // namespace

bool can_compress() { return true; }

const char* encoding_name(Encoding encoding) {
  switch (encoding) {
    case Encoding::gzip: return "gzip";
    case Encoding::zstd: return "zstd";
    default: return "identity";
  }
}

std::unique_ptr<Compressor> Compressor::make(Encoding encoding) {
  assert(encoding != Encoding::none);
  if (encoding == Encoding::gzip) return std::make_unique<Gzip>();
  return std::make_unique<Zstd>();
}

}  // namespace hf
