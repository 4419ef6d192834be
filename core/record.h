// The rare fields of a job, a schedule, a queue and the history of attempts, as compact bytes.
//
// Format: a sequence of fields, each `tag, value`; a value is a LEB128 varint (zigzag where it may be
// negative) or a varint length and bytes, by the tag's low bit. An unknown tag is skipped, so a file of a
// newer version with the same user_version can be read. docs/disk-format.md lists the tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace hf {

// What a job row keeps in its `opts` column; absent fields have these defaults.
struct JobOpts {
  Policy policy;
  std::string sink;
  std::string callback, failure_callback;
  std::string tags;
  std::string schedule;            // made by this schedule
  int64_t occurrence_wall_ms = 0;  // ... for this scheduled time
  std::string unique_key;          // also kept when the key is free again
  int64_t unique_for_ms = 0;
  int64_t unique_until_ms = 0;     // elapsed; the key is held so long, even by a final job
  bool cancel_asked = false;       // while it runs: it ends as cancelled, also when the process dies first
  // Ends of the process during its runs, one after another: in the same boot, and by a restart of the device.
  int crashes = 0, reboots = 0;
  int64_t sequence = 0;            // of its delivery; 0: none
  std::string memo;                // RunJob::memo
  std::vector<JobId> after = {};      // whose ends it waits for; when it is due: one that did not complete (core/follow.cpp)
  bool after_run = false;             // however they end
  int64_t after_delay_ms = 0;         // due so long after the last of them
  std::vector<JobId> followers = {};  // that wait, or waited, for its end
  int chain = 0;                      // so many callbacks, one of the other, made it
  bool synced_end = false;            // Durability::result: the ends of its runs wait for the disk
  bool operator==(const JobOpts&) const = default;
};

std::string encode_opts(const JobOpts& opts);
JobOpts decode_opts(std::string_view bytes);

inline constexpr size_t kFollowersMax = 2 * HF_AFTER_MAX;  // those of children for which another job stands come in unasked
inline constexpr const char* kMetaDoomed = "doomed";         // ids of jobs that are to end for one that did not complete

// A whole spec of a job, for a schedule's.
std::string encode_spec(const JobSpec& spec);
JobSpec decode_spec(std::string_view bytes);

// What a schedule row keeps in its `spec` column: all but the name.
std::string encode_schedule(const ScheduleSpec& spec);
ScheduleSpec decode_schedule(std::string_view bytes);

// What a queue row keeps in its `settings` column. What is out of range is left out.
std::string encode_queue(const QueueSettings& set, const Pause& pause = {});
QueueSettings decode_queue(std::string_view bytes, Pause* pause = nullptr);  // all of it but whether it is on

std::string encode_history(const std::vector<Attempt>& history);
std::vector<Attempt> decode_history(std::string_view bytes);

}  // namespace hf
