// The other end: takes results by their keys, and misbehaves.
#pragma once

#include <map>
#include <string>

#include "core/random.h"
#include "core/requests.h"

namespace hf::sim {

class Peer {
 public:
  bool reachable = true;
  bool behaves = false;  // no trouble of its own
  int64_t uploads = 0;

  struct Answer {
    Outcome outcome;
    bool park = false;
    int64_t after_ms = 50;
    int64_t retry_after_ms = -1;
    std::string error;
    bool silent = false;  // no answer until the engine asks for an end
  };
  // The bytes have left; what they come to.
  Answer upload(const StartRun& run, Random& random) {
    Answer a{Outcome::done, false, static_cast<int64_t>(random.below(500)) + 1, -1, "", false};
    for (const RunJob& job : run.jobs) sent_[job.id] = {job.key.text(), job.bytes};
    if (!reachable) return {Outcome::defer, true, 200, -1, "connect: no route", false};
    for (const RunJob& job : run.jobs) {
      if (job.sequence == 0 || numbers_.emplace(job.sequence, job.key.text()).first->second != job.key.text()) spoiled = job.id;
    }
    switch (behaves ? 99 : random.below(24)) {
      case 0: keep(run); [[fallthrough]];  // it arrived, and the answer was lost
      case 1: return {Outcome::retry, false, a.after_ms, -1, "connection reset", false};
      case 2: return {Outcome::retry, false, a.after_ms, -1, "HTTP 500", false};
      case 3: return {Outcome::defer, true, a.after_ms, 3000, "HTTP 503, Retry-After: 3", false};
      case 4: return {Outcome::dead, false, a.after_ms, -1, "HTTP 400", false};
      case 5: a.silent = true; [[fallthrough]];
      default: break;
    }
    if (a.silent) {
      if (random.below(2) == 0) keep(run);
      a.outcome = Outcome::retry;
      a.error = "timed out";
      return a;
    }
    keep(run);
    return a;
  }
  const std::string* held(const std::string& key) const {
    auto it = held_.find(key);
    return it == held_.end() ? nullptr : &it->second;
  }
  // What was last sent of the job is not here. False of one of which nothing was sent.
  bool lacks(JobId id) const {
    auto it = sent_.find(id);
    if (it == sent_.end()) return false;
    const std::string* there = held(it->second.first);
    return there == nullptr || *there != it->second.second;
  }

 private:
  void keep(const StartRun& run) {
    for (const RunJob& job : run.jobs) {
      ++uploads;
      auto [it, fresh] = held_.emplace(job.key.text(), job.bytes);
      if (!fresh && it->second != job.bytes) spoiled = job.id;
    }
  }
  std::map<std::string, std::string> held_;
  std::map<JobId, std::pair<std::string, std::string>> sent_;  // key and bytes
  std::map<int64_t, std::string> numbers_;  // whose each sequence is

 public:
  JobId spoiled = 0;  // a key came twice with different bytes, or a sequence with different keys
};

}  // namespace hf::sim
