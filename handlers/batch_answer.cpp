#include "handlers/batch_answer.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <optional>
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
  const JsonNode* node = object.find(name, JsonNode::Kind::string);
  return node != nullptr ? std::string_view(node->text) : std::string_view();
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

// {"stored_through": 120, "missing": [117, [118, 119]]}: what it does not say clearly it does not confirm.
class Acknowledged {
 public:
  // REQUIRES: answer is an object. nullopt: it is of another form.
  static std::optional<Acknowledged> read(const JsonNode& answer) {
    const JsonNode* through = answer.find("stored_through");
    if (through == nullptr) return std::nullopt;
    Acknowledged all;
    all.clear_ = whole(*through, &all.through_);
    const JsonNode* missing = answer.find("missing");
    if (missing == nullptr || !all.clear_) return all;
    all.clear_ = missing->kind == JsonNode::Kind::array && std::all_of(missing->items.begin(), missing->items.end(), [&](const JsonNode& item) { return all.add(item); });
    std::sort(all.missing_.begin(), all.missing_.end());
    int64_t to = -1;  // of those before: so that the last one that begins before a number tells
    for (auto& range : all.missing_) to = range.second = std::max(range.second, to);
    return all;
  }
  RunEnded of(const RunJob& job, const std::string& peer) const {
    if (!clear_) return again("the answer of " + peer + " cannot be read: expected {\"stored_through\": 120, \"missing\": [117, [118, 119]]}");
    const std::string number = std::to_string(job.sequence);
    if (job.sequence == 0) return again("the answer of " + peer + " is by sequence, and it has none");
    if (job.sequence > through_) return again(peer + " has stored what comes through " + std::to_string(through_) + ", and this is " + number);
    const auto behind = std::upper_bound(missing_.begin(), missing_.end(), std::pair(job.sequence, std::numeric_limits<int64_t>::max()));
    return behind != missing_.begin() && std::prev(behind)->second >= job.sequence ? again(peer + " is missing it: " + number) : RunEnded();
  }

 private:
  static bool whole(const JsonNode& node, int64_t* out) {
    if (node.kind != JsonNode::Kind::integer || node.integer < 0) return false;
    *out = node.integer;
    return true;
  }
  bool add(const JsonNode& item) {
    auto& [from, to] = missing_.emplace_back();
    if (whole(item, &from)) {
      to = from;
      return true;
    }
    return item.kind == JsonNode::Kind::array && item.items.size() == 2 && whole(item.items[0], &from) && whole(item.items[1], &to) && from <= to;
  }

  bool clear_ = false;
  int64_t through_ = 0;
  std::vector<std::pair<int64_t, int64_t>> missing_;
};

// What cannot be read, or not to its end, may be of this form all the same. Its status or its beginning says so: other servers
// send long answers, and broken ones, that mean nothing here.
bool may_name_lines(const HttpResponse& response) {
  const auto names_all = [&](std::initializer_list<const char*> names) {
    return std::all_of(names.begin(), names.end(), [&](const char* name) { return response.body.find(name) != std::string::npos; });
  };
  return response.status == 207 || names_all({"\"results\"", "\"key\"", "\"status\""}) || names_all({"\"stored_through\""});
}

}  // namespace

int64_t batch_answer_limit(size_t lines) {
  return std::min(kFirst + static_cast<int64_t>(lines) * kEach, kMost);
}

std::vector<RunEnded> batch_answer(const HttpResponse& response, const std::vector<RunJob>& jobs, const std::string& peer) {
  if (!is_json(response.headers) || response.body.empty()) return {};
  const auto unread = [&](const std::string& why) -> std::vector<RunEnded> {
    if (!may_name_lines(response)) return {};
    return std::vector<RunEnded>(jobs.size(), again("the answer of " + peer + " " + why + ": it may not store all"));
  };
  if (response.body_cut) return unread("is longer than the " + std::to_string(batch_answer_limit(jobs.size())) + " bytes that are read of it");
  if (const std::string_view encoding = response.headers.get("Content-Encoding"); !encoding.empty() && !equal_no_case(encoding, "identity"))
    return unread("has a Content-Encoding, " + quoted(encoding) + ", which was not asked for");
  const Result<JsonNode> answer = parse_json(response.body);
  if (!answer) return unread("is no JSON that can be read (" + answer.error().message + ")");
  if (answer->kind != JsonNode::Kind::object) return {};
  std::vector<RunEnded> ends;
  ends.reserve(jobs.size());
  const JsonNode* results = answer->find("results");
  if (const auto acknowledged = Acknowledged::read(*answer); acknowledged && results == nullptr) {
    for (const RunJob& job : jobs) ends.push_back(acknowledged->of(job, peer));
    return ends;
  }
  if (results == nullptr || results->kind != JsonNode::Kind::array) return {};
  std::unordered_map<std::string_view, const JsonNode*> lines;
  for (const JsonNode& line : results->items) {
    if (line.kind == JsonNode::Kind::object && line.find("status") != nullptr) lines[text_of(line, "key")] = &line;
  }
  if (lines.empty() && !results->items.empty()) return {};  // somebody else's results
  for (const RunJob& job : jobs) {
    const auto found = lines.find(job.key.text());
    ends.push_back(found != lines.end() ? line_answer(*found->second, peer) : again("the answer of " + peer + " does not name it"));
  }
  return ends;
}

}  // namespace hf
