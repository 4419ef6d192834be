// Events and subscriptions of the C API.
#include <algorithm>

#include "platform/capi.h"
#include "platform/event_fields.h"

using namespace hf;
using namespace hf::capi;

namespace {

Result<SubscriptionSpec> spec_of(const hf_subscription_spec& c) {
  for (const auto& [field, text] : {std::pair("name", c.name), std::pair("event", c.event)}) {
    if (text == nullptr) return Error{HF_E_INVALID, std::string(field) + " is null"};
  }
  if (c.job == nullptr) return Error{HF_E_INVALID, "job is null: it says what is started"};
  SubscriptionSpec s;
  s.name = c.name;
  s.event = c.event;
  if (c.filter != nullptr && c.filter[0] != 0) {
    Result<EventFields> filter = parse_filter(c.filter);
    if (!filter) return filter.error();
    s.filter = std::move(*filter);
  }
  Result<JobSpec> job = capi::spec_of(c.job);
  if (!job) return Error{job.error().code, "job: " + job.error().message};
  s.job = std::move(*job);
  s.own_payload = c.job->payload != nullptr;
  return s;
}

constexpr const char* kNoWaiting = "this call waits for the engine; it cannot be made in a callback";

}  // namespace

extern "C" int hf_subscribe(hf_engine* handle, const hf_subscription_spec* given) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_wait(handle, *engine, kNoWaiting); code != HF_OK) return code;
  if (given == nullptr) return fail(handle, HF_E_INVALID, "the subscription spec is null");
  hf_subscription_spec c = HF_SUBSCRIPTION_SPEC_INIT;
  if (!import(given, &c, sizeof c, offsetof(hf_subscription_spec, filter))) {
    return fail(handle, HF_E_INVALID, "struct_size of the subscription spec is not set; begin with HF_SUBSCRIPTION_SPEC_INIT");
  }
  Result<SubscriptionSpec> spec = ::spec_of(c);
  if (!spec) return fail(handle, spec.error());
  return answer(handle, engine->host->set_subscription(*spec));
} HF_NO_THROW(handle)

extern "C" int hf_unsubscribe(hf_engine* handle, const char* name) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_wait(handle, *engine, kNoWaiting); code != HF_OK) return code;
  if (name == nullptr) return fail(handle, HF_E_INVALID, "name is null");
  return answer(handle, engine->host->remove_subscription(name));
} HF_NO_THROW(handle)

extern "C" int hf_emit(hf_engine* handle, const char* event, const void* payload, size_t len, const hf_emit_options* given, hf_job_id* ids,
                       size_t* n) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_wait(handle, *engine, kNoWaiting); code != HF_OK) return code;
  if (event == nullptr) return fail(handle, HF_E_INVALID, "event is null");
  if (payload == nullptr && len != 0) return fail(handle, HF_E_INVALID, "payload is null and len is not 0");
  if (ids != nullptr && n == nullptr) return fail(handle, HF_E_INVALID, "n is null and ids is not: it says how many there is room for");
  hf_emit_options opts = HF_EMIT_OPTIONS_INIT;
  if (given != nullptr && !import(given, &opts, sizeof opts, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the options is not set; begin with HF_EMIT_OPTIONS_INIT");
  }
  const auto max_payload = static_cast<size_t>(engine->host->limits().max_payload);
  if (len > max_payload) {  // before it is copied
    return fail(handle, HF_E_TOO_LARGE, "payload has " + std::to_string(len) + " bytes; the limit is " + std::to_string(max_payload) + " (max_payload)");
  }
  Emit emit;
  emit.event = event;
  if (len != 0) emit.payload.assign(static_cast<const char*>(payload), len);
  emit.fields = event_fields(emit.payload);
  emit.key = text(opts.key);
  std::vector<JobId> started;
  const int code = ask(handle, *engine, std::move(emit), &started);
  if (code != HF_OK) return code;
  if (ids != nullptr) std::copy_n(started.begin(), std::min(*n, started.size()), ids);
  if (n != nullptr) *n = started.size();
  return HF_OK;
} HF_NO_THROW(handle)
