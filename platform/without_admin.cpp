// In place of the admin API: admin*.cpp, the HTTP server, capi_serve.cpp.
#include "core/left_out.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_serve(hf_engine* handle, const char*, const hf_serve_options*) try {
  return fail(handle, left_out("the admin API is", "ADMIN"));
} HF_NO_THROW(handle)
