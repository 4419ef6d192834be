#include "platform/json_fields.h"

#include <algorithm>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

// The value as found, for a message.
std::string found(const JsonNode& node) {
  switch (node.kind) {
    case JsonNode::Kind::string:
      return quoted(node.text);
    case JsonNode::Kind::integer:
    case JsonNode::Kind::number:
      return std::string(cut_utf8(node.text, 32));
    case JsonNode::Kind::boolean:
      return node.boolean ? "true" : "false";
    case JsonNode::Kind::null:
    case JsonNode::Kind::array:
    case JsonNode::Kind::object:
      break;
  }
  return std::string(json_kind_name(node.kind));
}

std::string plain_number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace

std::string JsonReport::place(int line, std::string_view path, std::string_view message) const {
  std::string text;
  if (!file_.empty()) text = file_ + ":" + std::to_string(line) + ": ";
  if (!path.empty()) text += std::string(path) + ": ";
  return text + std::string(message);
}

bool JsonReport::fail(int line, std::string_view path, std::string_view message) {
  if (!error_) error_ = Error{HF_E_INVALID, place(line, path, message)};
  return false;
}

void JsonReport::warn(int line, std::string_view path, std::string_view message) {
  warnings_.push_back(place(line, path, message));
}

std::string JsonValue::path() const {
  if (!parent_) return "";
  std::string before = parent_->path();
  if (parent_->node_.kind == JsonNode::Kind::array)
    return before + "[" + std::to_string(index_) + "]";
  if (!before.empty()) before += '.';
  // A name that could be mistaken for a path is shown in quotes.
  const bool plain = !name_.empty() && std::all_of(name_.begin(), name_.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == ':' || c == '/' || c == '@';
  });
  return before + (plain ? std::string(cut_utf8(name_, HF_NAME_MAX)) : quoted(name_));
}

bool JsonValue::fail(std::string_view message) const {
  return report_.fail(node_.line, path(), message);
}

void JsonValue::warn(std::string_view message) const {
  report_.warn(node_.line, path(), message);
}

bool JsonValue::unexpected(std::string_view expected) const {
  return fail("found " + found(node_) + ", expected " + std::string(expected));
}

bool JsonValue::expect(JsonNode::Kind kind) const {
  return node_.kind == kind || unexpected(json_kind_name(kind));
}

bool JsonValue::text(std::string* out, size_t max_bytes) const {
  if (!expect(JsonNode::Kind::string)) return false;
  if (node_.text.empty()) return fail("the string is empty");
  if (node_.text.find('\0') != std::string::npos) return fail("a NUL is not allowed in a string");
  if (node_.text.size() > max_bytes) {
    return fail("the string has " + std::to_string(node_.text.size()) + " bytes: at most " +
                std::to_string(max_bytes) + " are allowed");
  }
  *out = node_.text;
  return true;
}

bool JsonValue::name(std::string_view kind, std::string* out) const {
  if (!expect(JsonNode::Kind::string)) return false;
  if (auto checked = check_name(kind, node_.text); !checked) return fail(checked.error().message);
  *out = node_.text;
  return true;
}

bool JsonValue::duration(int64_t* out, int64_t min_ms, int64_t max_ms) const {
  int64_t ms = 0;
  if (node_.kind == JsonNode::Kind::integer && report_.bare_ms()) {
    ms = node_.integer;
  } else if (node_.kind == JsonNode::Kind::string) {
    auto parsed = parse_duration(node_.text);
    if (!parsed) return fail(parsed.error().message);
    ms = *parsed;
  } else {
    return fail("found " + found(node_) + ", expected a duration in quotes, such as \"30s\"");
  }
  if (ms < min_ms || ms > max_ms) {
    return fail((ms < 0 ? std::to_string(ms) + " ms" : format_duration(ms)) +
                " is out of range: allowed are " + format_duration(min_ms) + " to " +
                format_duration(max_ms));
  }
  *out = ms;
  return true;
}

bool JsonValue::size(int64_t* out, int64_t min_bytes, int64_t max_bytes) const {
  if (node_.kind != JsonNode::Kind::string) {
    return fail("found " + found(node_) + ", expected a size in quotes, such as \"64KiB\"");
  }
  auto parsed = parse_size(node_.text);
  if (!parsed) return fail(parsed.error().message);
  if (*parsed < min_bytes || *parsed > max_bytes) {
    return fail(quoted(node_.text) + " is out of range: allowed are " + format_size(min_bytes) +
                " to " + format_size(max_bytes));
  }
  *out = *parsed;
  return true;
}

bool JsonValue::time(int64_t* out) const {
  if (!expect(JsonNode::Kind::string)) return false;
  auto parsed = parse_time(node_.text);
  if (!parsed) return fail(parsed.error().message);
  *out = *parsed;
  return true;
}

bool JsonValue::integer(int64_t* out, int64_t min, int64_t max) const {
  if (node_.kind != JsonNode::Kind::integer || node_.integer < min || node_.integer > max) {
    return fail("found " + found(node_) + ", expected a whole number from " + std::to_string(min) +
                " to " + std::to_string(max));
  }
  *out = node_.integer;
  return true;
}

bool JsonValue::integer(int* out, int min, int max) const {
  int64_t wide = 0;
  if (!integer(&wide, min, max)) return false;
  *out = static_cast<int>(wide);
  return true;
}

bool JsonValue::number(double* out, double min, double max) const {
  const bool number = node_.kind == JsonNode::Kind::integer || node_.kind == JsonNode::Kind::number;
  if (!number || node_.number < min || node_.number > max) {
    return fail("found " + found(node_) + ", expected a number from " + plain_number(min) + " to " +
                plain_number(max));
  }
  *out = node_.number;
  return true;
}

bool JsonValue::boolean(bool* out) const {
  if (!expect(JsonNode::Kind::boolean)) return false;
  *out = node_.boolean;
  return true;
}

bool JsonValue::texts(std::vector<std::string>* out, size_t max_items) const {
  if (!expect(JsonNode::Kind::array)) return false;
  if (node_.items.empty()) return fail("the array is empty");
  if (node_.items.size() > max_items) {
    return fail("the array has " + std::to_string(node_.items.size()) + " items: at most " +
                std::to_string(max_items) + " are allowed");
  }
  std::vector<std::string> read(node_.items.size());
  for (size_t i = 0; i < read.size(); ++i) {
    if (!item(i).text(&read[i])) return false;
  }
  *out = std::move(read);
  return true;
}

bool JsonValue::text_map(std::vector<std::pair<std::string, std::string>>* out,
                         size_t max_items) const {
  if (!expect(JsonNode::Kind::object)) return false;
  if (node_.items.size() > max_items) {
    return fail("the object has " + std::to_string(node_.items.size()) + " members: at most " +
                std::to_string(max_items) + " are allowed");
  }
  std::vector<std::pair<std::string, std::string>> read;
  for (size_t i = 0; i < node_.items.size(); ++i) {
    const JsonValue value = member(i);
    if (!value.expect(JsonNode::Kind::string)) return false;
    if (node_.names[i].empty()) return value.fail("a name is empty");
    if (value.node_.text.find('\0') != std::string::npos) {
      return value.fail("a NUL is not allowed in a string");
    }
    read.emplace_back(node_.names[i], value.node_.text);
  }
  *out = std::move(read);
  return true;
}

std::optional<size_t> JsonValue::choose(std::span<const std::string_view> names) const {
  if (node_.kind == JsonNode::Kind::string) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (node_.text == names[i]) return i;
    }
  }
  std::vector<std::string> in_quotes;
  for (const std::string_view name : names) in_quotes.push_back(quoted(name));
  const std::vector<std::string_view> words(in_quotes.begin(), in_quotes.end());
  std::string message = "found " + found(node_) + ", expected " + list_of(words, "or");
  if (node_.kind == JsonNode::Kind::string) message += did_you_mean(node_.text, names);
  fail(message);
  return std::nullopt;
}

bool read_fields(const JsonValue& object, std::initializer_list<JsonFields> tables) {
  if (!object.expect(JsonNode::Kind::object)) return false;
  const JsonNode& node = object.node();
  for (size_t i = 0; i < node.names.size(); ++i) {
    const JsonValue value = object.member(i);
    bool known = false;
    for (const JsonFields& table : tables) {
      for (size_t field = 0; field < table.size() && !known; ++field) {
        if (table.name(field) != node.names[i]) continue;
        known = true;
        if (!table.read(field, value)) return false;
      }
    }
    if (known) continue;
    std::vector<std::string_view> names;
    for (const JsonFields& table : tables) {
      for (size_t field = 0; field < table.size(); ++field) names.push_back(table.name(field));
    }
    return value.fail("unknown key" + did_you_mean(node.names[i], names) +
                      " (known here: " + list_of(names) + ")");
  }
  return true;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const auto near = nearest_name(word, known);
  return near ? "; did you mean \"" + std::string(*near) + "\"?" : "";
}

std::string list_of(std::span<const std::string_view> words, std::string_view last) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " " + std::string(last) + " " : ", ";
    text += words[i];
  }
  return text;
}

std::optional<JsonValue> member_of(const JsonValue& object, std::string_view name) {
  for (size_t i = 0; i < object.node().names.size(); ++i) {
    if (object.node().names[i] == name) return object.member(i);
  }
  return std::nullopt;
}

}  // namespace hf
