// In place of capi_events.cpp.
#include "core/left_out.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

namespace {
Error no_events() { return left_out("events are", "EVENTS"); }
}  // namespace

extern "C" int hf_subscribe(hf_engine* handle, const hf_subscription_spec*) try {
  return fail(handle, no_events());
} HF_NO_THROW(handle)
extern "C" int hf_unsubscribe(hf_engine* handle, const char*) try {
  return fail(handle, no_events());
} HF_NO_THROW(handle)
extern "C" int hf_emit(hf_engine* handle, const char*, const void*, size_t, const hf_emit_options*, hf_job_id*, size_t*) try {
  return fail(handle, no_events());
} HF_NO_THROW(handle)
