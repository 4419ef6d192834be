#include "handlers/error_text.h"

#include <doctest/doctest.h>
#include <holdfast.h>

#include "core/names.h"

using namespace hf;

TEST_SUITE("error_text") {
  TEST_CASE("printable keeps text and defuses the rest") {
    CHECK(printable("a\tb\nGrüße") == "a\tb\nGrüße");
    CHECK(printable("\x1b[31m\r") == "?[31m?");
    CHECK(printable(std::string_view("a\0b", 3)) == "a?b");
    CHECK(printable("\xff\xc3") == "??");
    CHECK(printable("\xc2\x9b"
                    "1m") == "?1m");  // CSI as one character
    CHECK(printable("\x7f") == "?");
  }

  TEST_CASE("a detail that fits is whole") {
    CHECK(error_with_tail("exit code 1", "no such disk\n", false) == "exit code 1: no such disk");
    CHECK(error_with_head("HTTP 404 from h", " not here ", false) == "HTTP 404 from h: not here");
    CHECK(error_with_tail("exit code 1", " \n", false) == "exit code 1");
    CHECK(error_with_tail("exit code 1", "rest", true) == "exit code 1: ...rest");
    CHECK(error_with_head("HTTP 404", "begin-", true) == "HTTP 404: begin...");
  }

  TEST_CASE("a long detail keeps its end or its start, cut between characters") {
    std::string umlauts;
    for (int i = 0; i < 1000; ++i) umlauts += "ü";
    for (const std::string& what : {std::string("x"), std::string("xy"), std::string(2000, 'w')}) {
      for (bool cut : {false, true}) {
        const std::string tail = error_with_tail(what, "begin" + umlauts + "end", cut);
        const std::string head = error_with_head(what, "begin" + umlauts + "end", cut);
        for (const std::string& text : {tail, head}) {
          CHECK(text.size() <= HF_ERROR_TEXT_MAX);
          CHECK(text.size() > HF_ERROR_TEXT_MAX - 4);
          CHECK(valid_utf8(text));
          CHECK(text.find('?') == std::string::npos);
        }
        CHECK(tail.ends_with("üend"));
        CHECK(head.find(": beginü") != std::string::npos);
        CHECK(head.ends_with("..."));
      }
    }
  }

  TEST_CASE("half a character at the cut is dropped") {
    CHECK(error_with_tail("x", "\xbcnd", true) == "x: ...nd");
    CHECK(error_with_tail("x", "\xbcnd", false) == "x: ?nd");
  }
}
