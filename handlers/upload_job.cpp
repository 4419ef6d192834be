#include "handlers/upload_job.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/names.h"
#include "platform/json_spec.h"
#include "platform/json_text.h"
#include "platform/json_tree.h"

namespace hf {
namespace {

constexpr std::string_view kOurs[] = {"key", "job", "type", "queue", "tags", "schedule", "sha256"};

// tus 1.0: ASCII, no blanks, no commas, not empty.
bool is_metadata_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != ','; });
}

// The memo is between us and ourselves: what is not as we write it counts as none.
int64_t number_of(const JsonNode& object, std::string_view name) {
  const JsonNode* node = object.find(name, JsonNode::Kind::integer);
  return node != nullptr ? node->integer : -1;
}
std::string text_of(const JsonNode& object, std::string_view name) {
  const JsonNode* node = object.find(name, JsonNode::Kind::string);
  return node != nullptr ? node->text : std::string();
}

}  // namespace

Result<UploadJob> parse_upload_job(const RunJob& job) {
  const Error no_file{HF_E_INVALID, "the result names no file: expected a JSON object like {\"file\": \"a/b.bin\"}"};
  const Result<JsonNode> node = parse_json(job.bytes);
  if (!node || node->kind != JsonNode::Kind::object) return no_file;
  const JsonNode* file = node->find("file", JsonNode::Kind::string);
  if (file == nullptr) return no_file;
  UploadJob upload;
  upload.path = file->text;
  HF_TRY(check_outbox_path(upload.path));
  upload.name = upload.path.substr(upload.path.rfind('/') + 1);

  std::vector<std::pair<std::string, std::string>> members = {{"key", job.key.text()}, {"job", std::to_string(job.id)}, {"type", job.type}, {"queue", job.queue}};
  if (!job.tags.empty()) members.emplace_back("tags", job.tags);
  if (!job.schedule.empty()) members.emplace_back("schedule", job.schedule);
  for (size_t i = 0; i < node->names.size(); ++i) {
    const std::string& name = node->names[i];
    const JsonNode& value = node->items[i];
    if (name == "file" || std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs)) continue;
    if (!is_metadata_name(name)) {
      return Error{HF_E_INVALID, "the member " + quoted(name) + " cannot go along as metadata: a name there has visible ASCII characters, and no comma"};
    }
    std::string text = value.kind == JsonNode::Kind::string ? value.text : compact_json(value);
    if (name == "filetype" && !text.empty()) upload.content_type = text;
    if (name == "filename" && !text.empty()) upload.name = text;
    else members.emplace_back(name, std::move(text));
  }
  members.emplace(members.begin(), "filename", upload.name);
  for (const auto& [name, text] : members) {
    upload.metadata += (upload.metadata.empty() ? "" : ",") + name + (text.empty() ? "" : " " + base64_encode(text));
  }
  if (upload.metadata.size() > kUploadMetadataMax) {
    return Error{HF_E_TOO_LARGE, "the metadata of the upload has " + std::to_string(upload.metadata.size()) + " bytes as a header; the limit is " + std::to_string(kUploadMetadataMax)};
  }
  return upload;
}

std::string encode_memo(const UploadMemo& memo) {
  JsonObject object;
  object["size"] = memo.size;
  object["mtime"] = memo.mtime_ns;
  if (!memo.sum.empty()) object["sha256"] = base64_encode(memo.sum);
  if (!memo.url.empty()) object["url"] = memo.url;
  object["made"] = memo.made;
  object["best"] = memo.best;
  return object.text();
}

UploadMemo decode_memo(std::string_view text) {
  const Result<JsonNode> node = parse_json(text);
  if (!node || node->kind != JsonNode::Kind::object) return {};
  UploadMemo memo;
  memo.size = number_of(*node, "size");
  if (memo.size < 0) return {};
  memo.mtime_ns = number_of(*node, "mtime");
  memo.made = static_cast<int>(std::clamp<int64_t>(number_of(*node, "made"), 0, 1'000'000));
  memo.best = std::clamp<int64_t>(number_of(*node, "best"), 0, memo.size);
  memo.url = text_of(*node, "url");
  const Result<std::string> sum = base64_decode(text_of(*node, "sha256"));
  if (sum && sum->size() == 32) memo.sum = *sum;
  return memo;
}

}  // namespace hf
