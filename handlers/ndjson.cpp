#include "handlers/ndjson.h"

#include <nlohmann/json.hpp>

#include "core/names.h"
#include "core/units.h"
#include "platform/json_spec.h"
#include "platform/json_tree.h"

namespace hf {

std::string json_without_blanks(std::string_view text) {
  // The parser takes a NUL for the end and skips a byte order mark: neither is JSON.
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xef\xbb\xbf") ||
      !nlohmann::ordered_json::accept(text)) {
    return "";
  }
  std::string compact;
  compact.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') compact += text[i++];  // what follows is no end of the string
    if (c == '"') in_string = !in_string;
    if (in_string || (c != ' ' && c != '\t' && c != '\n' && c != '\r')) compact += text[i];
  }
  return compact;
}

std::string json_object(const RunJob& job, std::string_view bytes_name) {
  std::string line = "{\"key\":" + json_string(job.key.text()) + ",\"id\":" + std::to_string(job.id) +
                     ",\"type\":" + json_string(job.type) + ",\"queue\":" + json_string(job.queue) +
                     ",\"created_at\":\"" + format_time(job.created_wall_ms) +
                     "\",\"attempt\":" + std::to_string(job.attempt);
  if (job.sequence != 0) line += ",\"sequence\":" + std::to_string(job.sequence);
  if (job.occurrence_wall_ms != 0)
    line += ",\"occurrence\":\"" + format_time(job.occurrence_wall_ms) + "\"";
  if (!job.schedule.empty()) line += ",\"schedule\":" + json_string(job.schedule);
  if (!job.tags.empty()) line += ",\"tags\":" + json_string(job.tags);
  const std::string json = json_without_blanks(job.bytes);
  line += ",\"" + std::string(bytes_name);
  if (job.bytes.empty()) {
    line += "\":null";
  } else if (!json.empty()) {
    line += "\":" + json;
  } else if (valid_utf8(job.bytes)) {
    line += "_text\":" + json_string(job.bytes);
  } else {
    line += "_base64\":\"" + base64_encode(job.bytes) + "\"";
  }
  return line += '}';
}

std::string ndjson_line(const RunJob& job) {
  return json_object(job) += '\n';
}

}  // namespace hf
