// Uploads by PUT: of the whole at once, or of ranges, as many object stores resume them.
#include <algorithm>
#include <utility>

#include "core/names.h"
#include "handlers/upload_protocol.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

void add_metadata(UploadAsk& ask, const UploadFile& file) {
  ask.headers.add("Content-Type", file.content_type);
  ask.headers.add("Upload-Metadata", file.metadata);
  if (!file.sum.empty()) ask.headers.add("Repr-Digest", digest_field(file.sum));
}

class Put : public UploadProtocol {
 public:
  explicit Put(UploadFile file) : file_(std::move(file)) {}

  UploadAsk next() override {
    UploadAsk ask;
    ask.method = "PUT";
    ask.url = url_of_file(file_.url, file_.path);
    ask.headers.add("Idempotency-Key", file_.key);
    add_metadata(ask, file_);
    ask.size = file_.size;
    return ask;
  }
  Heard heard(const HttpResponse& response) override {
    return response.status >= 200 && response.status < 300 ? Heard::done : Heard::unknown;
  }
  bool broke() override { return false; }
  int64_t offset() const override { return 0; }

 private:
  const UploadFile file_;
};

class Range : public UploadProtocol {
 public:
  Range(UploadFile file, bool begun, int made) : file_(std::move(file)), ask_(begun), made_(made) {}

  UploadAsk next() override;
  Heard heard(const HttpResponse& response) override;
  bool broke() override { return ask_ = true; }
  int64_t offset() const override { return offset_; }
  int made() const override { return made_; }

 private:
  Heard heard_offset(const HttpResponse& response);

  const UploadFile file_;
  bool ask_;  // where it has got to
  int made_;
  int64_t offset_ = 0, sent_ = 0;
};

UploadAsk Range::next() {
  UploadAsk ask;
  ask.method = "PUT";
  ask.url = url_of_file(file_.url, file_.path);
  const std::string of_all = "/" + std::to_string(file_.size);
  if (ask_) {
    ask.headers.add("Content-Range", "bytes */" + std::to_string(file_.size));
    return ask;
  }
  sent_ = std::min(file_.chunk, file_.size - offset_);
  // Never the same for other bytes: those of an upload that was lost, or of a file that has changed, are not taken for stored.
  ask.headers.add("Idempotency-Key", file_.key + "-" + std::to_string(offset_) + (made_ == 0 ? "" : "-" + std::to_string(made_)));
  if (sent_ > 0) ask.headers.add("Content-Range", "bytes " + std::to_string(offset_) + "-" + std::to_string(offset_ + sent_ - 1) + of_all);
  add_metadata(ask, file_);
  if (!file_.sum.empty() && sent_ > 0) ask.sum_header = "Content-Digest", ask.sum_before = "sha-256=:", ask.sum_after = ":";
  ask.from = offset_;
  ask.size = sent_;
  return ask;
}

Heard Range::heard(const HttpResponse& response) {
  const bool incomplete = response.status == 308 && response.headers.find("Location") == nullptr;  // else it is a redirect
  const bool stored = response.status >= 200 && response.status < 300;
  if (ask_) {
    if (stored) return offset_ = file_.size, Heard::done;
    if (incomplete) return heard_offset(response);
    if (response.status != 404 && response.status != 410) return Heard::unknown;
    ask_ = false;
    offset_ = 0;
    ++made_;
    return Heard::not_stored;
  }
  if (incomplete) return heard_offset(response);
  // 416: it has another part than we think.
  if (response.status == 409 || response.status == 416) return ask_ = true, Heard::not_stored;
  if (!stored) return Heard::unknown;
  offset_ += sent_;
  return offset_ == file_.size ? Heard::done : Heard::go_on;
}

// "Range: bytes=0-524287"; without it the server has nothing.
Heard Range::heard_offset(const HttpResponse& response) {
  const std::string range(response.headers.get("Range"));
  constexpr std::string_view kFirst = "bytes=0-";
  HttpHeaders last;
  if (range.starts_with(kFirst)) last.add("Last", range.substr(kFirst.size()));
  const int64_t end = range.empty() ? 0 : header_bytes(last, "Last") + 1;
  if ((end == 0 && !range.empty()) || end > file_.size)
    return fail(Outcome::retry, file_.peer + " answers with a Range that is none of this file");
  if (!ask_ && end > offset_ + sent_)
    return fail(Outcome::retry, file_.peer + " says that it has more than was sent to it: what it has is another file");
  const bool stored = ask_ || end > offset_;
  ask_ = false;
  offset_ = end;
  if (offset_ == file_.size) return Heard::done;
  return stored ? Heard::go_on : Heard::not_stored;
}

}  // namespace

std::unique_ptr<UploadProtocol> make_put(UploadFile file) { return std::make_unique<Put>(std::move(file)); }
std::unique_ptr<UploadProtocol> make_range(UploadFile file, bool begun, int made) { return std::make_unique<Range>(std::move(file), begun, made); }

Url url_of_file(Url url, const std::string& path) {
  if (url.target.ends_with('/')) url.target += percent_encode(path, "-._~/");
  return url;
}

std::string digest_field(std::string_view sum) { return "sha-256=:" + base64_encode(sum) + ":"; }

int64_t header_bytes(const HttpHeaders& headers, std::string_view name) {
  const std::string_view text = headers.get(name);
  if (text.empty() || text.size() > 18 || !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) return -1;
  int64_t value = 0;
  for (const char c : text) value = value * 10 + (c - '0');
  return value;
}

}  // namespace hf
