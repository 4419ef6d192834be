// How a file gets to a server, as questions and answers, without I/O: what to send next, and what the answer means.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/requests.h"
#include "platform/net/http_message.h"

namespace hf {

// Constant while a file is uploaded.
struct UploadFile {
  Url url;               // of the sink
  std::string peer;      // for messages
  std::string path;      // below the folder
  std::string metadata;  // Upload-Metadata
  std::string content_type;
  std::string key;       // idempotency key of the job
  std::string sum;       // SHA-256 of the whole, 32 bytes; "": no checksums
  int64_t size = 0;
  int64_t chunk = 0;     // bytes a request, at most
};

struct UploadAsk {
  std::string method;
  Url url;
  HttpHeaders headers;
  int64_t from = 0, size = 0;  // the part of the file that is the body; size 0: none
  // The checksum of that part goes along: in this header, between these two; "": it does not.
  std::string sum_header, sum_before, sum_after;
};

enum class Heard : uint8_t {
  go_on,      // ask next()
  done,       // the server has all of it
  not_stored, // ask next(), but the server did not take what was sent: the wrong place, a broken checksum, or the upload is gone
  failed,     // UploadProtocol::trouble() says how the run ends
  unknown,    // it is like any other answer: http_outcome()
};

// Owned by one upload.
class UploadProtocol {
 public:
  virtual ~UploadProtocol() = default;
  virtual UploadAsk next() = 0;
  virtual Heard heard(const HttpResponse& response) = 0;
  // No whole answer came to what was asked. False: nothing can be asked about it, all begins anew with the next attempt.
  virtual bool broke() = 0;
  virtual int64_t offset() const = 0;  // bytes that the server has, as far as it said
  // What is to be remembered once an upload is begun; "" if the offset can be asked for without.
  virtual std::string place() const { return {}; }
  virtual int made() const { return 0; }  // uploads begun
  const RunEnded& trouble() const { return trouble_; }

 protected:
  Heard fail(Outcome outcome, std::string text, bool park = false) {
    trouble_.outcome = outcome;
    trouble_.error = std::move(text);
    trouble_.park_runner = park;
    return Heard::failed;
  }

 private:
  RunEnded trouble_;
};

// What is known of a tus server, since the configuration was applied: asked for once.
struct TusServer {
  bool asked = false;
  bool sha256 = false;    // takes Upload-Checksum: sha256
  int64_t max_size = -1;  // -1: not said
};
// `url`, `made`: of an upload that was begun before, or "" and 0. `server` outlives it.
std::unique_ptr<UploadProtocol> make_tus(UploadFile file, TusServer& server, const std::string& url, int made);
// `begun`: perhaps the server has some of it. `made`: as of make_tus.
std::unique_ptr<UploadProtocol> make_range(UploadFile file, bool begun, int made);
std::unique_ptr<UploadProtocol> make_put(UploadFile file);

// `url`, or if its path ends with "/" that of the file in it: each byte but letters, digits and "-._~/" percent-encoded.
Url url_of_file(Url url, const std::string& path);
// Repr-Digest, RFC 9530.
std::string digest_field(std::string_view sum);
// A whole number of bytes, as headers say it; -1 if it is none.
int64_t header_bytes(const HttpHeaders& headers, std::string_view name);

}  // namespace hf
