#include "handlers/batch_body.h"

#include <algorithm>
#include <cassert>

#include "core/names.h"
#include "core/units.h"
#include "handlers/ndjson.h"

namespace hf {

bool BatchBody::step(const std::vector<RunJob>& jobs) {
  for (size_t room = kBodyStep; room > 0;) {
    if (piece_done_ == piece_.size()) {
      if (next_ == jobs.size()) {
        finish();
        return true;
      }
      piece_ = next_piece(jobs);
      piece_done_ = 0;
      ++next_;
    }
    const std::string_view some = std::string_view(piece_).substr(piece_done_, room);
    put(some);
    piece_done_ += some.size();
    room -= some.size();
    if (some.empty()) --room;  // an empty result
  }
  return false;
}

std::string BatchBody::next_piece(const std::vector<RunJob>& jobs) {
  const RunJob& job = jobs[next_];
  switch (format_) {
    case BatchFormat::ndjson: content_type_ = "application/x-ndjson"; return ndjson_line(job);
    case BatchFormat::json: {
      content_type_ = "application/json";
      std::string object = (next_ == 0 ? "[" : ",") + json_object(job);
      if (next_ + 1 == jobs.size()) object += ']';
      return object;
    }
    case BatchFormat::raw: break;
  }
  assert(jobs.size() == 1);
  content_type_ = !json_without_blanks(job.bytes).empty() ? "application/json"
                  : valid_utf8(job.bytes)                 ? "text/plain; charset=utf-8"
                                                          : "application/octet-stream";
  return job.bytes;
}

void BatchBody::put(std::string_view bytes) {
  if (compressor_) return compressor_->add(bytes, &body_);
  if (wanted_ == Encoding::none || body_.size() + bytes.size() < kCompressFrom) {
    body_ += bytes;
    return;
  }
  compressor_ = Compressor::make(wanted_);
  std::string out;
  compressor_->add(body_, &out);
  compressor_->add(bytes, &out);
  body_ = std::move(out);
}

void BatchBody::finish() {
  if (compressor_) compressor_->finish(&body_);
  piece_ = {};  // the request may be on its way for long
}

void BatchBody::add_headers(const std::vector<RunJob>& jobs, HttpHeaders* headers) const {
  if (encoding() != Encoding::none) headers->add("Content-Encoding", encoding_name(encoding()));
  if (format_ != BatchFormat::raw) return;
  const RunJob& job = jobs[0];
  headers->add("Holdfast-Job-Id", std::to_string(job.id));
  headers->add("Holdfast-Type", job.type);
  headers->add("Holdfast-Queue", job.queue);
  headers->add("Holdfast-Created", format_time(job.created_wall_ms));
  headers->add("Holdfast-Attempt", std::to_string(job.attempt));
  if (job.sequence != 0) headers->add("Holdfast-Sequence", std::to_string(job.sequence));
  if (job.occurrence_wall_ms != 0) headers->add("Holdfast-Occurrence", format_time(job.occurrence_wall_ms));
  if (!job.schedule.empty()) headers->add("Holdfast-Schedule", job.schedule);
  if (!job.tags.empty()) headers->add("Holdfast-Tags", header_text(job.tags));
}

std::string header_text(std::string_view text) {
  return percent_encode(text, "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~");  // not the blank: one at an end would be lost
}

}  // namespace hf
