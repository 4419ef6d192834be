// What the C API says as JSON.
#include <cstdlib>
#include <cstring>

#include "platform/capi.h"
#include "platform/json.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_stats_json(hf_engine* handle, char** out) try {
  if (out == nullptr) return fail(handle, HF_E_INVALID, "out is null");
  const auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  Stats s;
  if (int code = one(handle, GetStats{}, &s); code != HF_OK) return code;
  std::string text = stats_json(s, engine->host->peer_report());
  *out = static_cast<char*>(std::malloc(text.size() + 1));
  if (*out == nullptr) return fail(handle, HF_E_NO_MEMORY, "no memory for the text");
  std::memcpy(*out, text.c_str(), text.size() + 1);
  return HF_OK;
} HF_NO_THROW(handle)
