#include "platform/metrics.h"

#include <doctest/doctest.h>

#include <regex>
#include <set>
#include <sstream>

#include "platform/health.h"
#include "platform/json.h"

using namespace hf;

namespace {

Transition ended(int64_t took_ms, Change change = Change::completed) {
  Transition t{};
  t.change = change;
  t.took_ms = took_ms;
  return t;
}

Stats some_stats() {
  Stats stats;
  stats.by_state[0] = 3;
  stats.completed = 7;
  stats.max_bytes = 1000;
  stats.max_jobs = 100;
  stats.clock.trusted = true;
  QueueInfo odd;
  odd.name = "a";
  odd.settings.concurrency = 4;
  stats.queues = {odd, odd};
  stats.queues[1].name = "b";
  stats.queues[1].settings.concurrency.reset();
  return stats;
}

// The rules of the format, as promtool holds them: HELP and TYPE before the samples, once a metric;
// a sample belongs to the metric above it; no series twice; counters end in _total.
std::string lint(const std::string& text) {
  static const std::regex sample(
      R"re(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*")*\})? (\+Inf|[-+0-9.e]+)$)re");
  if (text.empty() || text.back() != '\n') return "the last line has no end";
  std::istringstream lines(text);
  std::string name, type;
  std::set<std::string> metrics, series;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, word, metric;
    if (line.starts_with("# ")) {
      words >> hash >> word >> metric;
      if (word == "HELP" && !metrics.insert(metric).second) return "twice: " + line;
      if (word == "TYPE" && metric != name) return "TYPE without HELP: " + line;
      name = metric;
      if (word == "TYPE") words >> type;
      if (word == "TYPE" && (type == "counter") != metric.ends_with("_total"))
        return "_total: " + line;
      continue;
    }
    std::smatch match;
    if (!std::regex_match(line, match, sample)) return "no sample: " + line;
    const std::string own = match[1];
    const bool part = type == "histogram" &&
                      (own == name + "_bucket" || own == name + "_sum" || own == name + "_count");
    if (own != name && !part) return "not of " + name + ": " + line;
    if (!series.insert(match[1].str() + match[2].str()).second) return "series twice: " + line;
  }
  return "";
}

}  // namespace

TEST_CASE("the text is what Prometheus reads") {
  RunTimes times;
  times.count(ended(5));
  times.count(ended(500000));
  ProcessFigures process{1795573800000, 4096, 2};
  const std::string text = prometheus_text(some_stats(), times, process);
  CHECK(lint(text) == "");
  CHECK(text.find("holdfast_jobs{state=\"pending\"} 3\n") != std::string::npos);
  CHECK(text.find(
            "# TYPE holdfast_jobs_completed_total counter\nholdfast_jobs_completed_total 7\n") !=
        std::string::npos);
  CHECK(text.find("holdfast_queue_concurrency{queue=\"a\"} "
                  "4\nholdfast_queue_concurrency{queue=\"b\"} +Inf\n") != std::string::npos);
  CHECK(text.find("holdfast_flash_budget_bytes +Inf\n") != std::string::npos);
  CHECK(text.find("process_start_time_seconds 1795573800\n") != std::string::npos);
  CHECK(text.find("process_resident_memory_bytes 4096\n") != std::string::npos);
}

TEST_CASE("what was written, and a budget of it") {
  Stats stats = some_stats();
  stats.flash_total_bytes = 5000;
  stats.flash_day_bytes = 1500;
  CHECK(stats_json(stats, {}).find(R"("flash_budget":0,)") != std::string::npos);
  CHECK(stats_json(stats, {}).find(R"("flash_used_up":false)") != std::string::npos);
  stats.flash_budget = 1500;
  stats.flash_gather_ms = 1000;
  const std::string json = stats_json(stats, {});
  for (const char* said : {R"("flash_day_bytes":1500)", R"("flash_total_bytes":5000)", R"("flash_budget":1500)", R"("flash_used_up":true)", R"("flash_gather_ms":1000)"}) {
    CHECK(json.find(said) != std::string::npos);
  }
  const std::string text = prometheus_text(stats, RunTimes(), ProcessFigures());
  CHECK(lint(text) == "");
  CHECK(text.find("# TYPE holdfast_flash_written_bytes_total counter\nholdfast_flash_written_bytes_total 5000\n") != std::string::npos);
  CHECK(text.find("holdfast_flash_day_bytes 1500\n") != std::string::npos);
  CHECK(text.find("holdfast_flash_budget_bytes 1500\n") != std::string::npos);
}

TEST_CASE("an engine without a queue has no empty metric") {
  CHECK(lint(prometheus_text(Stats(), RunTimes(), ProcessFigures())) == "");
}

TEST_CASE("health: functions that do not return") {
  StuckReport report;
  CHECK(health_json(health_of(some_stats(), {}, report)).find("handlers") == std::string::npos);  // a program without functions
  report.threads = 2;
  CHECK(health_json(health_of(some_stats(), {}, report)).find(R"("name":"handlers","ok":true)") != std::string::npos);
  report.held = 1;
  report.runs = {{7, "sample", 300000}};
  const Health one = health_of(some_stats(), {}, report);
  CHECK(std::string(one.word()) == "degraded");
  CHECK(health_json(one).find("functions do not return though their runs are over or were cancelled, and hold 1 of 2 worker threads: job 7 (sample) for 5m") != std::string::npos);
  report.held = 2;
  CHECK(health_of(some_stats(), {}, report).failing());
}

TEST_CASE("functions that go on though their runs are over: known until they return, a batch is one thread") {
  std::string logged;
  StuckRuns stuck(Logger([&](LogLevel, const std::string& line) { logged += line + "\n"; }, LogLevel::kDebug));
  stuck.set_threads(3);
  StuckRuns::Place a, b, c;
  int call = 0, other = 0;
  stuck.stopped(a, 1, "x", true, 1000);  // it is not inside
  CHECK(stuck.report(100000).runs.empty());
  a.call = b.call = &call;
  c.call = &other;
  for (StuckRuns::Place* place : {&a, &b, &c}) place->at.store(StuckRuns::kInside);
  stuck.stopped(a, 1, "x", true, 1000);
  stuck.stopped(a, 1, "x", true, 5000);
  stuck.stopped(b, 2, "x", false, 2000);
  stuck.stopped(c, 3, "y", false, 1500);
  CHECK(stuck.report(1000 + kStuckAfterMs - 1).runs.empty());
  CHECK(stuck.report(1000 + kStuckAfterMs).held == 1);
  const StuckReport all = stuck.report(20000);
  CHECK(all.threads == 3);
  CHECK(all.held == 2);
  REQUIRE(all.runs.size() == 3);
  CHECK((all.runs[0].id == 1 && all.runs[1].id == 3 && all.runs[2].id == 2));
  CHECK(all.runs[0].for_ms == 19000);
  CHECK(logged.find("handler_goes_on id=1 type=x") != std::string::npos);
  CHECK(logged.find("id=3") == std::string::npos);  // a cancel is asked for by somebody
  for (StuckRuns::Place* place : {&a, &b, &c}) stuck.returned(*place);
  CHECK(stuck.report(20000).runs.empty());
}

TEST_CASE("certificates: figures and health, by a trusted clock alone") {
  constexpr int64_t kNow = 1795573800000, kDay = 86400000;
  PeerReport report{{true, kNow}, {}};
  report.peers.push_back({"handlers.notify", true, {0, 0, kNow + 15 * kDay}});
  report.peers.push_back({"sinks.cloud", false, {kNow + 15 * kDay - 1, kNow - 1, 0}});
  const std::string text = prometheus_text(some_stats(), RunTimes(), ProcessFigures(), report);
  CHECK(lint(text) == "");
  CHECK(text.find("holdfast_tls_unverified{peer=\"handlers.notify\"} 0\nholdfast_tls_unverified{peer=\"sinks.cloud\"} 1\n") != std::string::npos);
  CHECK(text.find("holdfast_cert_days_left{peer=\"handlers.notify\",which=\"server\"} 15\n"
                  "holdfast_cert_days_left{peer=\"sinks.cloud\",which=\"client\"} 14\n"
                  "holdfast_cert_days_left{peer=\"sinks.cloud\",which=\"ca\"} -1\n") != std::string::npos);
  Health health = health_of(some_stats(), report);
  CHECK(std::string(health.word()) == "degraded");
  CHECK(!health.failing());
  CHECK(health_json(health).find(R"("name":"tls","ok":false,"why":"dangerously_skip_verification is set, so that anyone on the way can read and change what is sent: sinks.cloud")") !=
        std::string::npos);
  CHECK(health_json(health).find(R"("name":"certificates","ok":false,"why":"certificates end soon: sinks.cloud (client) in 14 days, )") != std::string::npos);
  CHECK(health_json(health).find("sinks.cloud (ca) is over since ") != std::string::npos);
  const std::string json = stats_json(some_stats(), report);
  CHECK(json.find(R"("peers":[{"name":"handlers.notify","tls_verified":true,"cert_ends":{"server":")") != std::string::npos);
  CHECK(json.find(R"("cert_days_left":{"client":14,"ca":-1}}])") != std::string::npos);

  report.clock.trusted = false;
  report.peers[1].verified = true;
  CHECK(prometheus_text(some_stats(), RunTimes(), ProcessFigures(), report).find("cert_days_left") == std::string::npos);
  CHECK(std::string(health_of(some_stats(), report).word()) == "ok");
  CHECK(stats_json(some_stats(), report).find("cert_days_left") == std::string::npos);
}

TEST_CASE("labels are escaped") {
  CHECK(escape_label("a\\b\"c\nd") == "a\\\\b\\\"c\\nd");
  CHECK(escape_label("gr\xc3\xbc\xc3\x9f"
                     "e \xf0\x9f\x98\x80") ==
        "gr\xc3\xbc\xc3\x9f"
        "e \xf0\x9f\x98\x80");
  CHECK(escape_label("x\xffy\xc3") == "x\xef\xbf\xbdy\xef\xbf\xbd");
}

TEST_CASE("run times: buckets are cumulative, and only ends of runs count") {
  RunTimes times;
  times.count(ended(10));  // a bound belongs to its bucket
  times.count(ended(11, Change::retried));
  times.count(ended(8000000, Change::died));  // beyond the last bound
  times.count(ended(99, Change::started));
  times.count(ended(99, Change::enqueued));
  const auto counts = times.cumulative();
  CHECK(counts.front() == 1);
  CHECK(counts[1] == 2);
  CHECK(counts[RunTimes::kBoundsMs.size() - 1] == 2);
  CHECK(counts.back() == 3);
  CHECK(times.sum_s() == doctest::Approx(8000.021));
}

TEST_CASE("this process has memory") {
  CHECK(resident_bytes() > 100000);
}

TEST_CASE("health: ok, degraded without a trusted clock, failing when full") {
  Stats stats = some_stats();
  CHECK(std::string(health_of(stats).word()) == "ok");
  stats.clock.trusted = false;
  CHECK(std::string(health_of(stats).word()) == "degraded");
  CHECK(!health_of(stats).failing());
  stats.file_bytes = 900;
  CHECK(health_json(health_of(stats)).find("nearly full") != std::string::npos);
  stats.file_bytes = 1000;
  CHECK(health_of(stats).failing());
  stats.file_bytes = 0;
  stats.by_state[2] = 100;
  CHECK(health_json(health_of(stats)).find("\"full, new jobs are refused: 103 of 100\"") !=
        std::string::npos);
  CHECK(stuck_health(5000).failing());
}
