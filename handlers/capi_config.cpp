// hf_load_config: the configuration file in any host program.
#include <algorithm>

#include "handlers/apply_config.h"
#include "handlers/config.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

namespace {

// Those that a configuration may name beside its own.
Result<std::vector<std::string>> conditions_beside(Host& host, const Config* config) {
  const Reply reply = host.call(ConditionList{});
  if (const auto* error = std::get_if<Error>(&reply)) return *error;
  std::vector<std::string> names;
  for (const ConditionInfo& there : std::get<std::vector<ConditionInfo>>(reply)) {
    const auto is_it = [&](const ConditionConfig& c) { return c.spec.name == there.spec.name; };
    if (!config || std::none_of(config->conditions.begin(), config->conditions.end(), is_it)) names.push_back(there.spec.name);
  }
  return names;
}

}  // namespace

extern "C" int hf_load_config(hf_engine* handle, const char* file) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (file == nullptr) return fail(handle, HF_E_INVALID, "file is null");
  if (int code = may_configure(handle, *engine); code != HF_OK) return code;
  std::lock_guard lock(engine->config_mutex);  // one at a time
  if (engine->is_closing()) return fail(handle, HF_E_STATE, "the engine is closing");
  auto before = std::static_pointer_cast<Config>(engine->config);
  const auto others = conditions_beside(*engine->host, before.get());
  if (!others) return fail(handle, others.error());
  Result<Config> config = load_config(file, ConfigOf::this_device, *others);
  if (!config) return fail(handle, config.error());
  Status applied = apply_config(*engine->host, *config, before.get());
  if (!applied) return fail(handle, applied.error());
  engine->config = std::make_shared<Config>(std::move(*config));
  return HF_OK;
} HF_NO_THROW(handle)
