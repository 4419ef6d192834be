// Jobs that a run made (hf_job_enqueue): they come in with its success, all or none, in its transaction. The rest of class Jobs is in
// jobs.cpp.
#include <map>
#include <utility>

#include "core/jobs.h"
#include "core/names.h"

namespace hf {

// `frees_key`: the run is the end of its job, and with it its unique key is free: a job may make its own successor. Nothing is changed if
// they are refused; what is wrong with one of them stays wrong, and room may come.
std::optional<Jobs::Refused> Jobs::add_children(Run& run, RunEnded& how, bool frees_key) {
  if (how.children.empty()) return std::nullopt;
  std::vector<Lane*> lanes;
  std::vector<const JobSpec*> specs;
  Following following;
  for (auto& [id, spec] : how.children) {
    Status ok = name_by_payload(spec);
    if (ok) ok = validate(spec);
    const JobId by = ok ? stand_in(spec) : 0;
    const bool is_new = by == 0 || by == run.id;
    if (ok && is_new) ok = may_follow(spec, following);
    if (!ok) return Refused{ok.error().message, ok.error().code != HF_E_FULL};
    if (is_new) following.add(spec);
    following.coming.insert(id);
    Result<Lane*> lane = turn_.lanes.intern(spec.queue, spec.type, spec.concurrency_key, nullptr);
    if (!lane) return Refused{lane.error().message, false};
    lanes.push_back(*lane);
    specs.push_back(&spec);
  }
  const std::string& key = run.opts.unique_key;
  frees_key = frees_key && !key.empty() && holder(key) == run.id;
  const JobId next = frees_key ? successor(run.id, run.opts) : 0;  // who waits for it has it before its children
  if (frees_key) turn_.store.release_unique(run.id);
  if (next != 0) turn_.store.set_unique(next, key);
  Intake intake(turn_);
  Status ok = ok_status();
  for (auto spec = specs.begin(); ok && spec != specs.end(); ++spec) ok = let_in(intake, **spec);
  const Result<Leaving> leave = ok ? room_for(specs) : Result<Leaving>(ok.error());
  if (!leave) {
    if (next != 0) turn_.store.release_unique(next);
    if (frees_key) turn_.store.set_unique(run.id, key);
    return Refused{leave.error().message, leave.error().code == HF_E_TOO_LARGE};
  }
  displace(*leave);
  std::map<JobId, JobId> stands_in;  // for one with a unique key
  for (size_t i = 0; i < lanes.size(); ++i) {
    auto& [id, spec] = how.children[i];
    for (JobId& other : spec.after) {
      if (const auto by_other = stands_in.find(other); by_other != stands_in.end()) other = by_other->second;
    }
    stands_in[id] = insert(spec, *lanes[i], {.reserved = id});
  }
  return std::nullopt;
}

}  // namespace hf
