// In place of capi_transact.cpp.
#include <holdfast_sqlite.h>

#include "core/guest.h"
#include "core/left_out.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

namespace {
Error no_transactions() { return left_out("transactions of the program are", "TRANSACT"); }
}  // namespace

extern "C" const sqlite3_api_routines* hf_sqlite_api(void) { return guest_routines(); }
extern "C" int hf_transact(hf_engine* handle, hf_transact_fn, void*, const hf_transact_options*) try {
  return fail(handle, no_transactions());
} HF_NO_THROW(handle)
extern "C" int hf_transaction_enqueue(hf_transaction*, const hf_job_spec*, hf_job_id*) try {
  return fail(nullptr, no_transactions());
} HF_NO_THROW(nullptr)
