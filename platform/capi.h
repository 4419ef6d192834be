// What the C API's files share: the table of open engines, and how errors reach the caller.
#pragma once

#include <holdfast.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/requests.h"
#include "platform/function_runner.h"
#include "platform/host.h"
#include "platform/host_loop.h"
#include "platform/workers.h"

namespace hf::capi {

// All that one hf_engine stands for. Calls in flight hold it, so that hf_close on another thread is safe.
struct Engine {
  std::unique_ptr<Host> host;
  std::unique_ptr<Workers> workers;
  std::shared_ptr<RunEnds> ends;
  std::shared_ptr<HostLoop> host_loop;  // under hf_start_on
  std::atomic<bool> on_host_loop = false;  // there is one, or soon will be: `mutex` tells
  // What other rooms hang on an engine (the admin socket, the configuration), undone by hf_close in reverse order.
  std::mutex mutex;
  std::vector<std::function<void()>> closers;
  bool closing = false;
  // False once hf_close has begun: then the caller undoes it itself.
  bool on_close(std::function<void()> undo) {
    std::lock_guard lock(mutex);
    if (!closing) closers.push_back(std::move(undo));
    return !closing;
  }
  bool is_closing() {
    std::lock_guard lock(mutex);
    return closing;
  }
  // Held while a configuration is applied, the admin socket is opened, and what they hang on an engine is undone: taken
  // before `mutex`, by no closer, and on no thread that those may wait for; see may_configure().
  std::mutex config_mutex;
  std::shared_ptr<void> config;  // handlers/: what hf_load_config applied last
};

// The engine of a handle; null, and the thread's error is HF_E_STATE, if it was closed or never was.
std::shared_ptr<Engine> find(hf_engine* handle);

// Remembers the error for hf_errmsg and returns its code.
int fail(hf_engine* handle, const Error& error);
int fail(hf_engine* handle, int code, std::string message);
int answer(hf_engine* handle, const Status& status);

// No exception crosses the C API: the end of each of its functions, `int f(...) try { ... } HF_NO_THROW(handle)`.
// HF_E_NO_MEMORY for std::bad_alloc, else HF_E_INTERNAL; hf_errmsg is then "".
int thrown(hf_engine* handle) noexcept;
#define HF_NO_THROW(handle) \
  catch (...) { return hf::capi::thrown(handle); }

// Sends `op` and waits: HF_OK and the reply's value in `out` (if not null), or the error.
template <class T>
int ask(hf_engine* handle, Engine& engine, Op op, T* out) {
  Reply reply = engine.host->call(std::move(op));
  if (auto* error = std::get_if<Error>(&reply)) return fail(handle, *error);
  T* value = std::get_if<T>(&reply);
  if (value == nullptr) return fail(handle, HF_E_INTERNAL, "an answer of an unexpected kind");
  if (out != nullptr) *out = std::move(*value);
  return HF_OK;
}

// HF_OK where a call may wait for the disk or for runs: not where that would block what it waits for. Else HF_E_THREAD with these words.
int may_wait(hf_engine* handle, Engine& engine, const char* why_not = "this call waits for the disk; in a callback use hf_enqueue_async");

// HF_OK where config_mutex may be waited for: not on the engine's threads.
int may_configure(hf_engine* handle, Engine& engine);

// The frame of every call that sends one event and takes one answer.
template <class T>
int one(hf_engine* handle, Op op, T* out) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_wait(handle, *engine); code != HF_OK) return code;
  return ask<T>(handle, *engine, std::move(op), out);
} HF_NO_THROW(handle)
inline int one(hf_engine* handle, Op op) { return one<Done>(handle, std::move(op), nullptr); }

// Copies a struct that may come from an older program: what lies beyond its struct_size is as HF_..._INIT has it.
// False if struct_size cannot be right.
bool import(const void* from, void* to, size_t size, size_t min_size);

// "FIELD is VALUE; allowed is ALLOWED"
Error not_allowed(const char* field, int64_t value, const char* allowed);
std::string text(const char* s);  // null is ""
std::vector<std::string> names(const char* list);  // separated by commas; null and "": none
// A rate as text, if it says something: null and "" do not. HF_E_INVALID names the field.
Result<std::optional<Rate>> rate_of(const char* field, const char* text, Result<Rate> (*parse)(std::string_view));
template <class Out>  // Rate, or an optional one
Status read_rate(const char* field, const char* text, Result<Rate> (*parse)(std::string_view), Out* out) {
  Result<std::optional<Rate>> rate = rate_of(field, text, parse);
  if (!rate) return rate.error();
  if (*rate) *out = **rate;
  return ok_status();
}
Status read_spec(const hf_job_spec* spec, JobSpec* into);  // HF_E_INVALID names the field
Result<JobSpec> spec_of(const hf_job_spec* spec);
Status read_policy(int max_attempts, int64_t timeout_ms, const hf_backoff& backoff, Policy* into);  // ... too; `into` says nothing yet
int info_of(const JobInfo& info, hf_job_info* out);

// A thread inside a callback of the library (hf_enqueued_fn), where calls that wait for it are refused.
bool in_callback();
struct CallbackScope {
  CallbackScope();
  ~CallbackScope();
};

}  // namespace hf::capi
