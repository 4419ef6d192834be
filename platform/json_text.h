// JSON as it is written: text that grows, and no tree. (A tree of nlohmann's needs memory to be destroyed.)
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

#include "platform/json_tree.h"

namespace hf {

class JsonObject;
class JsonArray;

struct JsonText { std::string text; };  // JSON already

// One value as text. Numbers with a fraction are written so that they read back the same.
std::string json_text(double number);
inline std::string json_text(const JsonText& json) { return json.text; }
inline std::string json_text(std::nullptr_t) { return "null"; }
inline std::string json_text(std::string_view text) { return json_string(text); }
inline std::string json_text(const char* text) { return json_string(text); }
inline std::string json_text(const std::string& text) { return json_string(text); }
template <std::integral T>
std::string json_text(T value) {
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  else return std::to_string(value);
}
std::string json_text(const JsonObject& object);
std::string json_text(const JsonArray& array);

// json["name"] = value, in the order in which it is said; a name is said once.
class JsonObject {
 public:
  class Member {
   public:
    Member(std::string& out, std::string_view name) : out_(out), name_(name) {}
    template <class T>
    void operator=(const T& value) {
      const std::string text = json_text(value);
      if (!out_.empty()) out_ += ',';
      out_.append(json_string(name_)).append(1, ':').append(text);
    }

   private:
    std::string& out_;
    std::string_view name_;
  };
  Member operator[](std::string_view name) { return {members_, name}; }
  bool empty() const { return members_.empty(); }
  std::string text() const { return '{' + members_ + '}'; }

 private:
  std::string members_;
};

class JsonArray {
 public:
  template <class T>
  void push_back(const T& value) {
    const std::string text = json_text(value);
    if (!items_.empty()) items_ += ',';
    items_ += text;
  }
  bool empty() const { return items_.empty(); }
  std::string text() const { return '[' + items_ + ']'; }

 private:
  std::string items_;
};

inline std::string json_text(const JsonObject& object) { return object.text(); }
inline std::string json_text(const JsonArray& array) { return array.text(); }

}  // namespace hf
