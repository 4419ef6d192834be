#include "platform/event_fields.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/events.h"
#include "platform/json_text.h"

namespace hf {
namespace {

// 1, 1.0 and 1e0 are equal; so are 0 and -0.
std::string number_text(double value) {
  constexpr double kEnd = 9223372036854775808.0;  // 2^63
  if (value >= -kEnd && value < kEnd && value == static_cast<double>(static_cast<int64_t>(value))) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return json_text(value);  // not std::to_chars, whose tables are 120 KB
}

// Goes through the text without keeping it: a payload may be large, and is not ours.
class FieldReader final : public nlohmann::json_sax<nlohmann::ordered_json> {
 public:
  bool is_object() const { return object_; }
  EventFields take() {
    std::erase_if(fields_, [](const auto& field) { return field.second.empty(); });
    return std::move(fields_);
  }

  bool null() override { return value("null"); }
  bool boolean(bool yes) override { return value(yes ? "true" : "false"); }
  bool number_integer(number_integer_t number) override { return value(std::to_string(number)); }
  bool number_unsigned(number_unsigned_t number) override {
    const bool small = number <= uint64_t{std::numeric_limits<int64_t>::max()};
    return value(small ? std::to_string(number) : number_text(static_cast<double>(number)));
  }
  bool number_float(number_float_t number, const string_t&) override { return value(number_text(number)); }
  bool string(string_t& text) override { return value(at_top() && text.size() <= kFilterValueMax ? json_string(text) : ""); }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool key(string_t& name) override {
    if (at_top()) name_ = std::move(name);
    return true;
  }
  bool start_object(size_t) override {
    if (depth_ == 0) object_ = true;
    return open();
  }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool at_top() const { return object_ && depth_ == 1; }
  bool open() {
    value("");
    return ++depth_ <= kJsonDepthMax;
  }
  bool close() {
    --depth_;
    return true;
  }
  // "": one that no filter can name; it stands for what was said before under the same name.
  bool value(std::string text) {
    if (!at_top() || name_.size() > HF_KEY_MAX) return true;
    if (text.size() > kFilterValueMax) text.clear();
    const auto there = std::find_if(fields_.begin(), fields_.end(), [&](const auto& field) { return field.first == name_; });
    if (there != fields_.end()) {
      there->second = std::move(text);
    } else if (!text.empty() && fields_.size() < kEventFieldsMax) {
      fields_.emplace_back(name_, std::move(text));
    }
    return true;
  }

  int depth_ = 0;
  bool object_ = false;
  std::string name_;
  EventFields fields_;
};

}  // namespace

EventFields event_fields(std::string_view payload) {
  if (payload.find('\0') != payload.npos) return {};  // the parser takes it for the end
  FieldReader reader;
  if (!nlohmann::ordered_json::sax_parse(payload.begin(), payload.end(), &reader) || !reader.is_object()) return {};
  return reader.take();
}

bool read_filter(const JsonValue& object, EventFields* filter) {
  if (!object.expect(JsonNode::Kind::object)) return false;
  const JsonNode& node = object.node();
  if (node.items.size() > kFilterMax) {
    return object.fail("there are " + std::to_string(node.items.size()) + " fields: at most " + std::to_string(kFilterMax) + " are allowed");
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const JsonValue item = object.member(i);
    const JsonNode& value = node.items[i];
    if (value.kind == JsonNode::Kind::array || value.kind == JsonNode::Kind::object) {
      return item.unexpected("text, a number, true, false or null: a filter compares fields at the top of the payload, exactly");
    }
    if (node.names[i].size() > HF_KEY_MAX) return item.fail("the name has " + std::to_string(node.names[i].size()) + " bytes: at most " + std::to_string(HF_KEY_MAX) + " are allowed");
    std::string text = value.kind == JsonNode::Kind::number ? number_text(value.number) : compact_json(value);
    if (text.size() > kFilterValueMax) {
      return item.fail("the value has " + std::to_string(text.size()) + " bytes as JSON: at most " + std::to_string(kFilterValueMax) + " are allowed");
    }
    filter->emplace_back(node.names[i], std::move(text));
  }
  return true;
}

Result<EventFields> parse_filter(std::string_view text) {
  const auto tree = parse_json(text);
  if (!tree) return Error{HF_E_INVALID, "filter is not JSON: " + tree.error().message};
  JsonReport report;
  EventFields filter;
  if (!read_filter(JsonValue(*tree, report), &filter)) return Error{report.error().code, "filter: " + report.error().message};
  return filter;
}

}  // namespace hf
