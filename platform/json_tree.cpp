#include "platform/json_tree.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "core/names.h"
#include "platform/json_text.h"

namespace hf {
namespace {

// "3:14: ", of the byte at `at`.
std::string place(std::string_view text, size_t at) {
  const auto before = text.substr(0, at);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 == 0
  return std::to_string(std::count(before.begin(), before.end(), '\n') + 1) + ":" +
         std::to_string(before.size() - line_start + 1) + ": ";
}

// An iterator over the text that leaves a mark of how far the parser has read: its SAX interface
// knows no positions.
class MarkingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  MarkingIterator(const char* at, const char** mark) : at_(at), mark_(mark) {}
  reference operator*() const { return *at_; }
  MarkingIterator& operator++() {
    *mark_ = ++at_;
    return *this;
  }
  bool operator==(const MarkingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const MarkingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** mark_;
};

// ordered_json, as in the command line: one parser and one writer in the program.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::ordered_json> {
 public:
  explicit TreeBuilder(std::string_view text) : text_(text), mark_(text.data()), counted_(mark_) {}

  const char** mark() { return &mark_; }
  JsonNode& root() { return root_; }
  const std::string& failure() const { return failure_; }

  bool null() override { return add(JsonNode::Kind::null) != nullptr; }
  bool boolean(bool value) override {
    JsonNode* node = add(JsonNode::Kind::boolean);
    if (node) node->boolean = value;
    return node;
  }
  bool number_integer(number_integer_t value) override {
    return integer(value, std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= uint64_t{std::numeric_limits<int64_t>::max()}) {
      return integer(static_cast<int64_t>(value), std::to_string(value));
    }
    return number_float(static_cast<double>(value), std::to_string(value));
  }
  bool number_float(number_float_t value, const string_t& raw) override {
    JsonNode* node = add(JsonNode::Kind::number);
    if (!node) return false;
    node->number = value;
    node->text = raw;
    return true;
  }
  bool string(string_t& value) override {
    JsonNode* node = add(JsonNode::Kind::string);
    if (node) node->text = std::move(value);
    return node;
  }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool key(string_t& value) override {
    open_.back()->names.push_back(std::move(value));
    name_line_ = line();
    return true;
  }
  bool start_object(size_t) override { return open(JsonNode::Kind::object); }
  bool start_array(size_t) override { return open(JsonNode::Kind::array); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool end_object() override {
    const JsonNode& object = *open_.back();
    open_.pop_back();
    std::vector<size_t> order(object.names.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::tie(object.names[a], a) < std::tie(object.names[b], b);
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const std::string& name = object.names[order[i]];
      if (name != object.names[order[i - 1]]) continue;
      failure_ = std::to_string(object.items[order[i]].line) + ": the key " + json_string(name) +
                 " is there twice, first on line " +
                 std::to_string(object.items[order[i - 1]].line);
      return false;
    }
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing
    // object key - unexpected end of input; expected string literal"
    std::string_view reason = error.what();
    const size_t dash = reason.find(" - ");
    const size_t name_end = reason.find("] ");  // "[json.exception.out_of_range.406] number overflow parsing '1e999'"
    if (dash != reason.npos) {
      reason.remove_prefix(dash + 3);
    } else if (name_end != reason.npos) {
      reason.remove_prefix(name_end + 2);
    }
    failure_ = position() + one_line(reason);  // it quotes what was read last, whatever bytes these are
    return false;
  }

 private:
  int line() {
    // A number ends where the byte behind it has been read: that newline belongs to the next value.
    const char* end = mark_ > counted_ && mark_[-1] == '\n' ? mark_ - 1 : mark_;
    line_ += static_cast<int>(std::count(counted_, end, '\n'));
    counted_ = end;
    return line_;
  }
  // Of the last byte that was read.
  std::string position() {
    return place(text_, static_cast<size_t>((mark_ > text_.data() ? mark_ - 1 : mark_) - text_.data()));
  }
  bool integer(int64_t value, std::string raw) {
    JsonNode* node = add(JsonNode::Kind::integer);
    if (!node) return false;
    node->integer = value;
    node->number = static_cast<double>(value);
    node->text = std::move(raw);
    return true;
  }
  bool open(JsonNode::Kind kind) {
    if (open_.size() == kJsonDepthMax) {
      failure_ = position() + "nested more than " + std::to_string(kJsonDepthMax) + " deep";
      return false;
    }
    JsonNode* node = add(kind);
    if (node) open_.push_back(node);
    return node;
  }
  // The pointers in open_ hold: a node is only added to the innermost open one.
  JsonNode* add(JsonNode::Kind kind) {
    if (++values_ > kJsonValuesMax) {
      failure_ = position() + "more than " + std::to_string(kJsonValuesMax) + " values";
      return nullptr;
    }
    JsonNode* node = &root_;
    int at = line();
    if (!open_.empty()) {
      node = &open_.back()->items.emplace_back();
      if (open_.back()->kind == JsonNode::Kind::object) at = name_line_;
    }
    node->kind = kind;
    node->line = at;
    return node;
  }

  const std::string_view text_;
  const char* mark_;     // behind the last byte that the parser took
  const char* counted_;  // lines are counted up to here
  int line_ = 1;
  int name_line_ = 1;
  size_t values_ = 0;
  JsonNode root_;
  std::vector<JsonNode*> open_;
  std::string failure_;
};

void append_compact(const JsonNode& node, std::string* out) {
  switch (node.kind) {
    case JsonNode::Kind::null:
      *out += "null";
      return;
    case JsonNode::Kind::boolean:
      *out += node.boolean ? "true" : "false";
      return;
    case JsonNode::Kind::integer:
    case JsonNode::Kind::number:
      *out += node.text;
      return;
    case JsonNode::Kind::string:
      *out += json_string(node.text);
      return;
    case JsonNode::Kind::array:
    case JsonNode::Kind::object:
      break;
  }
  const bool object = node.kind == JsonNode::Kind::object;
  *out += object ? '{' : '[';
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (i > 0) *out += ',';
    if (object) *out += json_string(node.names[i]) + ":";
    append_compact(node.items[i], out);
  }
  *out += object ? '}' : ']';
}

}  // namespace

const JsonNode* JsonNode::find(std::string_view name) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return &items[i];
  }
  return nullptr;
}

const JsonNode* JsonNode::find(std::string_view name, Kind of_kind) const {
  const JsonNode* found = find(name);
  return found != nullptr && found->kind == of_kind ? found : nullptr;
}

std::string_view json_kind_name(JsonNode::Kind kind) {
  switch (kind) {
    case JsonNode::Kind::null:
      return "null";
    case JsonNode::Kind::boolean:
      return "true or false";
    case JsonNode::Kind::integer:
    case JsonNode::Kind::number:
      return "a number";
    case JsonNode::Kind::string:
      return "a string";
    case JsonNode::Kind::array:
      return "an array";
    case JsonNode::Kind::object:
      return "an object";
  }
  return "";
}

Result<JsonNode> parse_json(std::string_view text) {
  if (const size_t nul = text.find('\0'); nul != text.npos) {  // the parser takes it for the end
    return Error{HF_E_INVALID, place(text, nul) + "a NUL byte, which JSON text does not hold"};
  }
  TreeBuilder builder(text);
  const MarkingIterator begin(text.data(), builder.mark());
  const MarkingIterator end(text.data() + text.size(), builder.mark());
  if (!nlohmann::ordered_json::sax_parse(begin, end, &builder)) {
    return Error{HF_E_INVALID, builder.failure()};
  }
  return std::move(builder.root());
}

std::string compact_json(const JsonNode& node) {
  std::string out;
  append_compact(node, &out);
  return out;
}

std::string json_text(double number) { return nlohmann::ordered_json(number).dump(); }

std::string json_string(std::string_view text) {
  return nlohmann::ordered_json(text).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace hf
