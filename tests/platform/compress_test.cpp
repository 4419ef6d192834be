#include "platform/compress.h"

#include <doctest/doctest.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <random>
#include <string>

using namespace hf;

namespace {

std::string gunzip(const std::string& bytes) {
  z_stream stream = {};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);  // gzip's frame alone
  std::string out;
  char room[8192];
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int code = Z_OK;
  while (code == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(room);
    stream.avail_out = sizeof room;
    code = inflate(&stream, Z_NO_FLUSH);
    out.append(room, sizeof room - stream.avail_out);
  }
  CHECK(code == Z_STREAM_END);
  CHECK(stream.avail_in == 0);  // nothing after it
  inflateEnd(&stream);
  return out;
}

std::string unzstd(const std::string& bytes) {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  REQUIRE(context != nullptr);
  std::string out;
  char room[8192];
  ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
  size_t left = 1;
  for (bool full = false; in.pos < in.size || full;) {
    ZSTD_outBuffer buffer = {room, sizeof room, 0};
    left = ZSTD_decompressStream(context, &buffer, &in);
    REQUIRE_FALSE(ZSTD_isError(left));
    out.append(room, buffer.pos);
    full = buffer.pos == sizeof room;
  }
  CHECK(left == 0);  // one frame, whole
  ZSTD_freeDCtx(context);
  return out;
}

// `step`: bytes that are given at once.
std::string compressed(Encoding encoding, std::string_view bytes, size_t step) {
  const auto compressor = Compressor::make(encoding);
  std::string out;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) compressor->add(bytes.substr(0, step), &out);
  compressor->finish(&out);
  return out;
}

std::string noise(size_t size) {
  std::mt19937 random(1);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

std::string lines(int count) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += R"({"key":"gw-0042-)" + std::to_string(i) + R"(","id":)" + std::to_string(i) + R"(,"type":"report","queue":"default","attempt":1,"result":{"t":)" +
           std::to_string(i * 37 % 101) + "}}\n";
  return out;
}

}  // namespace

TEST_SUITE("compress") {
  TEST_CASE("what comes out is what went in, in whatever pieces") {
    for (const std::string& text : {std::string(), std::string("x"), lines(3), lines(5000), noise(100'000), std::string(3'000'000, 'a')}) {
      for (const size_t step : {size_t{100}, size_t{4096}, text.size() + 1}) {
        if (text.size() / step > 5000) continue;
        CAPTURE(text.size());
        CAPTURE(step);
        CHECK(gunzip(compressed(Encoding::gzip, text, step)) == text);
        CHECK(unzstd(compressed(Encoding::zstd, text, step)) == text);
      }
    }
  }

  TEST_CASE("lines get small, and what cannot does not grow") {
    const std::string hundred = lines(100), random = noise(1 << 20);
    for (const Encoding encoding : {Encoding::gzip, Encoding::zstd}) {
      CAPTURE(encoding_name(encoding));
      CHECK(compressed(encoding, hundred, 200).size() < hundred.size() / 9);
      CHECK(compressed(encoding, random, 1 << 16).size() < random.size() + random.size() / 500);
    }
  }

  TEST_CASE("the same bytes give the same bytes: a signature of them is the same") {
    for (const Encoding encoding : {Encoding::gzip, Encoding::zstd})
      CHECK(compressed(encoding, lines(50), 1000) == compressed(encoding, lines(50), 1000));
  }
}
