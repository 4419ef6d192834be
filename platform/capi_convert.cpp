// From the C structs to the words of the house, and back.
#include <algorithm>
#include <cstring>

#include "core/names.h"
#include "platform/capi.h"

namespace hf::capi {

bool import(const void* from, void* to, size_t size, size_t min_size) {
  size_t given = 0;
  std::memcpy(&given, from, sizeof given);
  if (given < min_size || given > 65536) return false;
  std::memcpy(to, from, std::min(given, size));
  std::memcpy(to, &size, sizeof size);
  return true;
}

std::string text(const char* s) { return s != nullptr ? s : ""; }

namespace {
void assign(std::string& to, const char* from) {
  if (from != nullptr) to = from;
}
}  // namespace

std::vector<std::string> names(const char* list) {
  std::vector<std::string> names;
  for (std::string_view rest = list != nullptr ? list : ""; !rest.empty();) {
    std::string_view name = take_until(&rest, ',');
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    names.emplace_back(name);
  }
  return names;
}

Result<std::optional<Rate>> rate_of(const char* field, const char* text, Result<Rate> (*parse)(std::string_view)) {
  if (text == nullptr || text[0] == 0) return std::optional<Rate>();
  const Result<Rate> rate = parse(text);
  if (!rate) return Error{rate.error().code, std::string(field) + ": " + rate.error().message};
  return std::optional<Rate>(*rate);
}

Error not_allowed(const char* field, int64_t value, const char* allowed) {
  return Error{HF_E_INVALID, std::string(field) + " is " + std::to_string(value) + "; allowed is " + allowed};
}

Status read_policy(int max_attempts, int64_t timeout_ms, const hf_backoff& b, Policy* into) {
  Policy& p = *into;
  const bool says_nothing = b.kind == 0 && b.base_ms == 0 && b.factor == 0 && b.max_ms == 0 && b.jitter == 0 && b.jitter_percent == 0 && b.list_len == 0;
  if (max_attempts == 0 && timeout_ms == 0 && says_nothing) return ok_status();
  p.max_attempts = max_attempts;
  p.timeout_ms = timeout_ms;
  if (b.kind < HF_BACKOFF_DEFAULT || b.kind > HF_BACKOFF_LIST) return not_allowed("backoff.kind", b.kind, "a value of hf_backoff_kind");
  if (b.jitter < HF_JITTER_DEFAULT || b.jitter > HF_JITTER_PERCENT) return not_allowed("backoff.jitter", b.jitter, "a value of hf_jitter");
  if (b.kind != HF_BACKOFF_DEFAULT) p.backoff.kind = static_cast<BackoffKind>(b.kind);
  if (b.jitter != HF_JITTER_DEFAULT) p.backoff.jitter = static_cast<Jitter>(b.jitter);
  p.backoff.base_ms = b.base_ms;
  p.backoff.factor = b.factor;
  p.backoff.max_ms = b.max_ms;
  p.backoff.jitter_percent = b.jitter_percent;
  if (b.list_len > HF_BACKOFF_LIST_MAX) return not_allowed("backoff.list_len", static_cast<int64_t>(b.list_len), "up to 16 (HF_BACKOFF_LIST_MAX)");
  if (b.list_len > 0 && b.list_ms == nullptr) return Error{HF_E_INVALID, "backoff.list_ms is null and list_len is not 0"};
  if (b.list_len != 0) p.backoff.list_ms.assign(b.list_ms, b.list_ms + b.list_len);
  return validate(p);
}

Status read_spec(const hf_job_spec* given, JobSpec* into) {
  if (given == nullptr) return Error{HF_E_INVALID, "the job spec is null"};
  hf_job_spec c = HF_JOB_SPEC_INIT;
  if (!import(given, &c, sizeof c, offsetof(hf_job_spec, queue))) return Error{HF_E_INVALID, "struct_size of the job spec is not set; begin with HF_JOB_SPEC_INIT"};
  if (c.type == nullptr) return Error{HF_E_INVALID, "type is null"};
  if (c.payload == nullptr && c.payload_len != 0) return Error{HF_E_INVALID, "payload is null and payload_len is not 0"};
  if (c.on_conflict < HF_CONFLICT_KEEP || c.on_conflict > HF_CONFLICT_KEEP_LAST) return not_allowed("on_conflict", c.on_conflict, "a value of hf_on_conflict");
  if (c.unique_by < HF_UNIQUE_BY_KEY || c.unique_by > HF_UNIQUE_BY_PAYLOAD) return not_allowed("unique_by", c.unique_by, "a value of hf_unique_by");
  if (c.durability < HF_DURABLE_SYNC || c.durability > HF_DURABLE_RESULT) return not_allowed("durability", c.durability, "a value of hf_durability");
  if (c.after_failure < HF_AFTER_DEAD || c.after_failure > HF_AFTER_RUN) return not_allowed("after_failure", c.after_failure, "a value of hf_after_failure");
  if (c.after == nullptr && c.after_len != 0) return Error{HF_E_INVALID, "after is null and after_len is not 0"};
  if (c.after_len > HF_AFTER_MAX) return not_allowed("after_len", static_cast<int64_t>(c.after_len), "up to 100 (HF_AFTER_MAX)");
  if (c.payload_len > (64u << 20)) return Error{HF_E_TOO_LARGE, "payload_len is " + std::to_string(c.payload_len) + " bytes"};
  JobSpec& s = *into;
  s.type = c.type;
  if (c.payload_len != 0) s.payload.assign(static_cast<const char*>(c.payload), c.payload_len);
  if (c.queue != nullptr && c.queue[0] != 0) s.queue = c.queue;
  s.priority = c.priority;
  s.delay_ms = c.delay_ms;
  s.at_wall_ms = c.run_at_unix_ms;
  HF_TRY(read_policy(c.max_attempts, c.timeout_ms, c.backoff, &s.policy));
  s.ttl_ms = c.ttl_ms;
  assign(s.unique_key, c.unique_key);
  s.unique_by = static_cast<UniqueBy>(c.unique_by);
  s.unique_for_ms = c.unique_for_ms;
  s.on_conflict = static_cast<OnConflict>(c.on_conflict);
  s.debounce_max_ms = c.debounce_max_ms;
  assign(s.concurrency_key, c.concurrency_key);
  assign(s.sink, c.sink);
  assign(s.callback, c.callback);
  assign(s.failure_callback, c.failure_callback);
  s.durability = static_cast<Durability>(c.durability);
  assign(s.tags, c.tags);
  if (c.after_len != 0) s.after.assign(c.after, c.after + c.after_len);
  s.after_failure = static_cast<AfterFailure>(c.after_failure);
  return ok_status();
}

Result<JobSpec> spec_of(const hf_job_spec* given) {
  JobSpec spec;
  HF_TRY(read_spec(given, &spec));
  return spec;
}

int info_of(const JobInfo& i, hf_job_info* out) {
  size_t size = out->struct_size;
  if (size < offsetof(hf_job_info, attempts) || size > 65536) return HF_E_INVALID;
  auto* kept = new JobInfo(i);
  hf_job_info c = HF_JOB_INFO_INIT;
  c.id = kept->id;
  c.state = static_cast<int>(kept->state);
  c.attempts = kept->attempts;
  c.max_attempts = static_cast<int>(kept->max_attempts);
  c.priority = kept->priority;
  c.delivering = kept->delivering;
  c.progress = kept->progress;
  c.created_unix_ms = kept->created_wall_ms;
  c.due_unix_ms = kept->due_wall_ms;
  c.finished_unix_ms = kept->finished_wall_ms;
  c.occurrence_unix_ms = kept->occurrence_wall_ms;
  c.type = kept->type.c_str();
  c.queue = kept->queue.c_str();
  c.sink = kept->sink.c_str();
  c.tags = kept->tags.c_str();
  c.schedule = kept->schedule.c_str();
  c.key = kept->key.c_str();
  c.error = kept->error.c_str();
  c.payload = kept->payload.data();
  c.payload_len = kept->payload.size();
  c.result = kept->result.data();
  c.result_len = kept->result.size();
  c.owned_ = kept;
  c.struct_size = std::min(size, sizeof c);
  std::memcpy(out, &c, c.struct_size);
  return HF_OK;
}

}  // namespace hf::capi

extern "C" void hf_job_info_free(hf_job_info* info) {
  if (info == nullptr || info->owned_ == nullptr) return;
  delete static_cast<hf::JobInfo*>(info->owned_);
  hf_job_info empty = HF_JOB_INFO_INIT;
  empty.struct_size = info->struct_size;
  std::memcpy(info, &empty, std::min(empty.struct_size, sizeof empty));
}
