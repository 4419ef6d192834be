#include "platform/log.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

using namespace hf;

TEST_CASE("log line: event and plain values") {
  CHECK(format_log_line("job.done", {{"id", 17}, {"queue", "default"}, {"ok", true}, {"delta", -3}}) ==
        "job.done id=17 queue=default ok=true delta=-3");
  CHECK(format_log_line("start", {}) == "start");
}

TEST_CASE("log line: integers of every width") {
  CHECK(format_log_line("x", {{"a", std::uint64_t{18446744073709551615u}}, {"b", std::int64_t{INT64_MIN}}}) ==
        "x a=18446744073709551615 b=-9223372036854775808");
}

TEST_CASE("log line: values that need it are quoted") {
  CHECK(format_log_line("x", {{"a", ""}, {"b", "two words"}, {"c", "k=v"}}) == "x a=\"\" b=\"two words\" c=\"k=v\"");
  CHECK(format_log_line("x", {{"a", "say \"hi\" \\"}}) == "x a=\"say \\\"hi\\\" \\\\\"");
}

TEST_CASE("log line: stays one line, and no terminal obeys it") {
  CHECK(format_log_line("x", {{"a", "one\ntwo\ttab\r"}}) == "x a=\"one\\ntwo\\ttab\\x0d\"");
  CHECK(format_log_line("x", {{"a", "\x1b[2J"}}) == "x a=\"\\x1b[2J\"");
  CHECK(format_log_line("x", {{"a", "\xc2\x9b" "2J"}}) == "x a=\"\\xc2\\x9b2J\"");  // CSI as a C1 character
}

TEST_CASE("log line: UTF-8 passes, other bytes are shown as such") {
  CHECK(format_log_line("x", {{"a", "Gerät"}, {"b", "日本"}, {"c", "😀"}}) == "x a=Gerät b=日本 c=😀");
  CHECK(format_log_line("x", {{"a", "\xff" "a"}}) == "x a=\"\\xffa\"");
  CHECK(format_log_line("x", {{"a", "\xc0\xaf"}}) == "x a=\"\\xc0\\xaf\"");      // overlong
  CHECK(format_log_line("x", {{"a", "\xed\xa0\x80"}}) == "x a=\"\\xed\\xa0\\x80\"");  // surrogate
  CHECK(format_log_line("x", {{"a", "\xe6\x97"}}) == "x a=\"\\xe6\\x97\"");      // cut off
}

TEST_CASE("log line: long values are cut, between characters") {
  CHECK(format_log_line("x", {{"a", std::string(kLogValueMax, 'y')}}) == "x a=" + std::string(kLogValueMax, 'y'));
  CHECK(format_log_line("x", {{"a", std::string(kLogValueMax + 1, 'y')}}) ==
        "x a=" + std::string(kLogValueMax, 'y') + "...");
  CHECK(format_log_line("x", {{"a", std::string(kLogValueMax - 1, 'y') + "日本"}}) ==
        "x a=" + std::string(kLogValueMax - 1, 'y') + "...");
}

TEST_CASE("log line: secrets do not reach it") {
  CHECK(format_log_line("x", {{"password", "hunter2"}, {"Proxy-Authorization", "Basic Zm9v"}, {"api_token", "t"}}) ==
        "x password=<hidden> Proxy-Authorization=<hidden> api_token=<hidden>");
  CHECK(format_log_line("x", {{"url", "https://user:pw@host/a?b=1"}}) == "x url=\"https://host/a?b=1\"");
  CHECK(format_log_line("x", {{"text", "GET http://a@b@host/ and ftp://u:p@h"}}) ==
        "x text=\"GET http://host/ and ftp://h\"");
  CHECK(format_log_line("x", {{"url", "https://host/mail@example"}}) == "x url=https://host/mail@example");
}

TEST_CASE("log line: a null string is an empty one") {
  const char* none = nullptr;
  CHECK(format_log_line("x", {{"a", none}}) == "x a=\"\"");
}

TEST_CASE("logger: the lowest level, for all copies") {
  std::vector<std::string> lines;
  const Logger logger([&](LogLevel level, const std::string& line) {
    lines.push_back(std::string(log_level_name(level)) + " " + line);
  });
  const Logger copy = logger;
  copy.error("a");
  copy.warn("b");
  copy.info("c");
  copy.debug("d");
  CHECK(lines == std::vector<std::string>{"error a", "warn b", "info c"});
  logger.set_lowest(LogLevel::kDebug);
  CHECK(copy.enabled(LogLevel::kDebug));
  copy.debug("e", {{"n", 1}});
  CHECK(lines.back() == "debug e n=1");
}

TEST_CASE("logger: a default one logs nothing") {
  const Logger none;
  none.error("a", {{"b", 1}});
  CHECK_FALSE(none.enabled(LogLevel::kError));
  CHECK_FALSE(logger_of(nullptr, nullptr).enabled(LogLevel::kError));
}

TEST_CASE("logger: the C sink gets level, line and user") {
  struct Seen { int level = -1; std::string line; } seen;
  const Logger logger = logger_of([](int level, const char* line, void* user) {
    auto* to = static_cast<Seen*>(user);
    to->level = level;
    to->line = line;
  }, &seen);
  logger.warn("disk.full", {{"bytes", 5}});
  CHECK(seen.level == HF_LOG_WARN);
  CHECK(seen.line == "disk.full bytes=5");
}

TEST_CASE("log: the journal's form and the dated form") {
  CHECK(journal_line(LogLevel::kError, "x") == "<3>x\n");
  CHECK(journal_line(LogLevel::kWarn, "x") == "<4>x\n");
  CHECK(journal_line(LogLevel::kInfo, "x") == "<6>x\n");
  CHECK(journal_line(LogLevel::kDebug, "x") == "<7>x\n");
  CHECK(dated_line(LogLevel::kInfo, "x a=1", 1'795'517'714'005) == "2026-11-24T10:55:14.005Z info x a=1\n");
  CHECK(dated_line(LogLevel::kWarn, "x", -1) == "1969-12-31T23:59:59.999Z warn x\n");
  CHECK(dated_line(LogLevel::kWarn, "x", 4'102'444'800'000) == "2100-01-01T00:00:00.000Z warn x\n");
}

TEST_CASE("log: the journal is recognised by device and inode") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  struct stat is {};
  REQUIRE(fstat(ends[1], &is) == 0);
  const std::string name = std::to_string(is.st_dev) + ":" + std::to_string(is.st_ino);
  CHECK(is_journal_stream(ends[1], name.c_str()));
  CHECK_FALSE(is_journal_stream(ends[1], (name + "1").c_str()));
  CHECK_FALSE(is_journal_stream(ends[1], (name + " ").c_str()));
  CHECK_FALSE(is_journal_stream(ends[1], "1:2"));
  CHECK_FALSE(is_journal_stream(ends[1], ""));
  CHECK_FALSE(is_journal_stream(ends[1], nullptr));

  descriptor_sink(ends[1], true)(LogLevel::kInfo, "line");
  char text[32];
  const ssize_t length = read(ends[0], text, sizeof text);
  REQUIRE(length > 0);
  CHECK(std::string(text, static_cast<std::size_t>(length)) == "<6>line\n");
  close(ends[0]);
  close(ends[1]);
}
