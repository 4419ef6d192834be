// Conditions in the C API.
#include "core/conditions.h"
#include "core/units.h"
#include "platform/capi.h"
#include "platform/function_probe.h"

using namespace hf;
using namespace hf::capi;

namespace {

// What the function of a program says.
ProbeAnswer ask_function(hf_condition_fn function, void* user) {
  char why[HF_REASON_MAX + 1] = "";
  const int said = function(user, why, sizeof why);
  why[HF_REASON_MAX] = '\0';
  if (said == 0 || said == 1) return {said == 1, why};
  return {false, "its function returned " + std::to_string(said) + "; allowed are 0 and 1"};
}

}  // namespace

extern "C" int hf_condition(hf_engine* handle, const char* name, hf_condition_fn function, void* user, const hf_condition_options* given) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (name == nullptr) return fail(handle, HF_E_INVALID, "name is null");
  hf_condition_options opts = HF_CONDITION_OPTIONS_INIT;
  if (given != nullptr && !import(given, &opts, sizeof opts, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the options is not set; begin with HF_CONDITION_OPTIONS_INIT");
  }
  if (Status ok = check_range("initially_open", opts.initially_open, 0, 1); !ok) return fail(handle, ok.error());
  ConditionSpec spec;
  spec.name = name;
  std::shared_ptr<Probe> probe;
  if (function == nullptr) {
    if (opts.every_ms != 0 || opts.timeout_ms != 0) return fail(handle, HF_E_INVALID, "every_ms and timeout_ms are for a condition with a function: nobody is asked without one");
    spec.told = true;
    spec.initially = opts.initially_open == 1;
  } else {
    if (opts.initially_open != 0) return fail(handle, HF_E_INVALID, "initially_open is for a condition that is told: this one has a function");
    if (opts.every_ms != 0) spec.every_ms = opts.every_ms;
    const int64_t timeout_ms = opts.timeout_ms == 0 ? kProbeTimeoutMs : opts.timeout_ms;
    if (Status ok = check_duration("timeout", timeout_ms, kProbeTimeoutMinMs, kProbeTimeoutMaxMs); !ok) return fail(handle, ok.error());
    probe = std::make_shared<FunctionProbe>(engine->host->loop().uv(), timeout_ms, [=] { return ask_function(function, user); });
  }
  return answer(handle, engine->host->set_condition(spec, std::move(probe)));
} HF_NO_THROW(handle)

extern "C" int hf_condition_remove(hf_engine* handle, const char* name) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (name == nullptr) return fail(handle, HF_E_INVALID, "name is null");
  return answer(handle, engine->host->remove_condition(name));
} HF_NO_THROW(handle)

extern "C" int hf_condition_tell(hf_engine* handle, const char* name, int open, const char* why, int64_t for_ms) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (name == nullptr) return fail(handle, HF_E_INVALID, "name is null");
  if (Status ok = check_range("open", open, 0, 1); !ok) return fail(handle, ok.error());
  return ask<Done>(handle, *engine, TellCondition{name, open == 1, capi::text(why), for_ms}, nullptr);
} HF_NO_THROW(handle)
