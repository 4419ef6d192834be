// What must be true after any number of kills, judged by what the victim said (tests/crash/victim.cpp) and what is
// in the file at the end.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hf::crash {

class Ledger {
 public:
  void acknowledged(std::string_view line);         // "ack ID TOKEN"
  void read_journal(const std::string& path);       // all of it, at the end
  // What the file holds at the end: every job once. has_result: that which its run gave.
  void found(int64_t id, int state, const std::string& token, bool has_result);
  void judge();                                     // after all of the above
  size_t quarantined() const { return quarantined_; }

  size_t acknowledgements() const { return tokens_acknowledged_.size(); }
  const std::vector<std::string>& violations() const { return violations_; }
  std::string figures() const;  // a line for people

 private:
  struct Job {
    std::string token;
    int boot = -1;            // of the last line about it
    enum { none, started, ended, final } last = none;
    bool deferred = false;    // its last end was a deferral: the next run has the same attempt number
    int attempt = 0;          // of the last start
    int outlived = 0;         // the last attempt that the process certainly outlived: it began a further one
    int runs = 0, failed = 0, interrupted = 0, repeated = 0;
    bool found = false;
  };
  Job& job(int64_t id, std::string_view token);
  void started(int64_t id, int attempt, std::string_view token);
  void ended(int64_t id, int attempt, std::string_view how);
  void retried(int64_t id, int attempts);
  void wrong(std::string text);

  std::map<int64_t, Job> jobs_;
  std::map<std::string, int64_t, std::less<>> ids_;       // by token
  std::set<std::string, std::less<>> tokens_acknowledged_;
  std::map<int, int> unrecorded_;  // by boot: runs that had ended when it was killed, and were repeated
  int boot_ = -1;
  size_t quarantined_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace hf::crash
