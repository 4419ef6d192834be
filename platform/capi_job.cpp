// The functions that a handler calls with its hf_job.
#include "core/names.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

namespace {
constexpr size_t kChildrenMax = 100;  // hf_job_enqueue a run

int bad(int code, const char* message) { return fail(nullptr, code, message); }
}  // namespace

extern "C" const void* hf_job_payload(hf_job* job, size_t* len) {
  if (job == nullptr) return nullptr;
  if (len != nullptr) *len = job->run->job.bytes.size();
  return job->run->job.bytes.data();
}
extern "C" hf_job_id hf_job_get_id(hf_job* job) { return job != nullptr ? job->run->job.id : 0; }
extern "C" const char* hf_job_type(hf_job* job) { return job != nullptr ? job->run->job.type.c_str() : ""; }
extern "C" int hf_job_attempt(hf_job* job) { return job != nullptr ? job->run->job.attempt : 0; }
extern "C" const char* hf_job_key(hf_job* job) { return job != nullptr ? job->run->key() : ""; }
extern "C" int64_t hf_job_occurrence(hf_job* job) { return job != nullptr ? job->run->job.occurrence_wall_ms : 0; }
extern "C" int hf_job_canceled(hf_job* job) {
  if (job == nullptr) return 0;
  return job->run->canceled.load() || job->run->ends->ending() ? 1 : job->run->soft_timeout_over.load() ? 2 : 0;
}

extern "C" int hf_job_result(hf_job* job, const void* data, size_t len) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  if (data == nullptr && len != 0) return bad(HF_E_INVALID, "data is null and len is not 0");
  if (int64_t max = job->run->ends->max_payload(); max != kNever && len > static_cast<size_t>(max)) {
    return fail(nullptr, HF_E_TOO_LARGE, "the result has " + std::to_string(len) + " bytes; the limit is " + std::to_string(max) + " (max_payload)");
  }
  std::lock_guard lock(job->run->mutex);
  job->run->result.assign(len != 0 ? static_cast<const char*>(data) : "", len);
  return HF_OK;
} HF_NO_THROW(nullptr)

extern "C" int hf_job_error(hf_job* job, const char* text) try {
  if (job == nullptr || text == nullptr) return bad(HF_E_INVALID, job == nullptr ? "job is null" : "text is null");
  std::lock_guard lock(job->run->mutex);
  job->run->error = cut_utf8(text, HF_ERROR_TEXT_MAX);
  return HF_OK;
} HF_NO_THROW(nullptr)

extern "C" int hf_job_progress(hf_job* job, int percent, const char* note) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  if (percent < 0 || percent > 100) return bad(HF_E_INVALID, "percent is not in 0..100");
  Progress p{job->run->job.id, job->run->job.attempt, percent, std::string(cut_utf8(note != nullptr ? note : "", HF_ERROR_TEXT_MAX))};
  return job->run->ends->send(std::move(p)) ? HF_OK : bad(HF_E_STATE, "the engine is closed");
} HF_NO_THROW(nullptr)

extern "C" int hf_job_heartbeat(hf_job* job) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  return job->run->ends->send(Progress{job->run->job.id, job->run->job.attempt, -1, {}}) ? HF_OK : bad(HF_E_STATE, "the engine is closed");
} HF_NO_THROW(nullptr)

extern "C" int hf_job_log(hf_job* job, const char* text) try {
  if (job == nullptr || text == nullptr) return bad(HF_E_INVALID, job == nullptr ? "job is null" : "text is null");
  const FunctionRun& run = *job->run;
  if (run.over()) return bad(HF_E_STALE, "this run is over");
  LogLine line{run.job.id, run.job.attempt, run.job.run, std::string(cut_utf8(text, HF_JOB_LOG_MAX))};
  return run.ends->send(std::move(line)) ? HF_OK : bad(HF_E_STATE, "the engine is closed");
} HF_NO_THROW(nullptr)

extern "C" int hf_job_checkpoint(hf_job* job, const void* data, size_t len) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  if (data == nullptr && len != 0) return bad(HF_E_INVALID, "data is null and len is not 0");
  if (len > HF_CHECKPOINT_MAX) {
    return fail(nullptr, HF_E_TOO_LARGE, "the checkpoint has " + std::to_string(len) + " bytes; the limit is " + std::to_string(HF_CHECKPOINT_MAX) + " (HF_CHECKPOINT_MAX)");
  }
  const RunJob& of = job->run->job;
  std::string memo(len != 0 ? static_cast<const char*>(data) : "", len);
  Reply reply = job->run->ends->call(Remember{of.id, of.attempt, of.run, memo});
  if (auto* error = std::get_if<Error>(&reply)) return fail(nullptr, *error);
  std::lock_guard lock(job->run->mutex);
  job->run->checkpoint = std::move(memo);
  return HF_OK;
} HF_NO_THROW(nullptr)

extern "C" const void* hf_job_last_checkpoint(hf_job* job, size_t* len) {
  if (len != nullptr) *len = 0;
  if (job == nullptr) return nullptr;
  std::lock_guard lock(job->run->mutex);
  const std::string& memo = job->run->checkpoint ? *job->run->checkpoint : job->run->job.memo;
  if (len != nullptr) *len = memo.size();
  return memo.empty() ? nullptr : memo.data();
}

extern "C" int hf_job_retry_after(hf_job* job, int64_t ms) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  if (ms < 0 || ms > kBackoffMaxMs) return bad(HF_E_INVALID, "ms is not in 0..30 d");
  std::lock_guard lock(job->run->mutex);
  job->run->retry_after_ms = ms;
  return HF_OK;
} HF_NO_THROW(nullptr)

extern "C" int hf_job_enqueue(hf_job* job, const hf_job_spec* given, hf_job_id* out) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  Result<JobSpec> spec = spec_of(given);
  if (!spec) return fail(nullptr, spec.error());
  if (Status named = check_name("job type", spec->type); !named) return fail(nullptr, named.error());
  {
    std::lock_guard lock(job->run->mutex);
    if (job->run->children.size() >= kChildrenMax) return bad(HF_E_FULL, "a run enqueues at most 100 jobs");
  }
  Reply reply = job->run->ends->call(ReserveIds{1});
  if (auto* error = std::get_if<Error>(&reply)) return fail(nullptr, *error);
  JobId id = std::get<std::vector<JobId>>(reply).front();
  if (out != nullptr) *out = id;
  std::lock_guard lock(job->run->mutex);
  job->run->children.emplace_back(id, std::move(*spec));
  return HF_OK;
} HF_NO_THROW(nullptr)

extern "C" int hf_job_finish(hf_job* job, int outcome) try {
  if (job == nullptr) return bad(HF_E_INVALID, "job is null");
  if (outcome == HF_ASYNC) return bad(HF_E_INVALID, "HF_ASYNC is no outcome of a run");
  std::shared_ptr<FunctionRun> run = job->run;
  run->release();
  return run->finish(outcome);
} HF_NO_THROW(nullptr)
