// What a run says for a person: lines, kept in memory while it runs, and with its attempt once that has ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace hf {

// The newest lines of one run: of HF_JOB_LOG_MAX bytes at most, the mark of what is gone among them.
class JobLog {
 public:
  // Each line of `text`, cut at HF_LOG_LINE_MAX, as UTF-8 that a terminal only shows. Of a line with carriage returns what is
  // behind the last one.
  void add(std::string_view text);
  bool empty() const { return lines_.empty(); }
  // Lines with a newline between them. If some are gone the first one is "... 12 lines before are gone".
  std::string text() const;

 private:
  void add_line(std::string_view line);
  std::string mark() const;

  std::string lines_;  // each with a newline behind it
  int64_t gone_ = 0;
};

// At most HF_HISTORY_MAX attempts and HF_JOB_LOG_MAX bytes of logs: the oldest go. One that is deferred again and again has one place.
void add_attempt(std::vector<Attempt>* history, Attempt attempt);
void bound_logs(std::vector<Attempt>* history);
void forget_logs(std::vector<Attempt>* history);

}  // namespace hf
