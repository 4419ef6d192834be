#include "ledger.h"

#include <algorithm>

#include "workload.h"

namespace hf::sim {

void Ledger::violated(JobId id, const std::string& what) const { throw Violation{"job " + std::to_string(id) + ": " + what}; }

const Ledger::Job* Ledger::find(JobId id) const {
  auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

std::vector<JobId> Ledger::pending(Random& random, size_t most) const {
  std::vector<JobId> some;
  if (jobs_.empty()) return some;
  const auto span = static_cast<uint64_t>(jobs_.rbegin()->first - jobs_.begin()->first) + 1;
  auto it = jobs_.lower_bound(jobs_.begin()->first + static_cast<JobId>(random.below(span)));
  for (int looks = 0; looks < 100 && it != jobs_.end() && some.size() < most; ++looks, ++it) {
    if (it->second.state == State::pending) some.push_back(it->first);
  }
  return some;
}

// ---- what is told --------------------------------------------------------------------------------------------

void Ledger::offer(const JobSpec& spec, Doubt& doubt) { doubt.tags.insert(spec.tags); }

void Ledger::in_doubt(const std::vector<Op>& ops) {
  for (const Op& op : ops) {
    for (const JobSpec& s : added_by(op)) offer(s, doubt_);
    const auto* ended = std::get_if<RunEnded>(&op);
    doubt_.any_displaced |= !added_by(op).empty() || (ended != nullptr && !ended->children.empty());
    if (auto* put = std::get_if<SchedulePut>(&op)) {
      offer(put->spec.job, doubt_);
    } else if (auto* end = std::get_if<RunEnded>(&op)) {
      doubt_.ended.insert(end->id);
      for (auto& [id, spec] : end->children) offer(spec, doubt_);
    } else if (auto* cancel = std::get_if<Cancel>(&op)) {
      doubt_.ended.insert(cancel->id);
      // A job that runs ends by it later.
      if (auto it = jobs_.find(cancel->id); it != jobs_.end()) it->second.cancel_asked = true;
    } else if (auto* retry = std::get_if<Retry>(&op)) {
      doubt_.back.insert(retry->id);
    } else if (auto* remove = std::get_if<Remove>(&op)) {
      doubt_.removed.insert(remove->id);
    } else if (std::holds_alternative<RetryAllDead>(op) || std::holds_alternative<StopAll>(op)) {
      doubt_.any_back = true;
    }
  }
}

void Ledger::synced() {
  for (auto& [id, job] : jobs_) {
    job.durable = true;
    job.state_durable = is_final(job.state);
  }
  for (auto& [id, displaced] : displaced_) displaced.durable = true;
}

void Ledger::committed(const std::vector<Op>& ops, const std::vector<Reply>& replies, const Tick& tick) {
  for (const Transition& t : tick.feed) {
    if (t.id != 0) apply(t);
  }
  opened_ = false;
  // A turn that was asked for something that waits for the disk, and did it, makes all before it safe.
  bool waited = false;
  for (size_t i = 0; i < ops.size(); ++i) {
    // Its own transition in this turn, or the first word of it: else it wrote nothing that could wait.
    if (auto* c = std::get_if<Cancel>(&ops[i]); c != nullptr && !std::holds_alternative<Error>(replies[i])) {
      auto it = jobs_.find(c->id);
      waited |= it != jobs_.end() && !it->second.cancel_asked;
    }
    learn(ops[i], replies[i], tick);
    if (std::holds_alternative<Error>(replies[i])) continue;
    if (auto* end = std::get_if<RunEnded>(&ops[i])) {
      auto it = jobs_.find(end->id);
      waited |= it != jobs_.end() && it->second.synced_end;
    }
    waited |= std::holds_alternative<Remove>(ops[i]) || std::holds_alternative<Retry>(ops[i]) || std::holds_alternative<Edit>(ops[i]);
    if (const std::vector<JobSpec> specs = added_by(ops[i]); !specs.empty()) {
      auto& ids = std::get<std::vector<JobId>>(replies[i]);
      for (size_t n = 0; n < ids.size(); ++n) {
        bool made = std::any_of(tick.feed.begin(), tick.feed.end(), [&](const Transition& t) { return t.change == Change::enqueued && t.id == ids[n]; });
        waited |= made && waits_for_disk(specs[n].durability);
      }
    }
  }
  if (waited) synced();
}

void Ledger::learn(const Op& op, const Reply& reply, const Tick& tick) {
  if (std::holds_alternative<Error>(reply)) return;
  if (const std::vector<JobSpec> specs = added_by(op); !specs.empty()) {
    auto& ids = std::get<std::vector<JobId>>(reply);
    if (ids.size() != specs.size()) throw Violation{"an enqueue of " + std::to_string(specs.size()) + " gave " + std::to_string(ids.size()) + " ids"};
    for (size_t i = 0; i < ids.size(); ++i) {
      const JobSpec& spec = specs[i];
      auto it = jobs_.find(ids[i]);
      if (it == jobs_.end() && displaced_.count(ids[i]) != 0) continue;  // by another one of this turn
      if (it == jobs_.end()) violated(ids[i], "was acknowledged and is not in the feed");
      if (gone_.count(ids[i]) != 0) violated(ids[i], "was acknowledged, and it had been removed");
      Job& job = it->second;
      job.tags.insert(spec.tags);
      job.max_attempts = std::max(job.max_attempts, spec.policy.max_attempts);
      job.expires |= spec.ttl_ms != 0;
      if (waits_for_disk(spec.durability)) job.durable = true;
      if (spec.durability == Durability::result && spec.unique_key.empty() && spec.unique_by == UniqueBy::key) job.synced_end = true;  // else another one may stand for it
    }
  } else if (auto* end = std::get_if<RunEnded>(&op)) {
    for (auto& [id, spec] : end->children) {
      auto it = jobs_.find(id);
      if (it != jobs_.end()) {
        it->second.tags.insert(spec.tags);
        it->second.max_attempts = std::max(it->second.max_attempts, spec.policy.max_attempts);
      } else {
        given_.insert(spec.tags);  // to the holder of its unique key, one of those that were edited
        for (const Transition& t : tick.feed) {
          auto holder = t.change == Change::edited ? jobs_.find(t.id) : jobs_.end();
          if (holder != jobs_.end()) holder->second.max_attempts = std::max(holder->second.max_attempts, spec.policy.max_attempts);
        }
      }
    }
  } else if (auto* cancel = std::get_if<Cancel>(&op)) {
    auto it = jobs_.find(cancel->id);
    if (it == jobs_.end()) violated(cancel->id, "was cancelled and never existed");
    it->second.cancel_asked = it->second.cancel_owed = true;
    if (is_final(it->second.state)) it->second.state_durable = true;
  } else if (auto* stats = std::get_if<Stats>(&reply)) {
    int64_t counted = 0;
    for (const hf::Loss& loss : stats->losses) counted += loss.cause == LossCause::displaced ? loss.total : 0;
    const auto known = static_cast<int64_t>(displaced_.size());
    if (counted < known || counted > known + maybe_displaced_) throw Violation{std::to_string(known) + " jobs gave way, and " + std::to_string(counted) + " are counted"};
  } else if (auto* edit = std::get_if<Edit>(&op)) {
    auto it = jobs_.find(edit->id);
    if (it != jobs_.end() && edit->max_attempts) it->second.max_attempts = std::max(it->second.max_attempts, *edit->max_attempts);
  }
}

void Ledger::apply(const Transition& t) {
  if (t.change == Change::enqueued) {
    if (!ever_.insert(t.id).second) violated(t.id, "this id was used before");
    jobs_[t.id].callback = is_callback(t.type);
    jobs_[t.id].queue = t.queue;
    return;
  }
  if (t.change == Change::fired) return;
  auto it = jobs_.find(t.id);
  if (it == jobs_.end()) violated(t.id, std::string("unknown, and the feed says ") + change_name(t.change));
  Job& job = it->second;
  auto become = [&](State to) {
    bool back = t.change == Change::requeued;
    if (opened_ && job.state == to) return;
    if (is_final(job.state) && !back) violated(t.id, std::string(change_name(t.change)) + ", though it is " + state_name(job.state));
    job.state = to;
    job.state_durable = false;
  };
  switch (t.change) {
    case Change::started: become(State::running); break;
    case Change::completed: become(State::completed); break;
    case Change::delivering:
      job.cancel_owed = false;  // it came too late: the run was done
      become(State::pending);
      break;
    case Change::retried: case Change::deferred: case Change::handed_back: case Change::recovered:
      become(State::pending);
      break;
    case Change::requeued:
      job.cancel_asked = job.cancel_owed = false;
      become(State::pending);
      break;
    case Change::died: case Change::expired: become(State::dead); break;
    case Change::cancelled: become(State::cancelled); break;
    case Change::displaced:
      if (job.state != State::pending) violated(t.id, std::string("gave way while it was ") + state_name(job.state));
      if (job.callback || t.queue != kFullQueue) violated(t.id, "gave way in queue " + t.queue + ", which has no limit");
      displaced_[t.id] = {std::move(job), false};
      jobs_.erase(it);
      break;
    case Change::removed:
      if (job.state == State::running) violated(t.id, "was removed while it ran");
      jobs_.erase(it);
      gone_.insert(t.id);
      break;
    default: break;
  }
}

// ---- what is there --------------------------------------------------------------------------------------------

bool Ledger::may_have_left(const Job& job) { return job.queue == kBriefQueue && (job.state == State::completed || job.state == State::cancelled); }

namespace {
// Of a turn that failed: the claim may be in the file, and nobody was told to run it. It is put back when there is room.
bool claimed_by_nobody(const JobInfo& now, bool recovered) { return !recovered && now.state == State::running; }
}  // namespace

void Ledger::reconcile(const std::vector<JobInfo>& there, Loss loss, bool recovered) {
  std::set<JobId> seen;
  for (const JobInfo& now : there) {
    if (!seen.insert(now.id).second) violated(now.id, "is there twice");
    auto it = jobs_.find(now.id);
    if (it != jobs_.end()) {
      compare(now.id, it->second, now, loss, recovered);
      continue;
    }
    if (auto back = displaced_.find(now.id); back != displaced_.end()) {
      if (loss != Loss::power || back->second.durable) violated(now.id, "gave way, and is there again");
      compare(now.id, jobs_[now.id] = std::move(back->second.job), now, loss, recovered);
      displaced_.erase(back);
      continue;
    }
    if (gone_.count(now.id) != 0) violated(now.id, "was removed and is there again");
    const bool callback = is_callback(now.type);
    if (now.schedule.empty() && !callback && doubt_.tags.count(now.tags) == 0) violated(now.id, "nobody asked for it: " + now.tags);
    if (!ever_.insert(now.id).second) violated(now.id, "this id was used before");
    Job& job = jobs_[now.id];
    job.tags.insert(now.tags);
    job.callback = callback;
    job.queue = now.queue;
    job.state = claimed_by_nobody(now, recovered) ? State::pending : now.state;
    job.max_attempts = static_cast<int>(now.max_attempts);
    job.expires = now.expires_wall_ms != 0;
  }
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (seen.count(it->first) != 0) {
      ++it;
      continue;
    }
    bool may_be_gone = doubt_.removed.count(it->first) != 0 || (loss == Loss::power && !it->second.durable);
    // Completed, and a power cut may bring it back: its id is not done with.
    if (!may_be_gone && (may_have_left(it->second) || (it->second.queue == kBriefQueue && doubt_.ended.count(it->first) != 0))) {
      if (!is_final(it->second.state)) it->second.state = State::completed;
      ++it;
      continue;
    }
    const bool may_be_displaced = doubt_.any_displaced && it->second.state == State::pending && it->second.queue == kFullQueue;
    if (may_be_displaced) {
      if (may_be_gone) ++maybe_displaced_;
      else displaced_[it->first] = {std::move(it->second), loss == Loss::power};  // what is there after one is on the disk
    }
    if (!may_be_gone && !may_be_displaced) violated(it->first, std::string("was acknowledged as ") + state_name(it->second.state) + " and is lost");
    if (displaced_.count(it->first) == 0) gone_.insert(it->first);
    it = jobs_.erase(it);
  }
  // It came in and gave way, and both are lost, or both are there.
  for (auto at = displaced_.begin(); loss == Loss::power && at != displaced_.end();) {
    const auto one = at++;
    if (one->second.durable) continue;
    ++maybe_displaced_;
    gone_.insert(one->first);
    displaced_.erase(one);
  }
  // After a power cut what is there is on the disk.
  if (loss == Loss::power) synced();
  doubt_ = {};
  opened_ = true;
}

void Ledger::compare(JobId id, Job& known, const JobInfo& now, Loss loss, bool recovered) {
  if (known.tags.count(now.tags) == 0 && now.schedule.empty() && !known.callback && doubt_.tags.count(now.tags) == 0 && given_.count(now.tags) == 0) {
    violated(id, "has the tags " + now.tags + ", not " + (known.tags.empty() ? "" : *known.tags.begin()));
  }
  known.tags.insert(now.tags);
  bool undone = loss == Loss::power && !known.state_durable;
  bool doubted = doubt_.ended.count(id) != 0 || doubt_.back.count(id) != 0 || doubt_.any_back;
  // Its run ended well before the cancel reached it, in a turn that failed and counts all the same.
  if (doubt_.ended.count(id) != 0 && now.delivering) known.cancel_asked = known.cancel_owed = false;
  if (is_final(known.state)) {
    if (now.state != known.state && !undone && !doubted) {
      violated(id, std::string("was ") + state_name(known.state) + " and is " + state_name(now.state));
    }
    // A retry that nobody was told of: the cancel before it is over.
    if (!is_final(now.state) && doubted && !undone) known.cancel_asked = known.cancel_owed = false;
  } else if (is_final(now.state)) {
    // Its last run did not end, or an edit left it fewer attempts: a claim ends it.
    bool used_up = known.state == State::pending && now.state == State::dead && now.error.rfind("attempts used up", 0) == 0;
    bool may = doubted || used_up || (now.state == State::cancelled && known.cancel_asked) || (now.state == State::dead && (known.expires || now.expires_wall_ms != 0)) ||
               now.error.find("quarantined") != std::string::npos || now.error.find(", after which it was to run, ") != std::string::npos;
    if (!may) violated(id, std::string("was ") + state_name(known.state) + " and is " + state_name(now.state) + " without a reason: " + now.error);
  } else if (loss != Loss::turn && recovered && known.cancel_owed && !doubted) {
    violated(id, std::string("its cancel was acknowledged, and it is ") + state_name(now.state));
  } else if (loss == Loss::turn && known.state == State::running && now.state != State::running && !doubted) {
    violated(id, "was running and is not after a failed turn");
  }
  if (!claimed_by_nobody(now, recovered)) known.state = now.state;
  known.max_attempts = std::max(known.max_attempts, static_cast<int>(now.max_attempts));
}

}  // namespace hf::sim
