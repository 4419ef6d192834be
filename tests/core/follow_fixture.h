// Jobs that wait for others, in an engine with a handler "x" whose jobs have one attempt.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine_fixture.h"
#include "fixed_policy.h"

namespace hf::test {

class FollowFixture : public EngineFixture {
 public:
  FollowFixture() { setup(); }
  void setup() {
    RunnerSpec r;
    r.policy.max_attempts = 1;
    handler("x", r);
  }
  static JobSpec after(std::vector<JobId> ids, AfterFailure failure = AfterFailure::dead) {
    JobSpec s = spec("x", "later");
    s.after = std::move(ids);
    s.after_failure = failure;
    return s;
  }
  static JobSpec last(const std::string& payload) {
    JobSpec s = spec("x", payload);
    s.unique_key = "k";
    s.on_conflict = OnConflict::keep_last;
    return s;
  }
  std::string why(JobId id) {
    std::string text;
    for (const ClosedGate& g : ask<WhyInfo>(Why{id}).gates) {
      if (g.gate == "after") text += g.why;
    }
    return text;
  }
  bool dead_for(JobId id, JobId other, const std::string& how) {
    const JobInfo job = get(id);
    CAPTURE(job.error);
    return job.state == State::dead && job.error == "job " + std::to_string(other) + ", after which it was to run, " + how;
  }
};

}  // namespace hf::test
