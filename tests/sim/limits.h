// What runs, from the committed feed alone, against the limits that are in force; and what waits, against its gates.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/requests.h"
#include "followers.h"
#include "workload.h"

namespace hf::sim {

class RunLimits {
 public:
  // What a freshly opened engine has. Runs that go on in the process are in use.
  std::string opened(const std::vector<JobInfo>& there, bool same_process) {
    answers_.erase(kAsked);
    asked_ = 0;
    if (!same_process) answers_.clear();
    std::set<JobId> goes_on;
    waiting_.clear();
    for (const JobInfo& job : there) {
      if (job.state == State::pending && !job.delivering && job.queue == kFullQueue) waiting_.insert(job.id);
      keys_[job.id] = job.concurrency_key;
      if (job.in_use) goes_on.insert(job.id);
    }
    std::erase_if(running_, [&](const auto& run) { return !goes_on.contains(run.first); });
    return followers_.opened(there);
  }
  // The turn failed, and may be in the file all the same.
  void in_doubt(const std::vector<Op>& ops) {
    followers_.in_doubt(ops);
    for (const Op& op : ops) {
      if (const auto* set = std::get_if<QueueSet>(&op)) doubted_[set->name].push_back(set->settings);
    }
  }

  // No run begins beyond a limit, and the settings of queues are what was asked for. "" if all is well.
  std::string check(const std::vector<Op>& ops, const std::vector<Reply>& replies, const Tick& tick, int64_t now_ms) {
    now_ms_ = now_ms;
    if (const std::string wrong = followers_.check(ops, replies, tick); !wrong.empty()) return wrong;
    for (size_t i = 0; i < ops.size(); ++i) {
      if (const std::string wrong = learn(ops[i], replies[i]); !wrong.empty()) return wrong;
    }
    std::map<JobId, Running> begun;
    for (const Action& action : tick.actions) {
      const auto* start = std::get_if<StartRun>(&action);
      if (start == nullptr) continue;
      if (const std::string wrong = check_batch(*start); !wrong.empty()) return wrong;
      for (const RunJob& job : start->jobs) begun[job.id] = {delivers(*start) ? start->runner : job.queue, start->runner, key_of(*start, job), job.run};
    }
    for (const Action& action : tick.actions) {
      const auto* ask = std::get_if<AskCondition>(&action);
      if (ask == nullptr) continue;
      if (ask->name != kAsked) return "condition " + ask->name + " is asked, and it is told";
      asked_ = ask->number;
    }
    int64_t may_wait = std::max<int64_t>(max_pending(), static_cast<int64_t>(waiting_.size()));
    for (const Transition& t : tick.feed) {
      if (const std::string wrong = check_full(t, may_wait); !wrong.empty()) return wrong;
      if (t.change >= Change::completed && t.change <= Change::handed_back) running_.erase(t.id);
      if (t.change != Change::started) continue;
      const auto run = begun.find(t.id);
      if (run == begun.end()) return "job " + std::to_string(t.id) + " has started, and nobody was told to run it";
      running_[t.id] = run->second;
      if (const std::string wrong = check_begin(run->second); !wrong.empty()) return wrong;
    }
    return "";
  }

  // Of the queue it runs in; a delivery has none.
  std::string key_of(const StartRun& start, const RunJob& job) const {
    const auto it = keys_.find(job.id);
    return it == keys_.end() || delivers(start) ? "" : it->second;
  }

  // At a moment at which the engine has done all that it could. It wakes up in `wake_in_ms`; kNever: not by itself.
  std::string check_waits(const WhyInfo& why, int64_t wall_ms, int64_t wake_in_ms) const {
    if (why.job.state != State::pending) return "";
    const std::string who = "job " + std::to_string(why.job.id);
    if (why.gates.empty()) return who + " has no closed gate and does not run";
    int64_t opens = 0;
    for (const ClosedGate& gate : why.gates) {
      if (gate.opens_wall_ms == 0) return "";
      opens = std::max(opens, gate.opens_wall_ms);
    }
    const auto it = settings_.find(why.job.queue);
    const int64_t slack = it == settings_.end() || why.job.delivering ? 0 : it->second.slack_ms.value_or(0);
    const int64_t late = wake_in_ms == kNever ? kNever : wake_in_ms - (opens - wall_ms) - slack;
    if (late <= kCutMs) return "";
    return who + " can run in " + std::to_string(opens - wall_ms) + " ms (" + why.gates.front().gate + "), and nothing wakes the engine up then";
  }

 private:
  static constexpr int64_t kCutMs = 2;  // two clocks are cut to milliseconds apart

  struct Running {
    std::string queue, handler, key;
    uint64_t batch = 0;
  };

  static bool delivers(const StartRun& start) { return start.runner.text().starts_with("sink:"); }

  std::string learn(const Op& op, const Reply& reply) {
    if (std::holds_alternative<Error>(reply)) return "";
    if (const std::vector<JobSpec> specs = added_by(op); !specs.empty()) {
      // One that is there already keeps its key.
      const auto& ids = std::get<std::vector<JobId>>(reply);
      for (size_t n = 0; n < ids.size(); ++n) keys_.emplace(ids[n], specs[n].concurrency_key);
    } else if (const auto* tell = std::get_if<TellCondition>(&op)) {
      if (tell->number != 0 && tell->number != asked_) return "";  // of an engine that is gone
      answers_[tell->name] = {tell->open, tell->number != 0 ? now_ms_ + kAskedEveryMs : tell->for_ms != 0 ? now_ms_ + tell->for_ms : kNever};
      if (tell->number != 0) asked_ = 0;
    } else if (const auto* end = std::get_if<RunEnded>(&op)) {
      for (const auto& [id, spec] : end->children) keys_.emplace(id, spec.concurrency_key);
    } else if (const auto* limits = std::get_if<SetLimits>(&op)) {
      concurrency_ = limits->limits.concurrency;
    } else if (const auto* runner = std::get_if<SetRunner>(&op)) {
      handlers_[runner->spec.name] = runner->spec;
    } else if (const auto* set = std::get_if<QueueSet>(&op)) {
      set_[set->name] = set->settings;
    } else if (std::holds_alternative<QueueList>(op)) {
      return learn(std::get<std::vector<QueueInfo>>(reply));
    }
    return "";
  }
  std::string learn(const std::vector<QueueInfo>& queues) {
    for (const QueueInfo& queue : queues) {
      settings_[queue.name] = queue.settings;
      const std::vector<QueueSettings>& may = doubted_[queue.name];
      if (queue.set != set_[queue.name] && std::find(may.begin(), may.end(), queue.set) == may.end()) return "queue " + queue.name + " has other settings than it was given";
      set_[queue.name] = queue.set;
    }
    doubted_.clear();
    return "";
  }

  std::string check_batch(const StartRun& start) const {
    const auto handler = handlers_.find(start.runner);
    if (handler == handlers_.end()) return "";  // check_begin() says so
    const Batch& batch = handler->second.batch;
    const std::string who = "a batch of handler " + start.runner;
    if (start.jobs.size() > static_cast<size_t>(batch.max_jobs)) return who + " has " + std::to_string(start.jobs.size()) + " jobs";
    size_t bytes = 0;
    for (const RunJob& job : start.jobs) {
      bytes += job.bytes.size();
      if (!delivers(start) && job.queue != start.jobs[0].queue) return who + " is of two queues";
    }
    const bool too_large = batch.max_bytes != 0 && start.jobs.size() > 1 && bytes > static_cast<size_t>(batch.max_bytes);
    return too_large ? who + " has " + std::to_string(bytes) + " bytes" : "";
  }

  int64_t max_pending() const {
    const auto it = settings_.find(kFullQueue);
    const int64_t most = it == settings_.end() ? 0 : it->second.max_pending.value_or(0);
    return most == 0 ? kNever : most;
  }
  // What came back may be more than its limit: then what comes in makes it no more.
  std::string check_full(const Transition& t, int64_t& may_wait) {
    if (t.queue != kFullQueue) return "";
    switch (t.change) {
      case Change::enqueued: case Change::retried: case Change::deferred: case Change::recovered: case Change::handed_back: case Change::requeued:
        waiting_.insert(t.id);
        break;
      case Change::started: case Change::completed: case Change::delivering: case Change::died: case Change::cancelled: case Change::expired:
      case Change::removed: case Change::displaced:
        waiting_.erase(t.id);
        break;
      default: break;
    }
    const auto waiting = static_cast<int64_t>(waiting_.size());
    if (t.change != Change::enqueued) may_wait = std::max(may_wait, waiting);
    if (waiting <= may_wait) return "";
    return "job " + std::to_string(t.id) + " came in, and now " + std::to_string(waiting) + " wait in queue " + t.queue + ", whose limit is " + std::to_string(max_pending());
  }

  // A limit may have been lowered below what ran then: one more is a mistake.
  std::string check_begin(const Running& run) const {
    int with_key = 0;
    std::set<uint64_t> in_queue, of_handler, of_engine;  // batches: each is one run, but for its keys
    for (const auto& [id, other] : running_) {
      of_engine.insert(other.batch);
      if (other.handler == run.handler) of_handler.insert(other.batch);
      if (other.queue != run.queue) continue;
      in_queue.insert(other.batch);
      if (other.key == run.key) ++with_key;
    }
    const auto too_many = [](const std::string& whose, int64_t runs, int64_t most) { return whose + " runs " + std::to_string(runs) + " of at most " + std::to_string(most); };
    const auto it = settings_.find(run.queue);
    const QueueSettings settings = it == settings_.end() ? QueueSettings() : it->second;
    const auto runs = static_cast<int64_t>(in_queue.size());
    if (settings.concurrency && runs > *settings.concurrency) return too_many("queue " + run.queue, runs, *settings.concurrency);
    const int most = settings.key_concurrency.value_or(1);
    if (!run.key.empty() && with_key > most) return too_many("key " + run.key + " of queue " + run.queue, with_key, most);
    const auto handler = handlers_.find(run.handler);
    if (handler == handlers_.end()) return "a run of handler " + run.handler + ", which there is not";
    const auto batches = static_cast<int64_t>(of_handler.size()), all = static_cast<int64_t>(of_engine.size());
    const int at_once = handler->second.concurrency;
    if (at_once != 0 && batches > at_once) return too_many("handler " + run.handler, batches, at_once);
    for (const auto& when : {settings.when.value_or(std::vector<std::string>()), handler->second.when}) {
      for (const std::string& name : when) {
        if (!open(name)) return "a run of handler " + run.handler + " in queue " + run.queue + " while condition " + name + " is not open";
      }
    }
    return all > concurrency_ ? too_many("the engine", all, concurrency_) : "";
  }

  Followers followers_;
  std::map<JobId, Running> running_;
  std::set<JobId> waiting_;  // in kFullQueue
  std::map<JobId, std::string> keys_;
  struct Answer {
    bool open;
    int64_t until_ms;
  };
  bool open(const std::string& name) const {
    const auto it = answers_.find(name);
    return it != answers_.end() && now_ms_ < it->second.until_ms ? it->second.open : name == kTold;
  }
  std::map<std::string, Answer> answers_;
  uint64_t asked_ = 0;
  int64_t now_ms_ = 0;
  std::map<std::string, RunnerSpec> handlers_;
  std::map<std::string, QueueSettings> set_, settings_;  // what people set; what is in force
  std::map<std::string, std::vector<QueueSettings>> doubted_;  // set in turns that failed
  int64_t concurrency_ = 0;
};

}  // namespace hf::sim
