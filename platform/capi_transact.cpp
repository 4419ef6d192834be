// hf_transact and what belongs to it: include/holdfast_sqlite.h.
#include <holdfast_sqlite.h>

#include "core/guest.h"
#include "core/units.h"
#include "platform/capi.h"
#include "platform/clock.h"

using namespace hf;
using namespace hf::capi;

struct hf_transaction {
  Transaction& inside;
};

namespace {
constexpr int64_t kDefaultTimeoutMs = 1000;  // a worn card may make one read wait for a good part of it
constexpr int64_t kTimeoutMaxMs = 10000;
constexpr int kDurabilityMax = HF_DURABLE_MEMORY;
}  // namespace

extern "C" const sqlite3_api_routines* hf_sqlite_api(void) { return guest_routines(); }

extern "C" int hf_transact(hf_engine* handle, hf_transact_fn function, void* user, const hf_transact_options* given) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_wait(handle, *engine, "this call waits for the disk"); code != HF_OK) return code;
  if (function == nullptr) return fail(handle, HF_E_INVALID, "function is null");
  hf_transact_options opts = HF_TRANSACT_OPTIONS_INIT;
  if (given != nullptr && !import(given, &opts, sizeof opts, sizeof(size_t))) {
    return fail(handle, HF_E_INVALID, "struct_size of the options is not set; begin with HF_TRANSACT_OPTIONS_INIT");
  }
  const int64_t timeout_ms = opts.timeout_ms == 0 ? kDefaultTimeoutMs : opts.timeout_ms;
  if (Status ok = check_range("timeout_ms", timeout_ms, 1, kTimeoutMaxMs); !ok) return fail(handle, ok.error());
  if (Status ok = check_range("read_only", opts.read_only, 0, 1); !ok) return fail(handle, ok.error());
  if (Status ok = check_range("durability", opts.durability, 0, kDurabilityMax); !ok) return fail(handle, ok.error());
  int64_t until_ms = kNever;
  Transact op;
  op.reads_only = opts.read_only != 0;
  op.durable = opts.durability == HF_DURABLE_SYNC;
  op.grouped = opts.durability == HF_DURABLE_GROUPED;
  op.overdue = [&until_ms] { return boot_ms() >= until_ms; };
  op.body = [&](Transaction& inside) -> Status {
    until_ms = boot_ms() + timeout_ms;
    CallbackScope scope;
    hf_transaction transaction{inside};
    int code = HF_E_INTERNAL;
    try {
      code = function(&transaction, inside.connection, user);
    } catch (...) {
      return Error{HF_E_INTERNAL, "the function threw; nothing of it was kept"};
    }
    if (code == HF_OK) return ok_status();
    return Error{code, "the function returned " + std::to_string(code) + "; nothing of it was kept"};
  };
  return ask<std::vector<JobId>>(handle, *engine, std::move(op), nullptr);
} HF_NO_THROW(handle)

extern "C" int hf_transaction_enqueue(hf_transaction* transaction, const hf_job_spec* given, hf_job_id* out) try {
  if (transaction == nullptr) return fail(nullptr, HF_E_INVALID, "transaction is null");
  if (given == nullptr) return fail(nullptr, HF_E_INVALID, "the job spec is null");
  Result<JobSpec> spec = spec_of(given);
  if (!spec) return fail(nullptr, spec.error());
  Result<JobId> id = transaction->inside.enqueue(*spec);
  if (!id) return fail(nullptr, id.error());
  if (out != nullptr) *out = *id;
  return HF_OK;
} HF_NO_THROW(nullptr)
