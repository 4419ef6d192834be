// What a job says of the file that is to be uploaded, and what is remembered of an upload between its attempts. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/requests.h"
#include "core/result.h"
#include "platform/files/outbox_folder.h"

namespace hf {

inline constexpr size_t kUploadMetadataMax = 4096;  // bytes of the header
inline constexpr size_t kUploadUrlMax = 1500;       // of an upload's own URL: it is kept in the memo

struct UploadJob {
  std::string path;      // below the folder of the sink
  std::string name;      // its last part, or what the job says is its "filename"
  std::string content_type = "application/octet-stream";  // or its "filetype"
  std::string metadata;  // "filename d29y...,key Z3ct...": tus 1.0, Upload-Metadata
};

// Of a result like {"file": "clips/7.mp4", "filetype": "video/mp4", "camera": 3}: all members but "file" go along, texts as they
// are and other values as JSON; those whose names are ours (job, key, type, tags, ...) do not. HF_E_INVALID, HF_E_TOO_LARGE.
Result<UploadJob> parse_upload_job(const RunJob& job);

// Kept as RunJob::memo.
struct UploadMemo {
  int64_t size = -1, mtime_ns = 0;  // of the file that it is about; -1: there was none
  std::string sum;                  // its SHA-256, 32 bytes; "": not known
  std::string url;                  // tus: of the upload
  int made = 0;                     // so many uploads of this file were begun
  int64_t best = 0;                 // bytes that the server has had of it, at most
  // Inodes are not compared: some file systems number them anew at each mount.
  bool is_of(const FileState& file) const { return size == file.size && mtime_ns == file.mtime_ns; }
  bool operator==(const UploadMemo&) const = default;
};
std::string encode_memo(const UploadMemo& memo);
UploadMemo decode_memo(std::string_view text);  // of another text: a memo of no file

}  // namespace hf
