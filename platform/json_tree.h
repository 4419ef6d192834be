// JSON text to a tree that remembers its lines, for all that comes in: configuration and admin API.
//
// Stricter than RFC 8259 where silence would hide a mistake: a name twice in one object is an
// error, and depth and number of values are bounded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hf {

inline constexpr int kJsonDepthMax = 64;
inline constexpr size_t kJsonValuesMax = 250000;  // about 100 bytes of memory each

struct JsonNode {
  enum class Kind : uint8_t { null, boolean, integer, number, string, array, object };
  Kind kind = Kind::null;
  bool boolean = false;
  int line = 1;  // of the value; of its name, for a member of an object
  int64_t integer = 0;
  double number = 0;               // also of an integer
  std::string text;                // of a string; of a number: as it was written
  std::vector<std::string> names;  // object: the name of each item
  std::vector<JsonNode> items;     // array, object

  const JsonNode* find(std::string_view name) const;  // REQUIRES: an object; nullptr: not there
  const JsonNode* find(std::string_view name, Kind of_kind) const;  // ... or of another kind
};

// "string", "object", ... with its article: "a string".
std::string_view json_kind_name(JsonNode::Kind kind);

// HF_E_INVALID: "3:14: expected ..." with the line and the column (bytes) where it is wrong.
Result<JsonNode> parse_json(std::string_view text);

// The value as text without blanks; numbers as they were written.
std::string compact_json(const JsonNode& node);
// `text` as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

}  // namespace hf
