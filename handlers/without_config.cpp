// In place of the handlers and of the configuration that names them.
#include "core/left_out.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_load_config(hf_engine* handle, const char*) try {
  return fail(handle, left_out("the configuration file is", "CONFIG"));
} HF_NO_THROW(handle)
