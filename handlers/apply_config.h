// From a configuration to a running engine.
#pragma once

#include <map>
#include <string>

#include "core/result.h"
#include "handlers/config.h"
#include "platform/host.h"

namespace hf {

// What the engine is told of a handler, and of a sink.
RunnerSpec runner_spec(const HandlerConfig& handler);
RunnerSpec runner_spec(const SinkConfig& sink);
// What it says of queues, by name, those of sinks' deliveries included.
std::map<std::string, QueueSettings> queue_settings(const Config& config);
// The same, but for how long finished jobs are kept: as `kept` says, also of queues that only this one names. Null: nothing.
std::map<std::string, QueueSettings> queue_settings(const Config& config, const Config* kept);

// Makes the host's handlers, sinks, queues, schedules and limits those of `now`. `before` is what
// was applied to this host last, null if nothing was: what did not change since is left alone, with
// its connections and runs. Schedules that an earlier configuration made, in whichever process, and
// that `now` does not name, are removed; those of hf_schedule_put and the admin API are not
// touched.
//
// What can be seen of it alone is checked before anything changes: HF_E_INVALID, with the file and the path. At a later
// error (HF_E_FULL, HF_E_BUSY, HF_E_IO, HF_E_STATE, a schedule that can never fire) what was changed already is made that of
// `before` again, and retention has deleted nothing; what the program itself had made under a name of `now` is lost. If that
// fails, too, it is logged. HF_E_THREAD on the loop thread.
Status apply_config(Host& host, const Config& now, const Config* before);

}  // namespace hf
