// Bodies of admin requests, and what the engine writes of what they said.
//
//   KIND   a byte: e enqueue, d edit, s schedule, q queue, b backup, p progress and checkpoint
//   BODY   the rest
#include "platform/json.h"
#include "platform/json_spec.h"
#include "platform/json_tree.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

size_t values(const JsonNode& node) {
  size_t count = 1;
  for (const JsonNode& item : node.items) count += values(item);
  return count;
}
int depth(const JsonNode& node) {
  int deepest = 0;
  for (const JsonNode& item : node.items) deepest = std::max(deepest, depth(item));
  const bool nests = node.kind == JsonNode::Kind::array || node.kind == JsonNode::Kind::object;
  return deepest + (nests ? 1 : 0);
}

void must_be_json(const std::string& text) {
  must(valid_utf8(text) && text.find('\n') == std::string::npos);
  must(parse_json(text).ok());
}

// Bytes of a request come back in answers.
void check_answers(const JobSpec& spec, std::string_view bytes) {
  JobInfo job;
  job.id = 7;
  job.type = spec.type;
  job.queue = spec.queue;
  job.sink = spec.sink;
  job.priority = spec.priority;
  job.created_wall_ms = 1790000000000;
  job.due_wall_ms = job.expires_wall_ms = spec.at_wall_ms;
  job.tags = spec.tags;
  job.unique_key = spec.unique_key;
  job.concurrency_key = spec.concurrency_key;
  job.payload = spec.payload;
  job.error = job.result = job.progress_note = bytes;
  job.history = {{1, false, 0, spec.delay_ms, "retry", std::string(bytes), std::string(bytes)}};
  for (const Sight sight : {Sight::all, Sight::outline}) {
    must_be_json(job_json(job, sight));
    must_be_json(why_json({job, {{"due", std::string(bytes), spec.at_wall_ms}}, std::string(bytes)}, sight));
    must_be_json(transition_json({Change::retried, 7, 1, spec.type, spec.queue, std::string(bytes), 5, 5}, 0, sight));
  }
  must_be_json(error_json({HF_E_INVALID, std::string(bytes)}));
}

void check_enqueue(const Result<Enqueue>& a, const Result<Enqueue>& b, std::string_view bytes) {
  if (!a) return must_be_told(a.error());
  must(b && a->specs == b->specs);
  must(!a->specs.empty() && a->specs.size() <= HF_ENQUEUE_MANY_MAX);
  for (const JobSpec& spec : a->specs) {
    must(check_name("job type", spec.type) && check_name("queue", spec.queue));
    must(spec.tags.size() <= HF_TAGS_MAX && spec.unique_key.size() <= HF_KEY_MAX);
    must(std::abs(spec.priority) <= HF_PRIORITY_MAX && spec.delay_ms >= 0 && spec.ttl_ms >= 0);
    must(validate(spec.policy).ok());
  }
  check_answers(a->specs.front(), bytes);
}

void check_schedule(const Result<ScheduleSpec>& a, const Result<ScheduleSpec>& b) {
  if (!a) return must_be_told(a.error());
  must(b && *a == *b);
  for (const Sight sight : {Sight::all, Sight::outline}) {
    must_be_json(schedule_json({*a, false, "", 0, 1790000000000, 0, 0, 0, 0}, sight, "gateway"));
  }
}

void check_edit(const Result<Edit>& a, const Result<Edit>& b) {
  if (!a) return must_be_told(a.error());
  must(b && a->payload == b->payload && a->priority == b->priority && a->delay_ms == b->delay_ms);
  must(a->at_wall_ms == b->at_wall_ms && a->max_attempts == b->max_attempts && a->tags == b->tags);
  must(a->payload || a->priority || a->delay_ms || a->at_wall_ms || a->max_attempts || a->tags);
}

}  // namespace

HF_FUZZ(input) {
  const char kind = static_cast<char>(input.byte());
  const std::string body(input.rest());
  must_be_json(json_string(body));
  if (const auto bytes = base64_decode(body)) must(*base64_decode(base64_encode(*bytes)) == *bytes);
  must(*base64_decode(base64_encode(body)) == body);

  const auto tree = parse_json(body);
  if (!tree) must_be_told(tree.error());
  std::string compact;
  if (tree) {
    must(valid_utf8(body) && depth(*tree) <= kJsonDepthMax && values(*tree) <= kJsonValuesMax);
    compact = compact_json(*tree);
    must_be_json(compact);
    must(compact_json(*parse_json(compact)) == compact);
  }
  if (kind == 'e') check_enqueue(parse_enqueue(body), parse_enqueue(compact), body);
  if (kind == 'd') check_edit(parse_edit(7, body), parse_edit(7, compact));
  if (kind == 's') check_schedule(parse_schedule("nightly", body), parse_schedule("nightly", compact));
  if (kind == 'q') {
    const auto settings = parse_queue_settings(body);
    if (!settings) must_be_told(settings.error());
    must(!settings || !settings->concurrency || (*settings->concurrency >= 1 && *settings->concurrency <= 10000));
  }
  if (kind == 'p') {
    const auto progress = parse_progress(7, body);
    if (!progress) must_be_told(progress.error());
    must(!progress || (progress->attempt >= 1 && progress->percent >= -1 && progress->percent <= 100));
    const auto line = parse_log_line(7, body);
    if (!line) must_be_told(line.error());
    must(!line || (line->attempt >= 1 && line->text.size() <= HF_JOB_LOG_MAX));
    const auto checkpoint = parse_checkpoint(7, body);
    if (!checkpoint) must_be_told(checkpoint.error());
    must(!checkpoint || (checkpoint->attempt >= 1 && checkpoint->memo.size() <= HF_CHECKPOINT_MAX));
  }
  if (kind == 'b') {
    const auto backup = parse_backup(body);
    if (!backup) must_be_told(backup.error());
    must(!backup || (backup->path[0] == '/' && backup->path.find('\0') == std::string::npos));
  }
}
