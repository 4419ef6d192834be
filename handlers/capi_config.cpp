// hf_load_config: the configuration file in any host program.
#include "handlers/apply_config.h"
#include "handlers/config.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_load_config(hf_engine* handle, const char* file) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (file == nullptr) return fail(handle, HF_E_INVALID, "file is null");
  if (engine->host->loop().on_loop_thread()) {
    return fail(handle, HF_E_THREAD, "hf_load_config reads files and waits for the disk; it cannot be called from a callback");
  }
  Result<Config> config = load_config(file);
  if (!config) return fail(handle, config.error());
  std::lock_guard lock(engine->config_mutex);  // one at a time
  auto before = std::static_pointer_cast<Config>(engine->config);
  Status applied = apply_config(*engine->host, *config, before.get());
  if (!applied) return fail(handle, applied.error());
  engine->config = std::make_shared<Config>(std::move(*config));
  return HF_OK;
} HF_NO_THROW(handle)
