// The C API: functions as handlers, of one job or of a batch.
#include "core/units.h"
#include "platform/batch_limits.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

namespace {

Status check(const char* field, int64_t value, int64_t least, int64_t most, const char* allowed) {
  return value >= least && value <= most ? ok_status() : Status(not_allowed(field, value, allowed));
}

Result<Batch> batch_of(const hf_handler_options& c) {
  HF_TRY(check("batch_max_jobs", c.batch_max_jobs, 0, kBatchJobsMax, "1 to 1000, or 0: 100"));
  HF_TRY(check("batch_max_bytes", c.batch_max_bytes, 0, kBatchBytesMax, "1 byte to 64 MiB, or 0: no limit of its own"));
  HF_TRY(check("batch_max_wait_ms", c.batch_max_wait_ms, 0, kBatchWaitMaxMs, "0 to 1 d"));
  return Batch{c.batch_max_jobs != 0 ? c.batch_max_jobs : kBatchJobs, c.batch_max_bytes, c.batch_max_wait_ms};
}

Status takes_one(const hf_handler_options& c) {
  for (const auto& [field, value] : {std::pair<const char*, int64_t>("batch_max_jobs", c.batch_max_jobs),
                                     {"batch_max_bytes", c.batch_max_bytes},
                                     {"batch_max_wait_ms", c.batch_max_wait_ms}}) {
    HF_TRY(check(field, value, 0, 0, "0: it is for hf_register_batch"));
  }
  return ok_status();
}

// All but the batch.
Result<RunnerSpec> spec_of(const char* type, const hf_handler_options& c) {
  RunnerSpec spec;
  spec.name = type;
  spec.concurrency = c.concurrency;
  HF_TRY(check("defer_ms", c.defer_ms, 0, 86400000, "1 ms to 1 d"));
  if (c.defer_ms != 0) spec.defer_ms = c.defer_ms;
  spec.heartbeat_ms = c.heartbeat_ms;
  spec.soft_timeout_ms = c.soft_timeout_ms;
  spec.sink = text(c.sink);
  spec.callback = text(c.callback);
  spec.failure_callback = text(c.failure_callback);
  HF_TRY(read_rate("rate_limit", c.rate_limit, parse_rate_limit, &spec.rates.rate_limit));
  HF_TRY(read_rate("throttle", c.throttle, parse_throttle, &spec.rates.throttle));
  HF_TRY(read_policy(c.max_attempts, c.timeout_ms, c.backoff, &spec.policy));
  spec.when = names(c.when);
  if (c.backoff_fn != nullptr) {
    spec.backoff_hook = [ask = c.backoff_fn, user = c.backoff_user](JobId id, int attempt, std::string_view error) {
      const CallbackScope scope;
      return ask(id, attempt, std::string(error).c_str(), user);
    };
  }
  return spec;
}

int register_function(hf_engine* handle, const char* type, bool given, bool takes_many, const hf_handler_options* opts, FunctionRunner::Function function) {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (type == nullptr || !given) return fail(handle, HF_E_INVALID, type == nullptr ? "type is null" : "handler is null");
  hf_handler_options c = HF_HANDLER_OPTIONS_INIT;
  if (opts != nullptr && !import(opts, &c, sizeof c, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the handler options is not set; begin with HF_HANDLER_OPTIONS_INIT");
  }
  Result<RunnerSpec> spec = spec_of(type, c);
  if (!spec) return fail(handle, spec.error());
  if (!takes_many) {
    if (Status one = takes_one(c); !one) return fail(handle, one.error());
  } else if (Result<Batch> batch = batch_of(c); batch) {
    spec->batch = *batch;
  } else {
    return fail(handle, batch.error());
  }
  auto runner = std::make_shared<FunctionRunner>(std::move(function), *engine->workers, engine->ends);
  return answer(handle, engine->host->set_runner(std::move(*spec), std::move(runner)));
}

}  // namespace

extern "C" int hf_register(hf_engine* handle, const char* type, hf_handler_fn function, void* user, const hf_handler_options* opts) try {
  const auto one = [function, user](hf_job* const* jobs, size_t) { return function(jobs[0], user); };
  return register_function(handle, type, function != nullptr, false, opts, one);
} HF_NO_THROW(handle)

extern "C" int hf_register_batch(hf_engine* handle, const char* type, hf_batch_fn function, void* user, const hf_handler_options* opts) try {
  const auto many = [function, user](hf_job* const* jobs, size_t n) { return function(jobs, n, user); };
  return register_function(handle, type, function != nullptr, true, opts, many);
} HF_NO_THROW(handle)

extern "C" int hf_work(hf_engine* handle, int64_t timeout_ms) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  static constexpr const char* kWhyNot = "hf_work runs handlers; it cannot be called in a handler or a callback";
  if (on_handler_thread() || in_callback()) return fail(handle, HF_E_THREAD, kWhyNot);
  if (int code = may_configure(handle, *engine); code != HF_OK) return fail(handle, code, kWhyNot);
  if (timeout_ms < 0 || timeout_ms > HF_WORK_MAX_MS) return fail(handle, not_allowed("timeout_ms", timeout_ms, "0 to 1 d (HF_WORK_MAX_MS)"));
  return answer(handle, engine->workers->run_one(timeout_ms));
} HF_NO_THROW(handle)

extern "C" int hf_work_fd(hf_engine* handle, int* fd) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (fd == nullptr) return fail(handle, HF_E_INVALID, "fd is null");
  Result<int> ready = engine->workers->fd();
  if (!ready) return fail(handle, ready.error());
  *fd = *ready;
  return HF_OK;
} HF_NO_THROW(handle)
