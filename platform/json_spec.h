// Jobs, schedules and edits as JSON says them, in the admin API and in the configuration alike.
//
// docs/reference.md, "Fields of a job", lists them; the tables in json_spec.cpp are what is read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/requests.h"
#include "core/result.h"
#include "platform/json_fields.h"

namespace hf {

// Tables for read_fields. A schedule says the fields of its jobs beside its own.
std::span<const JsonField<JobSpec>> job_fields();
std::span<const JsonField<JobSpec>> scheduled_job_fields();  // no time and no unique key
std::span<const JsonField<JobSpec>> subscribed_job_fields();  // no time, and none of one job alone
std::span<const JsonField<ScheduleSpec>> schedule_fields();
std::span<const JsonField<BackoffSpec>> backoff_fields();
std::span<const JsonField<QueueSettings>> queue_fields();
std::span<const JsonField<QueueSettings>> sink_queue_fields();  // of the queue of a sink's deliveries

// Each reads an object and checks what can be seen without the engine. `spec.name` is set before.
bool read_job(const JsonValue& object, JobSpec* spec);
bool read_schedule(const JsonValue& object, ScheduleSpec* spec);
bool read_backoff(const JsonValue& object, BackoffSpec* backoff);
bool read_rate_limit(const JsonValue& text, Rate* rate);
bool read_throttle(const JsonValue& text, Rate* rate);
bool read_when(const JsonValue& names, std::vector<std::string>* when);  // of conditions; none: always open, whatever else says

// Bodies of requests. HF_E_INVALID names the field, what was found and what is allowed.
Result<Enqueue> parse_enqueue(std::string_view body);  // a job, or {"jobs": [job, ...]}
Result<Edit> parse_edit(JobId id, std::string_view body);
Result<ScheduleSpec> parse_schedule(std::string_view name, std::string_view body);
Result<QueueSettings> parse_queue_settings(std::string_view body);
Result<QueuePause> parse_pause(std::string_view name, std::string_view body);  // {"reason": "...", "for": "2h"}; it may be empty
Result<Progress> parse_progress(JobId id, std::string_view body);    // {"attempt": 1, "percent": 40, "note": "..."}
Result<Remember> parse_checkpoint(JobId id, std::string_view body);  // {"attempt": 1, "checkpoint": "..."}
Result<LogLine> parse_log_line(JobId id, std::string_view body);     // {"attempt": 1, "line": "..."}
Result<ScheduleBackfill> parse_backfill(std::string_view body);  // {"from": TIME, "to": TIME}
Result<Emit> parse_emit(std::string_view event, std::string_view body);  // {"payload": any, "key": "..."}; it may be empty
Result<TellCondition> parse_condition(std::string_view name, std::string_view body);  // {"open": true, "why": "...", "for": "10m"}
Result<SetLink> parse_link(std::string_view body);  // {"link": "metered"}; null: as the configuration says
Result<Backup> parse_backup(std::string_view body);  // {"path": "/absolute"}

// "done"; HF_E_INVALID if `text` is not base64 (RFC 4648, padded).
Result<std::string> base64_decode(std::string_view text);
std::string base64_encode(std::string_view bytes);

}  // namespace hf
