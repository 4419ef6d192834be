// Jobs that are there, in the C API: reading, cancelling, retrying.
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_get(hf_engine* handle, hf_job_id id, hf_job_info* out) try {
  JobInfo info;
  int code = one(handle, Get{id}, &info);
  if (code != HF_OK) return code;
  if (out == nullptr) return fail(handle, HF_E_INVALID, "out is null");
  code = info_of(info, out);
  return code == HF_OK ? code : fail(handle, code, "struct_size of the job info is not set; begin with HF_JOB_INFO_INIT");
} HF_NO_THROW(handle)

extern "C" int hf_cancel(hf_engine* handle, hf_job_id id) { return one(handle, Cancel{id}); }
extern "C" int hf_retry(hf_engine* handle, hf_job_id id) { return one(handle, Retry{id}); }

extern "C" int hf_retry_dead(hf_engine* handle, const hf_retry_dead_options* given, int64_t* retried) try {
  hf_retry_dead_options c = HF_RETRY_DEAD_OPTIONS_INIT;
  if (given != nullptr && !import(given, &c, sizeof c, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the retry options is not set; begin with HF_RETRY_DEAD_OPTIONS_INIT");
  }
  RetryAllDead op{c.limit != 0 ? c.limit : RetryAllDead().limit, text(c.queue), text(c.type), c.over_ms};
  return one(handle, std::move(op), retried);
} HF_NO_THROW(handle)

extern "C" int hf_list(hf_engine* handle, const hf_list_query* given, hf_list_fn each, void* user, hf_job_id* next) try {
  hf_list_query c = HF_LIST_QUERY_INIT;
  if (given != nullptr && !import(given, &c, sizeof c, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the query is not set; begin with HF_LIST_QUERY_INIT");
  }
  if (each == nullptr) return fail(handle, HF_E_INVALID, "each is null");
  ListQuery q;
  if (c.state < -1 || c.state >= kStates) return fail(handle, HF_E_INVALID, "state is " + std::to_string(c.state) + "; allowed is a value of hf_state, or -1");
  if (c.after < 0) return fail(handle, HF_E_INVALID, "after is " + std::to_string(c.after) + "; allowed is a job's id, or 0");
  if (c.state >= 0) q.state = static_cast<State>(c.state);
  if (c.queue != nullptr) q.queue = c.queue;
  if (c.type != nullptr) q.type = c.type;
  if (c.limit != 0) q.limit = c.limit;
  q.before = c.after;
  JobPage page;
  if (int code = one(handle, List{q}, &page); code != HF_OK) return code;
  if (next != nullptr) *next = page.next;
  for (const JobInfo& job : page.jobs) {
    hf_job_info info = HF_JOB_INFO_INIT;
    info_of(job, &info);
    int stop = each(&info, user);
    hf_job_info_free(&info);
    if (stop != 0) break;
  }
  return HF_OK;
} HF_NO_THROW(handle)
