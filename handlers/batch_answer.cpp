#include "handlers/batch_answer.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "core/names.h"
#include "handlers/error_text.h"
#include "platform/json_tree.h"

namespace hf {
namespace {

constexpr int64_t kFirst = 4096, kEach = 256, kMost = 1 << 20;

bool is_json(const HttpHeaders& headers) {
  constexpr std::string_view kType = "application/json";
  const std::string_view type = headers.get("Content-Type");
  return equal_no_case(type.substr(0, kType.size()), kType) && (type.size() == kType.size() || type[kType.size()] == ';' || type[kType.size()] == ' ');
}

std::string_view text_of(const JsonNode& object, std::string_view name) {
  const JsonNode* node = object.find(name);
  return node != nullptr && node->kind == JsonNode::Kind::string ? std::string_view(node->text) : std::string_view();
}

RunEnded again(std::string why) {
  RunEnded ended;
  ended.outcome = Outcome::retry;
  ended.error = printable(why);
  return ended;
}

RunEnded line_answer(const JsonNode& line, const std::string& peer) {
  const std::string_view status = text_of(line, "status");
  if (status == "stored") return {};
  const bool refused = status == "refused";
  std::string what = peer + (refused ? " refuses it" : status == "retry" ? " wants it again" : " says " + quoted(status) + " of it, where stored, refused or retry is expected");
  RunEnded ended;
  ended.outcome = refused ? Outcome::dead : Outcome::retry;
  ended.error = error_with_head(std::move(what), text_of(line, "error"), false);
  return ended;
}

}  // namespace

int64_t batch_answer_limit(size_t lines) {
  return std::min(kFirst + static_cast<int64_t>(lines) * kEach, kMost);
}

std::vector<RunEnded> batch_answer(const HttpResponse& response, const std::vector<RunJob>& jobs, const std::string& peer) {
  if (!is_json(response.headers) || response.body.empty()) return {};
  if (response.body_cut) {
    // Its beginning says whether it is of this form: other servers send long answers that mean nothing here.
    for (const char* name : {"\"results\"", "\"key\"", "\"status\""}) {
      if (response.body.find(name) == std::string::npos) return {};
    }
    const std::string longest = std::to_string(batch_answer_limit(jobs.size()));
    return std::vector<RunEnded>(jobs.size(), again("the answer of " + peer + " is longer than the " + longest + " bytes that are read of it: it may not store all"));
  }
  const Result<JsonNode> answer = parse_json(response.body);
  if (!answer || answer->kind != JsonNode::Kind::object) return {};
  const JsonNode* results = answer->find("results");
  if (results == nullptr || results->kind != JsonNode::Kind::array) return {};
  std::unordered_map<std::string_view, const JsonNode*> lines;
  for (const JsonNode& line : results->items) {
    if (line.kind == JsonNode::Kind::object && line.find("status") != nullptr) lines[text_of(line, "key")] = &line;
  }
  if (lines.empty() && !results->items.empty()) return {};  // somebody else's results
  std::vector<RunEnded> ends;
  ends.reserve(jobs.size());
  for (const RunJob& job : jobs) {
    const auto found = lines.find(std::string_view(job.key));
    ends.push_back(found != lines.end() ? line_answer(*found->second, peer) : again("the answer of " + peer + " does not name it"));
  }
  return ends;
}

}  // namespace hf
