// From a JSON object to a struct by a table of its fields. The table is the one place that knows
// the names: it drives the reading, the hints for a mistyped name and the check of
// docs/reference.md.
//
//   constexpr JsonField<Batch> kBatchFields[] = {
//       {"max_jobs", "number", [](Batch& to, const JsonValue& v) { return v.integer(&to.max_jobs,
//       1, 10000); }},
//       ...
//   };
//   if (!read_fields(value, {{kBatchFields, batch}})) return report.error();
//
// A reader returns false after it has told the report what was found, where, and what is allowed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "platform/json_tree.h"

namespace hf {

// What became of one document. The first error wins.
class JsonReport {
 public:
  // `file` is put before each message, with the line: "holdfast.json:12: ". "": neither.
  // `bare_ms`: a number without a unit is a duration in milliseconds.
  explicit JsonReport(std::string file = "", bool bare_ms = false)
      : file_(std::move(file)), bare_ms_(bare_ms) {}

  bool bare_ms() const { return bare_ms_; }

  bool failed() const { return error_.has_value(); }
  const Error& error() const { return *error_; }  // REQUIRES: failed()
  const std::vector<std::string>& warnings() const { return warnings_; }

  bool fail(int line, std::string_view path, std::string_view message);  // false
  void warn(int line, std::string_view path, std::string_view message);

 private:
  std::string place(int line, std::string_view path, std::string_view message) const;

  const std::string file_;
  const bool bare_ms_;
  std::optional<Error> error_;
  std::vector<std::string> warnings_;
};

template <class E>
struct JsonChoice {
  std::string_view name;
  E value;
};

// A value and its place in the document. Lives on the stack while the document is read; refers to
// its parent, the node and the report.
class JsonValue {
 public:
  JsonValue(const JsonNode& node, JsonReport& report) : node_(node), report_(report) {}
  JsonValue member(size_t i) const { return {node_.items[i], *this, node_.names[i], 0}; }
  JsonValue item(size_t i) const { return {node_.items[i], *this, {}, i}; }

  const JsonNode& node() const { return node_; }
  JsonReport& report() const { return report_; }
  std::string path() const;  // "handlers.report.exec[2]"; "" for the document

  // false, and the report has the message: "<path>: <message>".
  bool fail(std::string_view message) const;
  void warn(std::string_view message) const;
  bool unexpected(std::string_view expected) const;  // false: "found 7, expected ..."
  bool expect(JsonNode::Kind kind) const;

  bool text(std::string* out, size_t max_bytes = 4096) const;  // not empty, no NUL
  bool name(std::string_view kind, std::string* out) const;    // check_name
  bool duration(int64_t* out, int64_t min_ms, int64_t max_ms) const;
  bool size(int64_t* out, int64_t min_bytes, int64_t max_bytes) const;
  bool time(int64_t* out) const;
  bool integer(int64_t* out, int64_t min, int64_t max) const;
  bool integer(int* out, int min, int max) const;
  bool number(double* out, double min, double max) const;
  bool boolean(bool* out) const;
  bool texts(std::vector<std::string>* out, size_t max_items) const;  // at least one
  // {"NAME": "text", ...}
  bool text_map(std::vector<std::pair<std::string, std::string>>* out, size_t max_items) const;

  template <class E, class To, size_t N>
  bool choice(To* out, const std::array<JsonChoice<E>, N>& choices) const {
    std::array<std::string_view, N> names;
    for (size_t i = 0; i < N; ++i) names[i] = choices[i].name;
    const auto chosen = choose(names);
    if (chosen) *out = choices[*chosen].value;
    return chosen.has_value();
  }

 private:
  JsonValue(const JsonNode& node, const JsonValue& parent, std::string_view name, size_t index)
      : node_(node), report_(parent.report_), parent_(&parent), name_(name), index_(index) {}
  std::optional<size_t> choose(std::span<const std::string_view> names) const;

  const JsonNode& node_;
  JsonReport& report_;
  const JsonValue* parent_ = nullptr;
  std::string_view name_;  // in an object
  size_t index_ = 0;       // in an array
};

template <class T>
struct JsonField {
  std::string_view name;
  std::string_view kind;  // as the reference says it: "duration", "name", "object"
  bool (*read)(T& to, const JsonValue& value);
};

// A table and the struct that it fills, types forgotten, so that one object can fill several
// structs.
class JsonFields {
 public:
  template <class T, size_t N>
  JsonFields(const JsonField<T> (&table)[N], T& to)
      : JsonFields(std::span<const JsonField<T>>(table), to) {}
  template <class T>
  JsonFields(std::span<const JsonField<T>> table, T& to)
      : table_(table.data()),
        size_(table.size()),
        to_(&to),
        name_([](const void* fields, size_t i) {
          return static_cast<const JsonField<T>*>(fields)[i].name;
        }),
        read_([](const void* fields, size_t i, void* into, const JsonValue& value) {
          return static_cast<const JsonField<T>*>(fields)[i].read(*static_cast<T*>(into), value);
        }) {}

  size_t size() const { return size_; }
  std::string_view name(size_t i) const { return name_(table_, i); }
  bool read(size_t i, const JsonValue& value) const { return read_(table_, i, to_, value); }

 private:
  const void* table_;
  size_t size_;
  void* to_;
  std::string_view (*name_)(const void*, size_t);
  bool (*read_)(const void*, size_t, void*, const JsonValue&);
};

// Reads each member of the object by the first table that has its name; a name that none has is an
// error with the nearest one that is known.
bool read_fields(const JsonValue& object, std::initializer_list<JsonFields> tables);

// For messages about unknown names: `; did you mean "x"?` or "".
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);
// "a, b and c"
std::string list_of(std::span<const std::string_view> words, std::string_view last = "and");

// The value `name` of `object`, which stays where it is as long as the result is used.
std::optional<JsonValue> member_of(const JsonValue& object, std::string_view name);
std::optional<JsonValue> member_of(const JsonValue&& object, std::string_view name) = delete;  // what it gives refers to the object

}  // namespace hf
