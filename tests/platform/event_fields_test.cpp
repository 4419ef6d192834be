// What filters see of an event, and what a filter may say.
#include "platform/event_fields.h"

#include <doctest/doctest.h>

#include "core/events.h"

using namespace hf;

namespace {

// "a=1 b="x"", in their order.
std::string fields(std::string_view payload) {
  std::string text;
  for (const auto& [name, value] : event_fields(payload)) text += (text.empty() ? "" : " ") + name + "=" + value;
  return text;
}
std::string filter(std::string_view text) {
  const auto read = parse_filter(text);
  if (!read) return read.error().message;
  std::string out;
  for (const auto& [name, value] : *read) out += (out.empty() ? "" : " ") + name + "=" + value;
  return out;
}
std::string nested(size_t depth) { return "{\"a\":1,\"b\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}"; }

}  // namespace

TEST_CASE("the fields at the top of an object, as compact JSON") {
  CHECK(fields(R"( { "door" : 3, "who": "anna", "alarm": true, "dry": false, "badge": null } )") == R"(door=3 who="anna" alarm=true dry=false badge=null)");
  CHECK(fields("{}") == "");
  CHECK(fields(R"({"a": {"b": 1, "c": [2]}, "d": [{"e": 3}], "f": 4})") == "f=4");
  CHECK(fields(R"({"": 1, "\u0061b": "\u00e4\n\"/"})") == "=1 ab=\"ä\\n\\\"/\"");
}

TEST_CASE("numbers that are equal are the same text") {
  for (const char* number : {"1", "1.0", "1e0", "10e-1", "0.1e1"}) CHECK(fields("{\"n\":" + std::string(number) + "}") == "n=1");
  for (const char* number : {"0", "-0", "0.0", "-0.0", "0e9"}) CHECK(fields("{\"n\":" + std::string(number) + "}") == "n=0");
  for (const char* number : {"2.5", "25e-1", "2.50"}) CHECK(fields("{\"n\":" + std::string(number) + "}") == "n=2.5");
  CHECK(fields("{\"n\":1e18}") == "n=1000000000000000000");
  CHECK(fields("{\"n\":9223372036854775807}") == "n=9223372036854775807");
  CHECK(fields("{\"n\":-9223372036854775808}") == "n=-9223372036854775808");
  CHECK(fields("{\"n\":9223372036854775808}") == fields("{\"n\":9.223372036854775808e18}"));
  CHECK(fields("{\"n\":1e300}") == "n=1e+300");
  CHECK(fields("{\"n\":1e999}") == "");  // no number of ours: the parser refuses it
}

TEST_CASE("a filter reads numbers and text as a payload does") {
  for (const char* value : {"1.0", "-0.0", "25e-1", "1e18", "9223372036854775807", "18446744073709551615", "1e300", "\"\\u00e4/\"", "true", "null", "\"\""}) {
    CAPTURE(value);
    const std::string object = "{\"f\":" + std::string(value) + "}";
    CHECK(filter(object) == fields(object));
    CHECK(fields(object) != "");
  }
}

TEST_CASE("what is no JSON object has no fields") {
  for (const char* payload : {"", " ", "3", "null", "\"a\"", "[1]", "[{\"a\":1}]", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,}", "{'a':1}", "{\"a\":\"\xff\"}", "a=1"}) {
    CAPTURE(payload);
    CHECK(event_fields(payload).empty());
  }
  CHECK(event_fields(std::string_view("{\"a\":1}\0", 8)).empty());
  CHECK(event_fields(std::string_view("{\"a\":1}\0x", 9)).empty());
}

TEST_CASE("a name that is there twice counts as its last value says") {
  CHECK(fields(R"({"a": 1, "b": 2, "a": 3})") == "a=3 b=2");
  CHECK(fields(R"({"a": 1, "a": [3]})") == "");
  CHECK(fields(R"({"a": [3], "a": 1})") == "a=1");
}

TEST_CASE("what no filter can name is left out, and the rest is seen") {
  const std::string fits(kFilterValueMax - 2, 'x'), name(HF_KEY_MAX, 'n');
  CHECK(fields("{\"a\":\"" + fits + "\"}") == "a=\"" + fits + "\"");
  CHECK(fields("{\"a\":\"" + fits + "x\",\"b\":1}") == "b=1");
  CHECK(fields("{\"" + name + "\":1}") == name + "=1");
  CHECK(fields("{\"" + name + "n\":1,\"b\":1}") == "b=1");
  CHECK(fields("{\"a\":\"" + std::string(1 << 20, 'x') + "\",\"b\":1}") == "b=1");
}

TEST_CASE("depth and number are bounded") {
  CHECK(fields(nested(kJsonDepthMax)) == "a=1");
  CHECK(fields(nested(kJsonDepthMax + 1)) == "");
  CHECK(event_fields(std::string(1 << 20, '[')).empty());
  std::string many = "{";
  for (size_t i = 0; i < kEventFieldsMax + 50; ++i) many += (i == 0 ? "\"f" : ",\"f") + std::to_string(i) + "\":1";
  const EventFields seen = event_fields(many + "}");
  CHECK(seen.size() == kEventFieldsMax);
  CHECK(seen.front().first == "f0");
  CHECK(seen.back().first == "f255");
}

TEST_CASE("a filter says what is wrong with it, and where") {
  CHECK(filter(R"({"door": 3, "who": "anna"})") == "door=3 who=\"anna\"");
  CHECK(filter("{}") == "");
  CHECK(filter("") .starts_with("filter is not JSON: 1:1: "));
  CHECK(filter("{\"door\": }").starts_with("filter is not JSON: 1:10: "));
  CHECK(filter("[1]") == "filter: found an array, expected an object");
  CHECK(filter("{\"a\": {\"b\": 1}}") ==
        "filter: a: found an object, expected text, a number, true, false or null: a filter compares fields at the top of the payload, exactly");
  CHECK(filter("{\"a\": [1]}").starts_with("filter: a: found an array, expected text, a number"));
  CHECK(filter("{\"a\": 1, \"a\": 2}") == "filter is not JSON: 1: the key \"a\" is there twice, first on line 1");
  std::string many = "{";
  for (size_t i = 0; i <= kFilterMax; ++i) many += (i == 0 ? "\"f" : ",\"f") + std::to_string(i) + "\":1";
  CHECK(filter(many + "}") == "filter: there are 17 fields: at most 16 are allowed");
  CHECK(filter("{\"a\":\"" + std::string(kFilterValueMax - 1, 'x') + "\"}") == "filter: a: the value has 257 bytes as JSON: at most 256 are allowed");
  CHECK(filter("{\"" + std::string(HF_KEY_MAX + 1, 'n') + "\":1}").ends_with(": the name has 129 bytes: at most 128 are allowed"));
}
