#include "handlers/outcome_rules.h"

#include <algorithm>
#include <cassert>

namespace hf {

std::optional<Outcome> OutcomeRules::of(int number) const {
  for (const std::vector<Range>* ranges : {&numbers_, &ranges_})
    for (const Range& range : *ranges)
      if (range.first <= number && number <= range.last) return range.outcome;
  return std::nullopt;
}

std::optional<OutcomeRules::Clash> OutcomeRules::add(int first, int last, Outcome outcome) {
  assert(first <= last);
  std::vector<Range>& ranges = first == last ? numbers_ : ranges_;
  std::optional<Clash> clash;
  for (const Range& other : ranges) {
    const int shared = std::max(first, other.first);
    if (other.outcome == outcome || shared > std::min(last, other.last)) continue;
    if (!clash || shared < clash->number) clash = Clash{shared, other.outcome};
  }
  if (!clash) ranges.push_back({first, last, outcome});
  return clash;
}

}  // namespace hf
