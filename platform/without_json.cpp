// In place of json*.cpp and capi_stats.cpp.
#include "core/callbacks.h"
#include "core/left_out.h"
#include "platform/capi.h"
#include "platform/json.h"

using namespace hf;
using namespace hf::capi;

namespace hf {
std::string callback_json(const JobInfo& job) { return plain_callback_text(job); }
}  // namespace hf

extern "C" int hf_stats_json(hf_engine* handle, char**) try {
  return fail(handle, left_out("figures as JSON are", "JSON"));
} HF_NO_THROW(handle)
