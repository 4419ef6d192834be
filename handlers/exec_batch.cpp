#include "handlers/exec_batch.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/names.h"
#include "core/units.h"
#include "handlers/error_text.h"
#include "handlers/exec.h"
#include "handlers/ndjson.h"
#include "handlers/outcome_fields.h"
#include "platform/json_spec.h"
#include "platform/json_tree.h"

namespace hf {
namespace {

constexpr int64_t kAroundResult = 1024;  // bytes of a line beside its result
constexpr std::string_view kBlanks = " \t\r\n";

// In jobs' order; one that is not named has none.
struct Answers {
  std::vector<std::optional<RunEnded>> of;
  std::string wrong;  // what is the matter with the first line that cannot be read
};

std::optional<std::string> result_of(const JsonNode& line, std::string* wrong) {
  if (const JsonNode* json = line.find("result"); json != nullptr) return json->kind == JsonNode::Kind::null ? "" : compact_json(*json);
  for (const char* name : {"result_text", "result_base64"}) {
    const JsonNode* text = line.find(name);
    if (text == nullptr) continue;
    if (text->kind != JsonNode::Kind::string) {
      *wrong = std::string("\"") + name + "\" is " + std::string(json_kind_name(text->kind)) + ", expected a string";
      return std::nullopt;
    }
    if (std::string_view(name) == "result_text") return text->text;
    Result<std::string> bytes = base64_decode(text->text);
    if (bytes) return std::move(*bytes);
    *wrong = "\"result_base64\" is no base64";
    return std::nullopt;
  }
  return "";
}

std::optional<RunEnded> answer_of(const JsonNode& line, int64_t max_result, std::string* wrong) {
  const JsonNode* named = line.find("outcome", JsonNode::Kind::string);
  const std::optional<Outcome> outcome = named != nullptr ? outcome_named(named->text) : std::nullopt;
  if (!outcome) {
    *wrong = named != nullptr ? "\"outcome\" is " + quoted(named->text) + ", expected ok, retry, permanent or defer" : "\"outcome\" is missing, or no string";
    return std::nullopt;
  }
  std::optional<std::string> result = result_of(line, wrong);
  if (!result) return std::nullopt;
  if (*outcome == Outcome::done && result->size() > static_cast<size_t>(max_result)) return ended_too_long("its result", max_result);
  RunEnded ended;
  ended.outcome = *outcome;
  if (*outcome == Outcome::done) ended.result = std::move(*result);
  const JsonNode* error = line.find("error", JsonNode::Kind::string);
  if (*outcome != Outcome::done && error != nullptr) ended.error = cut_utf8(printable(error->text), HF_ERROR_TEXT_MAX);
  return ended;
}

// False: `wrong` says why.
bool read_line(std::string_view text, const std::unordered_map<JobId, size_t>& places, int64_t max_result, Answers* answers, std::string* wrong) {
  const Result<JsonNode> line = parse_json(text);
  const JsonNode* id = line && line->kind == JsonNode::Kind::object ? line->find("id", JsonNode::Kind::integer) : nullptr;
  if (id == nullptr) {
    *wrong = !line ? line.error().message : "expected an object with \"id\" and \"outcome\"";
    return false;
  }
  const auto place = places.find(id->integer);
  if (place == places.end()) {
    *wrong = "job " + std::to_string(id->integer) + " is not of this batch";
    return false;
  }
  std::optional<RunEnded> answer = answer_of(*line, max_result, wrong);
  if (!answer) return false;
  answers->of[place->second] = std::move(answer);
  return true;
}

Answers answers_in(std::string_view output, const std::vector<Fence>& jobs, int64_t max_result) {
  Answers answers;
  answers.of.resize(jobs.size());
  // What does not begin as an answer does is none, as what a tool prints.
  if (const size_t first = output.find_first_not_of(kBlanks); first == output.npos || (output[first] != '{' && output[first] != '[')) return answers;
  std::unordered_map<JobId, size_t> places;
  for (size_t i = 0; i < jobs.size(); ++i) places[jobs[i].id] = i;
  for (int number = 1; !output.empty(); ++number) {
    const std::string_view text = take_until(&output, '\n');
    if (text.find_first_not_of(kBlanks) == text.npos) continue;
    std::string wrong;
    if (read_line(text, places, max_result, &answers, &wrong) || !answers.wrong.empty()) continue;
    answers.wrong = "line " + std::to_string(number) + " of its output cannot be read: " + printable(wrong);
  }
  return answers;
}

}  // namespace

std::string exec_batch_input(const std::vector<RunJob>& jobs) {
  std::string lines;
  for (const RunJob& job : jobs) {
    std::string line = json_object(job, "payload");
    if (!job.memo.empty()) {
      line.pop_back();
      line += ",\"checkpoint\":" + json_string(job.memo) + "}";
    }
    lines += line + "\n";
  }
  return lines;
}

size_t exec_batch_output_max(size_t jobs, int64_t max_result) {
  const int64_t each = max_result + kAroundResult;
  return static_cast<size_t>(std::min(static_cast<int64_t>(jobs) * each, std::max(kExecBatchOutputMax, each)));
}

std::vector<RunEnded> exec_batch_outcome(ProcessEnd end, const std::vector<Fence>& jobs, int64_t max_result, const OutcomeRules& on_exit,
                                         const ProcessLimits& limits, int64_t soft_ms) {
  Answers answers;
  answers.of.resize(jobs.size());
  if (!end.output_lost) answers = answers_in(end.output, jobs, max_result);
  if (end.output_over && answers.wrong.empty()) {
    answers.wrong = "its output is longer than the " + format_size(static_cast<int64_t>(exec_batch_output_max(jobs.size(), max_result))) + " that are read";
  }
  end.output.clear();
  end.output_over = false;
  RunEnded others = exec_outcome(std::move(end), max_result, on_exit, limits, soft_ms);
  others.result.clear();
  if (!answers.wrong.empty()) {
    if (others.outcome == Outcome::done) others.outcome = Outcome::retry;
    others.error = cut_utf8(others.error + (others.error.empty() ? "" : "; ") + answers.wrong, HF_ERROR_TEXT_MAX);
  }
  std::vector<RunEnded> ends;
  ends.reserve(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) ends.push_back(with_fence(answers.of[i] ? std::move(*answers.of[i]) : others, jobs[i]));
  return ends;
}

}  // namespace hf
