#include "core/names.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace hf;

namespace {

std::string name_error(std::string_view text) {
  const Status status = check_name("queue", text);
  return status ? "accepted" : status.error().message;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

constexpr std::array<std::string_view, 5> kKnown = {"max_attempts", "timeout", "concurrency",
                                                    "backoff", "sink"};

}  // namespace

TEST_CASE("names: letters, digits and _ . : / - up to the limit") {
  for (const char* text : {"a", "default", "_internal", "9", "a.b:c/d-e_f", "Report2"}) {
    CAPTURE(text);
    CHECK(check_name("queue", text).ok());
  }
  CHECK(check_name("queue", std::string(HF_NAME_MAX, 'x')).ok());
}

TEST_CASE("names: too long or empty") {
  CHECK(has(name_error(std::string(HF_NAME_MAX + 1, 'x')), "is 65 bytes long: at most 64"));
  CHECK(name_error("") == "the queue name is empty");
}

TEST_CASE("names: a wrong first byte is named") {
  for (const char* text : {"-a", ".a", ":a", "/a", " a"}) {
    CAPTURE(text);
    CHECK(has(name_error(text), "a letter, a digit or _ is allowed there"));
  }
}

TEST_CASE("names: a wrong byte is named with its place") {
  CHECK(name_error("foo bar") ==
        "the queue name \"foo bar\" has \" \" at position 4: allowed are letters, digits and "
        "_ . : / -");
  CHECK(has(name_error("caf\xc3\xa9s"), "has \"\xc3\xa9\" at position 4"));
  CHECK(has(name_error(std::string_view("a\0b", 3)), "has \"\\x00\" at position 2"));
  CHECK(check_name("queue", "a\xff").error().code == HF_E_INVALID);
}

TEST_CASE("UTF-8: well-formed text of every length") {
  CHECK(valid_utf8(""));
  CHECK(valid_utf8("plain"));
  CHECK(valid_utf8("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
  CHECK(valid_utf8("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
  CHECK(valid_utf8(std::string_view("\0", 1)));
}

TEST_CASE("UTF-8: overlong forms, surrogates, too large and cut characters are refused") {
  for (const char* text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80",
        "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3x", "a\xe2\x82x"}) {
    CAPTURE(text);
    CHECK_FALSE(valid_utf8(text));
  }
}

TEST_CASE("UTF-8: cutting never splits a character") {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";  // 1 + 2 + 3 + 4 + 1 bytes
  constexpr std::array<size_t, 12> kKept = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
  for (size_t max = 0; max < kKept.size(); ++max) {
    CAPTURE(max);
    CHECK(cut_utf8(text, max).size() == kKept[max]);
    CHECK(valid_utf8(cut_utf8(text, max)));
  }
}

TEST_CASE("UTF-8: cutting what is not UTF-8 keeps nearly all of it") {
  const std::string bytes(20, '\x80');
  CHECK(cut_utf8(bytes, 10).size() >= 7);
  CHECK(cut_utf8(bytes, 2).size() <= 2);
}

TEST_CASE("quoted: printable, on one line and short") {
  CHECK(quoted("abc") == "\"abc\"");
  CHECK(quoted("a\"b\\c\n\x7f") == "\"a\\x22b\\x5cc\\x0a\\x7f\"");
  CHECK(quoted("\xe2\x82\xac") == "\"\xe2\x82\xac\"");
  CHECK(quoted("\xff\xc3") == "\"\\xff\\xc3\"");
  CHECK(quoted("abcdef", 3) == "\"abc...\"");
  CHECK(quoted("ab\xe2\x82\xac", 4) == "\"ab...\"");
}

TEST_CASE("nearest name: one letter more, less, other or swapped") {
  CHECK(nearest_name("max_atempts", kKnown) == "max_attempts");
  CHECK(nearest_name("timeoutt", kKnown) == "timeout");
  CHECK(nearest_name("simk", kKnown) == "sink");
  CHECK(nearest_name("tiemout", kKnown) == "timeout");
  CHECK(nearest_name("TimeOut", kKnown) == "timeout");
}

TEST_CASE("nearest name: none when all are far") {
  CHECK_FALSE(nearest_name("priority", kKnown));
  CHECK_FALSE(nearest_name("", kKnown));
  CHECK_FALSE(nearest_name("x", kKnown));
  CHECK_FALSE(nearest_name(std::string(5000, 'x'), kKnown));
  CHECK_FALSE(nearest_name("a", std::array<std::string_view, 1>{"b"}));
}

TEST_CASE("nearest names: the nearest first, at most as many as asked for") {
  constexpr std::array<std::string_view, 4> kCities = {"Bern", "Berlin", "Berlim", "Bergen"};
  const auto names = nearest_names("berlim", kCities, 2);
  REQUIRE(names.size() == 2);
  CHECK(names[0] == "Berlim");
  CHECK(names[1] == "Berlin");
}

TEST_CASE("one line: what a message quotes is UTF-8 without control characters") {
  CHECK(one_line("grün \xE2\x82\xAC") == "grün \xE2\x82\xAC");
  CHECK(one_line("a\nb\tc\x7F\x1B[2J") == "a?b?c??[2J");
  CHECK(one_line("\xFF\xC3x\xED\xA0\x80") == "??x???");
  CHECK(one_line(std::string_view("\0", 1)) == "?");
}

TEST_CASE("names: bytes as hexadecimal digits and percent-encoded") {
  CHECK(hex("") == "");
  CHECK(hex(std::string("\0\x0f\xf0\xffz", 5)) == "000ff0ff7a");
  CHECK(percent_encode("aZ09", "") == "aZ09");
  CHECK(percent_encode("a/b c%\xc3\xbc\n", "/") == "a/b%20c%25%C3%BC%0A");
  CHECK(percent_encode(std::string("\0", 1), "/") == "%00");
}
