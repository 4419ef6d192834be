// tus 1.0: https://tus.io/protocols/resumable-upload
#include <algorithm>
#include <utility>

#include "core/units.h"
#include "handlers/upload_job.h"
#include "handlers/upload_protocol.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

bool gone(int status) { return status == 403 || status == 404 || status == 410; }

class Tus : public UploadProtocol {
 public:
  Tus(UploadFile file, TusServer& server, const std::string& url, int made) : file_(std::move(file)), server_(server), made_(made) {
    const Result<Url> known = url.empty() ? Error{} : parse_url(url);
    if (known && known->same_origin(file_.url)) {
      upload_ = *known;
      step_ = Step::head;
    } else {
      create();
    }
  }

  UploadAsk next() override;
  Heard heard(const HttpResponse& response) override;
  bool broke() override {
    if (step_ == Step::patch) step_ = Step::head;
    return true;
  }
  int64_t offset() const override { return offset_; }
  std::string place() const override { return upload_.host.empty() ? std::string() : upload_.text(); }
  int made() const override { return made_; }

 private:
  enum class Step : uint8_t { options, post, head, patch };

  void create() {
    upload_ = {};
    offset_ = 0;
    step_ = !file_.sum.empty() && !server_.asked ? Step::options : Step::post;
  }
  Heard lost() {
    ++made_;
    create();
    return Heard::not_stored;
  }
  Heard heard_options(const HttpResponse& response);
  Heard created(const HttpResponse& response);
  Heard heard_head(const HttpResponse& response);
  Heard heard_patch(const HttpResponse& response);
  Heard is_at(int64_t offset) {
    offset_ = offset;
    step_ = Step::patch;
    return offset_ == file_.size ? Heard::done : Heard::go_on;
  }

  const UploadFile file_;
  TusServer& server_;
  Url upload_;  // no host: not made yet
  int made_;
  Step step_ = Step::post;
  int64_t offset_ = 0;
  int64_t sent_ = 0;  // bytes of the last PATCH
};

UploadAsk Tus::next() {
  UploadAsk ask;
  ask.url = step_ == Step::options || step_ == Step::post ? file_.url : upload_;
  if (step_ == Step::options) {
    ask.method = "OPTIONS";
    return ask;
  }
  ask.headers.add("Tus-Resumable", "1.0.0");
  switch (step_) {
    case Step::post:
      ask.method = "POST";
      // The same until the upload is known to be gone: if its Location was lost on the way, a server that keeps keys gives
      // the same one again.
      ask.headers.add("Idempotency-Key", file_.key + (made_ == 0 ? "" : "-" + std::to_string(made_)));
      ask.headers.add("Upload-Length", std::to_string(file_.size));
      ask.headers.add("Upload-Metadata", file_.metadata);
      break;
    case Step::head:
      ask.method = "HEAD";
      ask.headers.add("Cache-Control", "no-store");
      break;
    default:
      ask.method = "PATCH";
      ask.headers.add("Content-Type", "application/offset+octet-stream");
      ask.headers.add("Upload-Offset", std::to_string(offset_));
      ask.from = offset_;
      ask.size = sent_ = std::min(file_.chunk, file_.size - offset_);
      if (server_.sha256 && !file_.sum.empty()) ask.sum_header = "Upload-Checksum", ask.sum_before = "sha256 ";
      break;
  }
  return ask;
}

Heard Tus::heard(const HttpResponse& response) {
  if (response.status == 412) return fail(Outcome::dead, file_.peer + " does not speak tus 1.0.0 (HTTP 412)");
  if (response.status == 423) return fail(Outcome::retry, file_.peer + " says that the upload is locked (HTTP 423): a request that broke off may still hold it");
  switch (step_) {
    case Step::options: return heard_options(response);
    case Step::post: return created(response);
    case Step::head: return heard_head(response);
    default: return heard_patch(response);
  }
}

// A server that does not answer it has no extensions that are of use here.
Heard Tus::heard_options(const HttpResponse& response) {
  server_.asked = true;
  if (response.status >= 200 && response.status < 300) {
    std::string list = "," + std::string(response.headers.get("Tus-Checksum-Algorithm")) + ",";
    list.erase(std::remove(list.begin(), list.end(), ' '), list.end());
    server_.sha256 = list.find(",sha256,") != std::string::npos;
    server_.max_size = header_bytes(response.headers, "Tus-Max-Size");
  }
  step_ = Step::post;
  if (server_.max_size < 0 || file_.size <= server_.max_size) return Heard::go_on;
  return fail(Outcome::dead, "the file has " + format_size_human(file_.size) + "; " + file_.peer + " takes " + format_size_human(server_.max_size) + " at most (Tus-Max-Size)");
}

Heard Tus::created(const HttpResponse& response) {
  if (response.status < 200 || response.status >= 300) return Heard::unknown;
  const std::string* location = response.headers.find("Location");
  const std::string what = file_.peer + " made an upload, ";
  if (location == nullptr) return fail(Outcome::retry, what + "and did not say where: there is no Location");
  const Result<Url> url = resolve_reference(file_.url, *location);
  if (!url) return fail(Outcome::retry, what + "and its Location is no URL: " + url.error().message);
  if (!url->same_origin(file_.url)) {
    // What the operators of the server can mend, as the certificate of one.
    return fail(Outcome::defer, what + "but at another place, " + (url->https ? "https://" : "http://") + url->host_port() +
                    ", where nothing is sent: does the server know its public address (X-Forwarded-Host, X-Forwarded-Proto)?", true);
  }
  if (url->text().size() > kUploadUrlMax) return fail(Outcome::dead, what + "whose URL is longer than " + std::to_string(kUploadUrlMax) + " bytes");
  upload_ = *url;
  return is_at(0);
}

Heard Tus::heard_head(const HttpResponse& response) {
  if (gone(response.status)) return lost();
  if (response.status < 200 || response.status >= 300) return Heard::unknown;
  const int64_t offset = header_bytes(response.headers, "Upload-Offset");
  const int64_t length = header_bytes(response.headers, "Upload-Length");
  // Another file's, by a repeated key.
  if (offset > file_.size || (length >= 0 && length != file_.size)) return lost();
  if (offset < 0) return fail(Outcome::retry, file_.peer + " does not say how much of the upload it has: there is no Upload-Offset");
  return is_at(offset);
}

Heard Tus::heard_patch(const HttpResponse& response) {
  if (gone(response.status)) return lost();
  if (response.status == 409) return step_ = Step::head, Heard::not_stored;
  if (response.status == 460) return step_ = Step::head, Heard::not_stored;  // the checksum was wrong: what came was thrown away
  if (response.status < 200 || response.status >= 300) return Heard::unknown;
  const int64_t offset = header_bytes(response.headers, "Upload-Offset");
  if (offset <= offset_ || offset > offset_ + sent_) return step_ = Step::head, Heard::not_stored;
  return is_at(offset);
}

}  // namespace

std::unique_ptr<UploadProtocol> make_tus(UploadFile file, TusServer& server, const std::string& url, int made) {
  return std::make_unique<Tus>(std::move(file), server, url, made);
}

}  // namespace hf
