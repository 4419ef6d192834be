#include "handlers/outcome_fields.h"

#include <algorithm>
#include <charconv>

#include "core/names.h"
#include "platform/json_choices.h"

namespace hf {
namespace {

constexpr std::array<JsonChoice<Outcome>, 4> kClasses = {{
    {"ok", Outcome::done},
    {"retry", Outcome::retry},
    {"permanent", Outcome::dead},
    {"defer", Outcome::defer},
}};

struct Draft {
  OutcomeRules* rules;
  int least, most;
  std::string_view expected;
};

struct Span {
  int64_t first, last;
};

std::optional<int64_t> digits(std::string_view text) {
  int64_t number = 0;
  if (text.empty() || text.size() > 9 || !std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::optional<Span> span_of(const JsonNode& node) {
  if (node.kind == JsonNode::Kind::integer) return Span{node.integer, node.integer};
  if (node.kind != JsonNode::Kind::string) return std::nullopt;
  const std::string_view text = node.text;
  const size_t dash = text.find('-');
  if (dash == text.npos) return std::nullopt;
  const auto first = digits(text.substr(0, dash)), last = digits(text.substr(dash + 1));
  return first && last ? std::optional(Span{*first, *last}) : std::nullopt;
}

bool read_entry(const JsonValue& v, const Draft& draft, Outcome outcome) {
  const auto span = span_of(v.node());
  const auto allowed = [&](int64_t number) { return number >= draft.least && number <= draft.most; };
  if (!span || !allowed(span->first) || !allowed(span->last)) return v.unexpected(draft.expected);
  if (span->first > span->last) {
    return v.fail(quoted(v.node().text) + " runs backwards: \"" + std::to_string(span->last) + "-" + std::to_string(span->first) + "\" is meant");
  }
  const auto clash = draft.rules->add(static_cast<int>(span->first), static_cast<int>(span->last), outcome);
  if (!clash) return true;
  const bool number = span->first == span->last;
  return v.fail(std::to_string(clash->number) + " is in \"" + name_in(kClasses, clash->outcome) + "\" and in \"" + name_in(kClasses, outcome) +
                (number ? "\": one of them is meant" : "\", by ranges: one of them is meant, or a number by itself, which goes before a range"));
}

template <Outcome outcome>
bool read_class(Draft& draft, const JsonValue& v) {
  if (!v.expect(JsonNode::Kind::array)) return false;
  const size_t size = v.node().items.size();
  if (size == 0) return v.fail("the array is empty");
  if (size > kOutcomeEntriesMax) {
    return v.fail("the array has " + std::to_string(size) + " items: at most " + std::to_string(kOutcomeEntriesMax) + " are allowed");
  }
  for (size_t i = 0; i < size; ++i) {
    if (!read_entry(v.item(i), draft, outcome)) return false;
  }
  return true;
}

constexpr JsonField<Draft> kFields[] = {
    {"ok", "array", read_class<Outcome::done>},
    {"retry", "array", read_class<Outcome::retry>},
    {"permanent", "array", read_class<Outcome::dead>},
    {"defer", "array", read_class<Outcome::defer>},
};

bool read_rules(const JsonValue& v, Draft draft) { return read_fields(v, {{kFields, draft}}); }

}  // namespace

std::optional<Outcome> outcome_named(std::string_view name) { return value_in(kClasses, name); }

bool read_on_exit(const JsonValue& v, OutcomeRules* rules) {
  return read_rules(v, {rules, 1, 255, "an exit code from 1 to 255 (0 is a success in any case) or a range in quotes, such as \"64-78\""});
}

bool read_on_status(const JsonValue& v, OutcomeRules* rules) {
  return read_rules(v, {rules, 200, 599, "a status from 200 to 599 or a range in quotes, such as \"400-499\""});
}

}  // namespace hf
