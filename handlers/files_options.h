// How a sink uploads files: docs/delivery.md, "Files".
#pragma once

#include <cstdint>
#include <string>

namespace hf {

enum class UploadKind : uint8_t { tus, range, put };
inline constexpr int64_t kUploadChunkMin = 64 << 10, kUploadChunkDefault = 4 << 20, kUploadChunkMax = 1 << 30;

struct FilesOptions {
  std::string root;  // "": the sink takes results, no files
  UploadKind protocol = UploadKind::tus;
  int64_t chunk = kUploadChunkDefault;  // bytes a request; `put` sends all at once
  bool delete_after = false;
  bool checksum = true;
  bool operator==(const FilesOptions&) const = default;
};

}  // namespace hf
