// What the engine knows, as JSON: the one place for the admin API, the C API and the command line.
//
// Keys are snake_case. Points in time are RFC 3339 in UTC. What people set is written as they set
// it
// ("timeout": "5m"); what was measured is a number with its unit in the name ("took_ms": 12). What
// is not set is left out. Bytes are a string if they are UTF-8, else base64 in `<name>_base64`.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/requests.h"
#include "platform/peer_book.h"

namespace hf {

// Whether payloads, results, error texts, notes, tags and keys may be seen.
enum class Sight : uint8_t { all, outline };

std::string job_json(const JobInfo& job, Sight sight);
// Of a job that has ended, for its callback: {"type": "job.completed", "timestamp": "...", "data": as job_json()}
std::string callback_json(const JobInfo& job);
std::string jobs_json(const JobPage& page, Sight sight);  // {"jobs": [...], "next": id}
std::string why_json(const WhyInfo& why, Sight sight);
std::string stats_json(const Stats& stats, const PeerReport& peers = {});
std::string clock_json(const ClockInfo& clock);
std::string link_json(const Stats& stats);  // which there is, and the budgets
// `device` picks the times of H in the cron line.
std::string schedule_json(const ScheduleInfo& schedule, Sight sight, const std::string& device);
std::string schedules_json(const std::vector<ScheduleInfo>& schedules, Sight sight);
std::string subscription_json(const SubscriptionInfo& subscription, Sight sight);
std::string subscriptions_json(const std::vector<SubscriptionInfo>& subscriptions, Sight sight);  // {"subscriptions": [...]}
std::string condition_json(const ConditionInfo& condition);
std::string conditions_json(const std::vector<ConditionInfo>& conditions);  // {"conditions": [...]}
std::string queue_json(const QueueInfo& queue);
std::string queues_json(const std::vector<QueueInfo>& queues);
std::string transition_json(const Transition& transition, int64_t wall_ms, Sight sight);
std::string ids_json(std::span<const JobId> ids);  // {"id": 7}, or {"ids": [7, 8]} unless it is one
std::string id_list_json(std::span<const JobId> ids);  // {"ids": [...]}
std::string error_json(const Error& error);  // {"error": {"code": "not_found", "message": ...}}

// The code of HF_ERRORS in the admin API: "not_found".
const char* error_name(int code);

}  // namespace hf
