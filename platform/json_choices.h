// The names of what can be chosen: one table for each choice, by which it is read, written and
// taken from a command line.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "core/types.h"
#include "platform/json_fields.h"

namespace hf {

inline constexpr std::array<JsonChoice<BackoffKind>, 4> kBackoffKinds = {{
    {"fixed", BackoffKind::fixed},
    {"linear", BackoffKind::linear},
    {"exponential", BackoffKind::exponential},
    {"list", BackoffKind::list},
}};
inline constexpr std::array<JsonChoice<Jitter>, 4> kJitters = {{
    {"none", Jitter::none},
    {"full", Jitter::full},
    {"equal", Jitter::equal},
    {"percent", Jitter::percent},
}};
inline constexpr std::array<JsonChoice<UniqueBy>, 2> kUniqueBys = {{{"key", UniqueBy::key}, {"payload", UniqueBy::payload}}};
inline constexpr std::array<JsonChoice<OnConflict>, 5> kConflicts = {{
    {"keep", OnConflict::keep},
    {"replace", OnConflict::replace},
    {"reject", OnConflict::reject},
    {"debounce", OnConflict::debounce},
    {"keep_last", OnConflict::keep_last},
}};
inline constexpr std::array<JsonChoice<AfterFailure>, 2> kAfterFailures = {{{"dead", AfterFailure::dead}, {"run", AfterFailure::run}}};
inline constexpr std::array<JsonChoice<Durability>, 4> kDurabilities = {{
    {"sync", Durability::sync},
    {"grouped", Durability::grouped},
    {"memory", Durability::memory},
    {"result", Durability::result},
}};
inline constexpr std::array<JsonChoice<DstPolicy>, 3> kDstPolicies = {{
    {"vixie", DstPolicy::vixie},
    {"skip", DstPolicy::skip},
    {"both", DstPolicy::both},
}};
inline constexpr std::array<JsonChoice<CatchUp>, 3> kCatchUps = {{
    {"once", CatchUp::once},
    {"skip", CatchUp::skip},
    {"all", CatchUp::all},
}};
inline constexpr std::array<JsonChoice<Overlap>, 3> kOverlaps = {{
    {"skip", Overlap::skip},
    {"queue", Overlap::queue},
    {"cancel", Overlap::cancel},
}};

inline constexpr std::array<JsonChoice<QueueOrder>, 2> kQueueOrders = {{
    {"fifo", QueueOrder::fifo},
    {"lifo", QueueOrder::lifo},
}};

inline constexpr std::array<JsonChoice<WhenFull>, 4> kWhenFull = {{
    {"reject", WhenFull::reject},
    {"drop_oldest", WhenFull::drop_oldest},
    {"drop_lowest", WhenFull::drop_lowest},
    {"coalesce", WhenFull::coalesce},
}};

// "" for a value that is none.
template <class E, size_t N>
std::string name_in(const std::array<JsonChoice<E>, N>& choices, E value) {
  for (const JsonChoice<E>& choice : choices) {
    if (choice.value == value) return std::string(choice.name);
  }
  return "";
}

template <class E, size_t N>
std::optional<E> value_in(const std::array<JsonChoice<E>, N>& choices, std::string_view name) {
  for (const JsonChoice<E>& choice : choices) {
    if (choice.name == name) return choice.value;
  }
  return std::nullopt;
}

}  // namespace hf
