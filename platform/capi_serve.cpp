// hf_serve: the admin socket in any host program.
#include "platform/admin.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_serve(hf_engine* handle, const char* socket_path, const hf_serve_options* opts) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_configure(handle, *engine); code != HF_OK) return code;
  if (socket_path == nullptr) return fail(handle, HF_E_INVALID, "socket_path is null");
  hf_serve_options c = HF_SERVE_OPTIONS_INIT;
  if (opts != nullptr && !import(opts, &c, sizeof c, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the serve options is not set; begin with HF_SERVE_OPTIONS_INIT");
  }
  if (c.max_clients < 0 || c.max_clients > 1024) {
    return fail(handle, HF_E_INVALID, "max_clients is " + std::to_string(c.max_clients) + "; allowed is 1 to 1024");
  }
  AdminOptions options;
  if (c.group != nullptr) options.group = c.group;
  if (c.max_clients != 0) options.max_clients = c.max_clients;
  options.open_view = c.open_view != 0;
  std::lock_guard lock(engine->config_mutex);
  if (engine->is_closing()) return fail(handle, HF_E_STATE, "the engine is closing");
  Result<std::unique_ptr<AdminServer>> server = AdminServer::start(*engine->host, socket_path, options);
  if (!server) return fail(handle, server.error());
  std::shared_ptr<AdminServer> kept = std::move(*server);
  if (engine->on_close([kept] { kept->shutdown(); })) return HF_OK;
  kept->shutdown();
  return fail(handle, HF_E_STATE, "the engine is closing");
} HF_NO_THROW(handle)
