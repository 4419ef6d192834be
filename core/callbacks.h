// Callbacks: a sink, or a new job, is told how a job ended (docs/delivery.md). The work is class Jobs', in callbacks.cpp.
#pragma once

#include <string>
#include <utility>

#include "core/names.h"
#include "core/types.h"

namespace hf {

inline constexpr const char* kCallbackType = "holdfast.callback";
inline constexpr const char* kJobPrefix = "job:";     // before the type of the job that a callback starts
inline constexpr int64_t kCallbackResultMax = 16384;  // bytes; a larger result, or payload, is told by its size alone
inline constexpr size_t kCallbackHandlersMax = 1000;  // whose callbacks are kept in the file
// What a callback says where nobody has given a better function (EngineOptions::callback_text): event and id.
std::string plain_callback_text(const JobInfo& job);
const char* callback_event(const JobInfo& job);  // "job.completed", "job.failed"

inline bool starts_job(std::string_view callback) { return callback.starts_with(kJobPrefix); }
// REQUIRES: starts_job(callback)
inline std::string type_started(const std::string& callback) { return callback.substr(std::string_view(kJobPrefix).size()); }

// Of a sink: no callback could name it.
Status check_sink(const char* field, const std::string& name);
Status check_callback(const char* field, const std::string& name);  // a sink, or "job:TYPE"

// What a job or a handler says of its end; "": nothing. HF_E_INVALID says which is none.
template <class T>
Status check_sinks(const T& of) {
  if (!of.sink.empty()) HF_TRY(check_sink("sink", of.sink));
  for (const auto& [field, name] : {std::pair("callback", &of.callback), std::pair("failure_callback", &of.failure_callback)}) {
    if (!name->empty()) HF_TRY(check_callback(field, *name));
  }
  return ok_status();
}

}  // namespace hf
