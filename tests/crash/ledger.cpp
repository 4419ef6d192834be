#include "tests/crash/ledger.h"

#include <holdfast.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace hf::crash {

namespace {
constexpr size_t kViolationsShown = 50;
constexpr int kCrashLimit = 3;    // processes that die in a job's runs, one after another, quarantine it
constexpr int kConcurrency = 64;  // the engine's default: so many results can be on their way at a kill
}  // namespace

void Ledger::wrong(std::string text) {
  if (violations_.size() < kViolationsShown) violations_.push_back(std::move(text));
}

Ledger::Job& Ledger::job(int64_t id, std::string_view token) {
  Job& j = jobs_[id];
  if (j.token.empty()) j.token = token;
  if (j.token != token) wrong("id " + std::to_string(id) + " was given twice: to " + j.token + " and to " + std::string(token));
  auto [at, is_new] = ids_.emplace(token, id);
  if (!is_new && at->second != id) {
    wrong(std::string(token) + " is two jobs: " + std::to_string(at->second) + " and " + std::to_string(id));
  }
  return j;
}

void Ledger::acknowledged(std::string_view line) {
  std::istringstream in{std::string(line)};
  std::string word, token;
  int64_t id = 0;
  if (!(in >> word >> id >> token) || word != "ack" || id <= 0) return wrong("what is this? " + std::string(line));
  job(id, token);
  if (!tokens_acknowledged_.insert(token).second) wrong(token + " was acknowledged twice");
}

void Ledger::read_journal(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string word, rest;
    int64_t id = 0;
    int attempt = 0;
    in >> word;
    if (word == "boot") {
      ++boot_;
    } else if (word == "retry" && in >> id >> attempt) {
      retried(id, attempt);
    } else if (in >> id >> attempt >> rest; word == "start" && in) {
      started(id, attempt, rest);
    } else if (word == "end" && in) {
      ended(id, attempt, rest);
    } else {
      wrong("what is this? " + line);
    }
  }
}

void Ledger::started(int64_t id, int attempt, std::string_view token) {
  Job& j = job(id, token);
  std::string who = "job " + std::to_string(id) + " (" + j.token + ")";
  if (j.boot == boot_ && j.last == Job::started) wrong(who + " ran twice at the same time");
  if (j.boot == boot_ && j.last == Job::final) wrong(who + " ran again after its end, without a kill");
  if (j.last == Job::started) ++j.interrupted;
  if (j.last == Job::final) {
    ++j.repeated;
    ++unrecorded_[j.boot];
  }
  if (attempt < j.attempt || (attempt == j.attempt && !j.deferred)) {
    wrong(who + " began attempt " + std::to_string(attempt) + " after attempt " + std::to_string(j.attempt));
  }
  if (j.boot == boot_) j.outlived = j.deferred ? j.attempt - 1 : j.attempt;
  j.boot = boot_;
  j.last = Job::started;
  j.deferred = false;
  j.attempt = attempt;
  ++j.runs;
}

void Ledger::ended(int64_t id, int attempt, std::string_view how) {
  Job& j = jobs_[id];
  if (j.last != Job::started || j.boot != boot_ || j.attempt != attempt) {
    return wrong("job " + std::to_string(id) + " ended attempt " + std::to_string(attempt) + ", which did not run");
  }
  j.deferred = how == "defer";
  j.last = how == "ok" || how == "dead" ? Job::final : Job::ended;
  if (j.last == Job::ended) ++j.failed;
}

// Written by the killer, for a job that it found quarantined. Right only if its last attempts can each have met a
// kill, some of them before they came to their handler.
void Ledger::retried(int64_t id, int attempts) {
  Job& j = jobs_[id];
  int kills = attempts - j.outlived;
  if (kills < kCrashLimit) wrong("job " + std::to_string(id) + " (" + j.token + ") was quarantined after " + std::to_string(kills) + " kills");
  ++quarantined_;
  j.attempt = j.outlived = 0;
}

void Ledger::found(int64_t id, int state, const std::string& token, bool has_result) {
  Job& j = job(id, token);
  std::string who = "job " + std::to_string(id) + " (" + token + ")";
  if (j.found) wrong(who + " is listed twice");
  j.found = true;
  bool bad = token[0] == 'p';
  if (state != (bad ? HF_STATE_DEAD : HF_STATE_COMPLETED)) wrong(who + " is in state " + std::to_string(state));
  if (!bad && !has_result) wrong(who + " has not the result of its run");
  if (j.runs == 0) wrong(who + " never ran");
  if (j.last != Job::final) wrong(who + " is final, but its last run did not end so");
}

void Ledger::judge() {
  for (const std::string& token : tokens_acknowledged_) {
    if (!jobs_[ids_.at(token)].found) wrong(token + " was acknowledged and is lost");
  }
  for (auto& [id, j] : jobs_) {
    // Every run but the one that counts has a reason: it failed, a kill interrupted it, or took its result.
    if (j.found && j.runs != 1 + j.failed + j.interrupted + j.repeated) wrong("job " + std::to_string(id) + " ran " + std::to_string(j.runs) + " times");
    // A job made by the success of another is there once, and only if that one succeeded (ids_ holds the rest).
    if (j.found && j.token[0] == 'c' && !ids_.contains("k" + std::to_string(id))) wrong("the job that job " + std::to_string(id) + " enqueued is lost");
    if (j.found && j.token[0] == 'k') {
      auto parent = jobs_.find(std::atoll(j.token.c_str() + 1));
      if (parent == jobs_.end() || !parent->second.found) wrong(j.token + " has no parent");
    }
  }
  for (auto [boot, n] : unrecorded_) {
    if (n > kConcurrency) wrong("kill " + std::to_string(boot) + " took " + std::to_string(n) + " results");
  }
}

std::string Ledger::figures() const {
  int64_t found = 0, runs = 0, failed = 0, interrupted = 0, repeated = 0, most = 0;
  for (auto& [id, j] : jobs_) {
    found += j.found ? 1 : 0;
    runs += j.runs;
    failed += j.failed;
    interrupted += j.interrupted;
    repeated += j.repeated;
    most = std::max<int64_t>(most, j.interrupted + j.repeated);
  }
  std::ostringstream out;
  out << acknowledgements() << " acknowledged, " << found << " in the file, " << runs << " runs: " << failed
      << " failed or deferred by themselves, " << interrupted << " interrupted by a kill, " << repeated
      << " ended but not recorded at the kill; at most " << most << " extra runs of one job; " << quarantined_ << " quarantined, and retried";
  return out.str();
}

}  // namespace hf::crash
