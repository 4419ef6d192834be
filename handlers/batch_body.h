// What a request to a sink carries: docs/delivery.md, "A sink".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/requests.h"
#include "platform/compress.h"
#include "platform/net/http_message.h"

namespace hf {

enum class BatchFormat : uint8_t {
  ndjson,  // a line a job
  json,    // one array of the same objects
  raw,     // the result of one job as it is; the rest of a line is in headers
};

// A body below this is sent as it is: it would not get smaller by what a packet costs.
inline constexpr size_t kCompressFrom = 512;
// What a step encodes, about: a fifth of a millisecond uncompressed, one with gzip (3 on a small ARM).
inline constexpr size_t kBodyStep = 32 * 1024;

// The body of one request, made step by step so that a large one does not hold up the loop. Loop thread.
class BatchBody {
 public:
  BatchBody(BatchFormat format, Encoding encoding) : format_(format), wanted_(encoding) {}

  // Encodes some more of `jobs`; true: the body is complete. Throws std::bad_alloc: the body is of no use then. REQUIRES: the
  // same jobs each time, one alone for raw; the step before returned false.
  bool step(const std::vector<RunJob>& jobs);

  // Once it is complete. Content-Encoding, and of raw what a line says beside the result.
  void add_headers(const std::vector<RunJob>& jobs, HttpHeaders* headers) const;
  std::string_view content_type() const { return content_type_; }
  Encoding encoding() const { return compressor_ ? wanted_ : Encoding::none; }
  std::string take() { return std::move(body_); }

 private:
  std::string next_piece(const std::vector<RunJob>& jobs);
  void put(std::string_view bytes);
  void finish();

  BatchFormat format_;
  Encoding wanted_;
  std::string_view content_type_;
  std::unique_ptr<Compressor> compressor_;  // from kCompressFrom bytes on
  std::string body_;
  std::string piece_;      // of the job that is being encoded
  size_t piece_done_ = 0;  // bytes of it that are in body_ or the compressor
  size_t next_ = 0;        // of jobs
};

// `text` as a header carries it: what is not visible ASCII, and '%', as %XX of its UTF-8 bytes.
std::string header_text(std::string_view text);

}  // namespace hf
