#include "handlers/condition_fields.h"

#include "core/conditions.h"

namespace hf {
namespace {

constexpr size_t kFilePathMax = 4095;

constexpr std::array<JsonChoice<bool>, 1> kPowers = {{{"mains", true}}};
constexpr std::array<JsonChoice<bool>, 1> kNetworks = {{{"up", true}}};
constexpr std::array<JsonChoice<bool>, 2> kTold = {{{"open", true}, {"closed", false}}};

constexpr std::array<JsonChoice<ConditionKind>, 9> kKinds = {{
    {"power", ConditionKind::power},
    {"battery_at_least", ConditionKind::battery},
    {"temperature_below", ConditionKind::temperature},
    {"load_below", ConditionKind::load},
    {"free_space", ConditionKind::free_space},
    {"network", ConditionKind::network},
    {"link", ConditionKind::link},
    {"exec", ConditionKind::exec},
    {"told", ConditionKind::told},
}};

// Of the one there is in this version.
template <size_t N>
bool read_only_choice(const JsonValue& v, const std::array<JsonChoice<bool>, N>& choices) {
  bool ignored = false;
  return v.choice(&ignored, choices);
}

bool read_path(const JsonValue& v, std::string* path) {
  if (!v.text(path, kFilePathMax)) return false;
  return path->starts_with('/') || v.fail("the full path of a folder is meant, with a / in front");
}

bool read_links(const JsonValue& v, std::vector<std::string>* links) {
  if (!v.texts(links, kConditionLinksMax)) return false;
  for (size_t i = 0; i < links->size(); ++i) {
    if (!v.item(i).name("link", &(*links)[i])) return false;
  }
  return true;
}

constexpr JsonField<ConditionConfig> kFields[] = {
    {"power", "choice", [](ConditionConfig&, const JsonValue& v) { return read_only_choice(v, kPowers); }},
    {"battery_at_least", "number", [](ConditionConfig& c, const JsonValue& v) { return v.integer(&c.percent, 1, 100); }},
    {"temperature_below", "number", [](ConditionConfig& c, const JsonValue& v) { return v.number(&c.below, -40, 150); }},
    {"zone", "string", [](ConditionConfig& c, const JsonValue& v) { return v.text(&c.zone, 64); }},
    {"load_below", "number", [](ConditionConfig& c, const JsonValue& v) { return v.number(&c.below, 0.01, 10000); }},
    {"free_space", "size", [](ConditionConfig& c, const JsonValue& v) { return v.size(&c.bytes, 1, int64_t{1} << 60); }},
    {"path", "file", [](ConditionConfig& c, const JsonValue& v) { return read_path(v, &c.path); }},
    {"network", "choice", [](ConditionConfig&, const JsonValue& v) { return read_only_choice(v, kNetworks); }},
    {"link", "array", [](ConditionConfig& c, const JsonValue& v) { return read_links(v, &c.spec.links); }},
    {"exec", "array", [](ConditionConfig& c, const JsonValue& v) { return v.texts(&c.exec, 256); }},
    {"told", "choice",
     [](ConditionConfig& c, const JsonValue& v) {
       c.spec.told = true;
       return v.choice(&c.spec.initially, kTold);
     }},
    {"every", "duration",
     [](ConditionConfig& c, const JsonValue& v) { return v.duration(&c.spec.every_ms, kConditionEveryMinMs, kConditionEveryMaxMs); }},
    {"timeout", "duration", [](ConditionConfig& c, const JsonValue& v) { return v.duration(&c.timeout_ms, kProbeTimeoutMinMs, kProbeTimeoutMaxMs); }},
};

std::string in_quotes(std::string_view name) { return "\"" + std::string(name) + "\""; }

bool read_kind(const JsonValue& v, ConditionKind* kind) {
  std::string_view first;
  std::vector<std::string> names;
  for (const auto& [name, value] : kKinds) {
    names.push_back(in_quotes(name));
    if (!v.node().find(name)) continue;
    if (!first.empty()) return v.fail(in_quotes(first) + " and " + in_quotes(name) + " exclude each other: a condition is of one kind");
    first = name;
    *kind = value;
  }
  const std::vector<std::string_view> words(names.begin(), names.end());
  return !first.empty() || v.fail("what has to be so is missing: expected " + list_of(words, "or"));
}

}  // namespace

std::span<const JsonField<ConditionConfig>> condition_fields() { return kFields; }

bool read_condition(const JsonValue& v, ConditionConfig* condition) {
  if (!read_fields(v, {{kFields, *condition}}) || !read_kind(v, &condition->kind)) return false;
  const ConditionKind kind = condition->kind;
  if (kind == ConditionKind::link || kind == ConditionKind::told) {
    for (const char* name : {"every", "timeout"}) {
      if (!v.node().find(name)) continue;
      return v.fail(in_quotes(name) + " is for conditions that are asked: " +
                    (kind == ConditionKind::told ? "this one is \"told\"" : "this one goes by the \"link\""));
    }
  }
  if (v.node().find("zone") && kind != ConditionKind::temperature) return v.fail("\"zone\" is for \"temperature_below\" only");
  if (v.node().find("path") && kind != ConditionKind::free_space) return v.fail("\"path\" is for \"free_space\" only");
  return kind != ConditionKind::free_space || !condition->path.empty() || v.fail("\"path\" is missing: it says where there has to be room");
}

}  // namespace hf
