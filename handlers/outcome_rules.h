// What the numbers mean by which a run ends, where the configuration says so: exit codes of a program ("on_exit"), statuses
// of a server ("on_status"). Pure.
#pragma once

#include <optional>
#include <vector>

#include "core/requests.h"

namespace hf {

class OutcomeRules {
 public:
  // nullopt: it is not listed, and means what it does by itself.
  std::optional<Outcome> of(int number) const;

  struct Clash {
    int number;       // the least of those that are in both
    Outcome outcome;  // what it has been listed as
  };
  // All from `first` to `last`. A number by itself goes before a range that it lies in, so that there can be exceptions; two
  // numbers, or two ranges, that meet with different outcomes clash, and nothing is added then.
  // REQUIRES: first <= last
  std::optional<Clash> add(int first, int last, Outcome outcome);

  bool operator==(const OutcomeRules&) const = default;

 private:
  struct Range {
    int first, last;
    Outcome outcome;
    bool operator==(const Range&) const = default;
  };

  // Few: kOutcomeEntriesMax of a class (handlers/outcome_fields.h). They are looked through once a run.
  std::vector<Range> numbers_;  // first == last
  std::vector<Range> ranges_;
};

}  // namespace hf
