// In place of capi_conditions.cpp.
#include "core/left_out.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

namespace {
Error no_conditions() { return left_out("conditions are", "GATES"); }
}  // namespace

extern "C" int hf_condition(hf_engine* handle, const char*, hf_condition_fn, void*, const hf_condition_options*) try {
  return fail(handle, no_conditions());
} HF_NO_THROW(handle)
extern "C" int hf_condition_remove(hf_engine* handle, const char*) try {
  return fail(handle, no_conditions());
} HF_NO_THROW(handle)
extern "C" int hf_condition_tell(hf_engine* handle, const char*, int, const char*, int64_t) try {
  return fail(handle, no_conditions());
} HF_NO_THROW(handle)
