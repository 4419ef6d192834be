// Callbacks: a sink is told how a job ended (docs/delivery.md). The work is class Jobs', in callbacks.cpp.
#pragma once

#include <string>
#include <utility>

#include "core/names.h"
#include "core/types.h"

namespace hf {

inline constexpr const char* kCallbackType = "holdfast.callback";
inline constexpr int64_t kCallbackResultMax = 16384;  // bytes; a larger result is told by its size alone
inline constexpr size_t kCallbackHandlersMax = 1000;  // whose callbacks are kept in the file
// What a callback says where nobody has given a better function (EngineOptions::callback_text): event and id.
std::string plain_callback_text(const JobInfo& job);
const char* callback_event(const JobInfo& job);  // "job.completed", "job.failed"

// The names of sinks that a job or a handler gives. HF_E_INVALID says which is none.
template <class T>
Status check_sinks(const T& of) {
  for (const auto& [field, name] : {std::pair("sink", &of.sink), std::pair("callback", &of.callback), std::pair("failure_callback", &of.failure_callback)}) {
    if (!name->empty()) HF_TRY(check_name(field, *name));
  }
  return ok_status();
}

}  // namespace hf
