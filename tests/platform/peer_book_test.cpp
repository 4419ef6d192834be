#include "platform/peer_book.h"

#include <doctest/doctest.h>

#include <vector>

using namespace hf;

namespace {

constexpr int64_t kDayMs = 86400000;
constexpr int64_t kEnd = 1800000000000;

struct Setup {
  std::vector<std::string> lines;
  PeerBook book{Logger([this](LogLevel, const std::string& line) { lines.push_back(line); })};
  Setup() { book.put("sinks.cloud", true); }
  // What is logged when this is left of our certificate.
  std::string at(int64_t left_ms, bool trusted = true) {
    lines.clear();
    book.learn("sinks.cloud", {kEnd, 0, 0}, {trusted, kEnd - left_ms});
    return lines.empty() ? "" : lines.size() == 1 ? lines[0] : "several";
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("certificates: days are whole ones, rounded down") {
  CHECK(days_until(kEnd, kEnd - kDayMs) == 1);
  CHECK(days_until(kEnd, kEnd - kDayMs + 1) == 0);
  CHECK(days_until(kEnd, kEnd) == 0);
  CHECK(days_until(kEnd, kEnd + 1) == -1);
  CHECK(days_until(kEnd, kEnd + kDayMs) == -1);
  CHECK(days_until(kEnd, kEnd + kDayMs + 1) == -2);
}

TEST_CASE("certificates: the log has each stage once") {
  Setup s;
  CHECK(s.at(30 * kDayMs + 1) == "");
  CHECK(has(s.at(30 * kDayMs), "cert_ends peer=sinks.cloud which=client days_left=30 "));
  CHECK(s.at(30 * kDayMs - 1) == "");
  CHECK(s.at(14 * kDayMs + 1) == "");
  CHECK(has(s.at(14 * kDayMs), "days_left=14 "));
  CHECK(s.at(14 * kDayMs) == "");
  CHECK(has(s.at(2 * kDayMs), "days_left=2 "));  // 7 was slept through; 3 it is
  CHECK(s.at(6 * kDayMs) == "");                 // a clock that goes back
  CHECK(has(s.at(kDayMs), "days_left=1 "));
  CHECK(s.at(1) == "");
  CHECK(has(s.at(0), "days_left=0 "));
  CHECK(s.at(-kDayMs) == "");
}

TEST_CASE("certificates: a clock that is not trusted tells nothing, and uses nothing up") {
  Setup s;
  CHECK(s.at(kDayMs, false) == "");
  CHECK(has(s.at(kDayMs), "days_left=1 "));
}

TEST_CASE("certificates: another one begins anew; what is not known is left as it was") {
  Setup s;
  CHECK(has(s.at(0), "which=client"));
  s.lines.clear();
  const CertClock now{true, kEnd};
  s.book.learn("sinks.cloud", {kEnd + 3 * kDayMs, kEnd + 100 * kDayMs, 0}, now);
  REQUIRE(s.lines.size() == 1);
  CHECK(has(s.lines[0], "which=client days_left=3 "));
  s.book.learn("sinks.cloud", {0, 0, kEnd + 7 * kDayMs}, now);
  REQUIRE(s.lines.size() == 2);
  CHECK(has(s.lines[1], "which=server days_left=7 "));
  const PeerReport report = s.book.report(now);
  REQUIRE(report.peers.size() == 1);
  CHECK(report.peers[0].ends == CertEnds{kEnd + 3 * kDayMs, kEnd + 100 * kDayMs, kEnd + 7 * kDayMs});
  s.book.learn("sinks.other", {kEnd, 0, 0}, now);  // nobody's
  CHECK(s.lines.size() == 2);
  s.book.put("sinks.cloud", false);
  CHECK(s.book.report(now).peers[0].ends == CertEnds{});
  CHECK(!s.book.report(now).peers[0].verified);
  s.book.drop("sinks.cloud");
  CHECK(s.book.report(now).peers.empty());
}
