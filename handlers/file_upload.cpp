#include "handlers/file_upload.h"

#include <cassert>
#include <utility>

#include "core/names.h"
#include "handlers/error_text.h"
#include "handlers/http_outcome.h"
#include "platform/json_spec.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr size_t kAnswerMax = 4096;  // bytes of an answer that are read: an error's text

RunEnded ended_as(Outcome outcome, std::string text, bool park = false) {
  RunEnded ended;
  ended.outcome = outcome;
  ended.error = printable(text);
  ended.park_runner = park;
  return ended;
}

}  // namespace

FileUpload::FileUpload(UploadShared& shared, RunJob job, int64_t timeout_ms, EndFn end)
    : shared_(shared), job_(std::move(job)), timeout_ms_(timeout_ms), end_(std::move(end)),
      disk_(shared.loop, shared.handles, shared.disk), sum_(shared.loop, shared.handles, shared.disk) {}

// Memory may run out anywhere in `f`: then the run ends, and comes again.
template <class F>
void FileUpload::step(F f) noexcept {
  if (!guarded(f)) end(ended_without_memory());
}

// ---- the file

void FileUpload::start() {
  const Result<UploadJob> job = parse_upload_job(job_);
  if (!job) {  // told as if the disk had said it: not within this call
    RunEnded dead = ended_as(Outcome::dead, job.error().message);
    disk_.start<char>([] { return Result<char>('\0'); }, [this, dead = std::move(dead)](const Result<char>&) { end(dead); });
    return;
  }
  upload_ = *job;
  disk_.start<std::shared_ptr<const OutboxFile>>(
      [folder = OutboxFolder(shared_.options.root), path = upload_.path] { return folder.open(path); },
      [this](Result<std::shared_ptr<const OutboxFile>> file) { step([&] { opened(std::move(file)); }); });
}

void FileUpload::opened(Result<std::shared_ptr<const OutboxFile>> file) {
  if (!file) return file_failed(file.error());
  file_ = std::move(*file);
  told_ = job_.memo;
  memo_ = decode_memo(job_.memo);
  if (!memo_.is_of(file_->state())) {
    // The file is another one than before: so is its upload.
    const int made = memo_.size >= 0 ? memo_.made + 1 : 0;
    memo_ = {};
    memo_.size = file_->state().size;
    memo_.mtime_ns = file_->state().mtime_ns;
    memo_.made = made;
    told_.clear();
  }
  if (!shared_.options.checksum || !memo_.sum.empty()) return begin();
  sum_.start(file_, 0, memo_.size, [this](Result<std::string> sum) {
    step([&] {
      if (!sum) return file_failed(sum.error());
      memo_.sum = std::move(*sum);
      begin();
    });
  });
}

void FileUpload::file_failed(const Error& error) {
  switch (error.code) {
    case HF_E_STATE: return end(ended_as(Outcome::defer, error.message, true));
    case HF_E_CONFLICT: return end(ended_as(Outcome::retry, "\"" + upload_.path + "\": " + error.message + ": it is sent anew"));
    case HF_E_IO: case HF_E_BUSY: case HF_E_DENIED: return end(ended_as(Outcome::retry, error.message));
    case HF_E_NO_MEMORY: return end(ended_without_memory());
    default: return end(ended_as(Outcome::dead, error.message));
  }
}

// ---- the upload

void FileUpload::begin() {
  const FilesOptions& options = shared_.options;
  UploadFile file;
  file.url = shared_.peer.url();
  file.peer = shared_.peer.name();
  file.path = upload_.path;
  file.metadata = upload_.metadata;
  file.content_type = upload_.content_type;
  file.key = job_.key.text();
  file.size = memo_.size;
  file.chunk = options.chunk;
  if (options.checksum) {
    file.sum = memo_.sum;
    file.metadata += ",sha256 " + base64_encode(hex(memo_.sum));
  }
  switch (options.protocol) {
    case UploadKind::tus: protocol_ = make_tus(std::move(file), shared_.tus, memo_.url, memo_.made); break;
    case UploadKind::range: protocol_ = make_range(std::move(file), !told_.empty(), memo_.made); break;
    case UploadKind::put: protocol_ = make_put(std::move(file)); break;
  }
  ask_next();
}

void FileUpload::remember() {
  if (protocol_->made() != memo_.made && protocol_->made() <= kUploadsAnewMax) memo_.best = 0;
  memo_.url = protocol_->place();
  memo_.made = protocol_->made();
  std::string text = encode_memo(memo_);
  if (text == told_) return;
  shared_.tell(Remember{job_.id, job_.attempt, job_.run, text});
  told_ = std::move(text);
}

void FileUpload::ask_next() {
  if (stopped_) return end(ended_by_stop(*stopped_, timeout_ms_));
  ask_ = protocol_->next();
  // From here on the server may have some of it.
  const bool begun = told_.empty() || protocol_->place() != memo_.url || protocol_->made() != memo_.made;
  if (begun && ask_.size > 0 && shared_.options.protocol != UploadKind::put) remember();
  if (ask_.sum_header.empty()) return send({});
  sum_.start(file_, ask_.from, ask_.size, [this](Result<std::string> sum) {
    step([&] {
      if (!sum) return file_failed(sum.error());
      send(*sum);
    });
  });
}

void FileUpload::send(const std::string& sum) {
  HttpRequest request;
  request.method = ask_.method;
  request.url = ask_.url;
  request.headers = ask_.headers;
  if (!sum.empty()) request.headers.add(ask_.sum_header, ask_.sum_before + base64_encode(sum) + ask_.sum_after);
  request.headers.add("Holdfast-Job-Id", std::to_string(job_.id));
  request.headers.add("Holdfast-Attempt", std::to_string(job_.attempt));
  request.limits.max_body_bytes = kAnswerMax;
  request.deadlines = shared_.peer.deadlines(-1);
  request.deadlines.whole_ms = kUploadRequestMs;
  body_.reset();
  if (ask_.size > 0) {
    body_ = std::make_shared<FileBody>(shared_.loop, shared_.handles, shared_.disk, file_, ask_.from, ask_.size);
    request.streamed = body_;
    request.deadlines.first_byte_ms = kUploadAnswerMs;
    request.deadlines.whole_ms += kUploadAnswerMs + ask_.size / kUploadMinRate * 1000;
  }
  request_ = shared_.peer.send(std::move(request), [this](const HttpResult& result) {
    request_ = 0;
    asking_ = false;
    step([&] { answered(result); });
  });
  asking_ = true;  // without memory send() throws, and owes nothing
}

void FileUpload::answered(const HttpResult& result) {
  const bool first = wire_bytes_ == 0;
  wire_bytes_ += result.wire_bytes;
  if (result.sent) taken_ += ask_.size;
  if (result.error.kind == NetErrorKind::kCanceled) {
    if (!stopped_) return end(http_outcome(result, shared_.peer.url(), Asker::sink));
    return end(first ? stopped_outcome(result, shared_.peer.url(), *stopped_, timeout_ms_) : ended_by_stop(*stopped_, timeout_ms_));
  }
  if (!result.ok() && body_ && body_->failure()) return file_failed(*body_->failure());
  heard(result);
}

void FileUpload::heard(const HttpResult& result) {
  RunEnded how = http_outcome(result, shared_.peer.url(), Asker::sink);
  if (!result.ok()) {
    const bool can_ask = how.outcome == Outcome::retry && protocol_->broke();
    return can_ask ? stalled(std::move(how)) : give_back(std::move(how));
  }
  if (how.park_runner) return give_back(std::move(how));  // a captive portal, say: it says nothing of the upload
  const Heard what = protocol_->heard(result.response);
  if (what == Heard::go_on || what == Heard::done) {
    if (protocol_->offset() > memo_.best) {
      memo_.best = protocol_->offset();
      moved_ = true;
      stalls_ = 0;
    }
  }
  switch (what) {
    case Heard::go_on: {
      const int percent = memo_.size == 0 ? 0 : static_cast<int>(protocol_->offset() * 100 / memo_.size);  // of a TiB at most
      if (percent != percent_) shared_.tell(Progress{job_.id, job_.attempt, percent, upload_.path});
      percent_ = percent;
      // Without a byte more it goes on: the budget is not asked, but that ends soon, and with an attempt.
      if (shared_.slice > 0 && taken_ >= shared_.slice && moved_) return give_back(slice_done());
      return ask_next();
    }
    case Heard::done: {
      std::optional<FileState> deleted;
      if (shared_.options.delete_after) deleted = file_->state();
      RunEnded done;
      done.durable = deleted.has_value();
      return end(std::move(done), deleted);
    }
    case Heard::not_stored: return stalled(ended_as(Outcome::retry, how.outcome == Outcome::done ? shared_.peer.name() + " stored nothing of what was sent" : how.error));
    case Heard::failed: return give_back(ended_as(protocol_->trouble().outcome, protocol_->trouble().error, protocol_->trouble().park_runner));
    case Heard::unknown: return give_back(std::move(how));
  }
}

RunEnded FileUpload::slice_done() const {
  RunEnded how = ended_as(Outcome::defer, std::to_string(protocol_->offset()) + " of " + std::to_string(memo_.size) + " bytes of " + upload_.path + " are there; it goes on");
  how.retry_after_ms = 0;
  return how;
}

void FileUpload::stalled(RunEnded how) {
  if (++stalls_ > kUploadStallsMax) return give_back(std::move(how));
  ask_next();
}

// A run that got on has not failed.
void FileUpload::give_back(RunEnded how) {
  if (moved_) {
    remember();
    if (how.outcome == Outcome::retry) how.outcome = Outcome::defer;
  }
  end(std::move(how));
}

void FileUpload::stop(StopReason reason) {
  if (!stopped_) stopped_ = reason;
  // If its answer is there already, that counts.
  if (asking_) return void(shared_.peer.cancel(request_));
  end(ended_by_stop(reason, timeout_ms_));
}

void FileUpload::end(RunEnded how, std::optional<FileState> file) noexcept {
  disk_.stop();
  sum_.stop();
  assert(!asking_);
  how.wire_bytes = wire_bytes_;
  const EndFn end = std::exchange(end_, nullptr);
  const Fence fence = fence_of(job_);
  end(with_fence(std::move(how), fence), std::move(upload_.path), file);  // *this may be gone
}

}  // namespace hf
