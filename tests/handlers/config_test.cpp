#include "handlers/apply_config.h"
#include "handlers/config.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "platform/broker/mqtt.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

// A folder with the files that configurations name.
struct Folder {
  Folder() {
    for (const char* file : {"ca.pem", "cert.pem", "key.pem", "notes.txt"}) write(file, "x");
    chmod((path + "/key.pem").c_str(), 0600);
    write_key("hook-new", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    write_key("hook-old", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    setenv("CREDENTIALS_DIRECTORY", path.c_str(), 1);
  }
  ~Folder() { unsetenv("CREDENTIALS_DIRECTORY"); }
  std::string write_key(const std::string& name, const std::string& text) const {
    write(name, text);
    chmod((path + "/" + name).c_str(), 0600);
    return path + "/" + name;
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  const TempFolder folder;
  const std::string path = folder.path();
};

std::string failure(std::string_view text) {
  auto config = parse_config(text, "h.json");
  return config ? "" : config.error().message;
}
std::string handler_failure(const std::string& members) {
  return failure("{\"handlers\": {\n\"report\": {" + members + "}}}");
}

}  // namespace

TEST_CASE("the configuration of INTERFACES.md loads") {
  const Folder folder;
  const std::string file =
      folder.write("holdfast.json", R"({
  "database": "/var/lib/holdfast/queue.db", "socket": "/run/holdfast/holdfast.sock", "device": "gw-0042",
  "handlers": { "report": { "exec": ["/bin/sh", "--json"], "timeout": "5m", "max_attempts": 5, "concurrency": 2, "sink": "cloud",
                            "backoff": { "kind": "exponential", "base": "2s", "factor": 2, "max": "10m", "jitter": "full" } },
                "notify": { "http": { "method": "POST", "url": "https://hooks.example/notify" } } },
  "sinks": { "cloud": { "url": "https://ingest.example/v1/results",
                        "tls": { "ca": ")" +
                                        folder.path + R"(/ca.pem", "cert": ")" + folder.path +
                                        R"(/cert.pem", "key": ")" + folder.path + R"(/key.pem" },
                        "batch": { "max_jobs": 100, "max_bytes": "256KiB", "max_wait": "5s" }, "sign": { "keys": ["cred:hook-new", "cred:hook-old"] } } },
  "queues": { "default": { "concurrency": 4 } },
  "schedules": { "nightly": { "cron": "H 2 * * *", "tz": "Europe/Berlin", "type": "report", "jitter": "10m", "catch_up": "once", "overlap": "skip" } },
  "limits": { "max_jobs": 1000000, "max_bytes": "256MiB", "when_full": "reject" }, "retention": { "completed": "24h", "dead": "30d" } })");
  const auto config = load_config(file);
  CAPTURE(config ? std::string() : config.error().message);
  REQUIRE(config);
  CHECK(config->device == "gw-0042");
  REQUIRE(config->handlers.size() == 2);
  CHECK(config->handlers[0].type == "report");
  CHECK(config->handlers[0].policy.timeout_ms == 300000);
  CHECK(config->handlers[0].policy.backoff.base_ms == 2000);
  CHECK(config->handlers[0].sink == "cloud");
  CHECK(config->handlers[1].http.url == "https://hooks.example/notify");
  REQUIRE(config->sinks.size() == 1);
  CHECK(config->sinks[0].batch_jobs == 100);
  CHECK(config->sinks[0].batch_bytes == 262144);
  CHECK(config->sinks[0].http.tls->key_file == folder.path + "/key.pem");
  CHECK(config->queues[0].settings.concurrency == 4);
  CHECK(config->schedules[0].jitter_ms == 600000);
  CHECK(config->limits.keep_completed_ms == 86400000);
  REQUIRE(config->sinks[0].http.sign.keys);
  CHECK(config->sinks[0].http.sign.keys->size() == 2);
  CHECK(config->warnings.empty());
}

TEST_CASE("what is not said has its default") {
  const auto config = parse_config("{}", "h.json");
  REQUIRE(config);
  CHECK(config->stop_grace_ms == 10000);
  CHECK(config->log_level == LogLevel::kInfo);
  CHECK(config->admin.max_clients == 64);
  CHECK(config->database == "");
}

TEST_CASE("the file itself") {
  const Folder folder;
  CHECK(load_config(folder.path + "/none.json").error().code == HF_E_NOT_FOUND);
  CHECK(load_config(folder.path + "/none.json").error().message ==
        folder.path + "/none.json: No such file or directory");
  CHECK(load_config(folder.path).error().message == folder.path + ": this is not a regular file");
  CHECK(load_config(folder.write("big.json", std::string(kConfigBytesMax + 1, ' '))).error().code ==
        HF_E_TOO_LARGE);
  CHECK(
      load_config(folder.write("empty.json", "\n"))
          .error()
          .message.ends_with("empty.json: the file is empty: expected a JSON object, {} at least"));
}

TEST_CASE("invalid JSON: line, column, and what was expected") {
  CHECK(failure("{\n  \"device\": \"a\"\n  \"socket\": \"/s\"\n}").starts_with("h.json:3:"));
  CHECK(failure("{\n  \"device\": \"a\"\n  \"socket\": \"/s\"\n}").find("expected") !=
        std::string::npos);
  CHECK(failure("{\n  \"device\": \"a\",\n}").starts_with("h.json:3:1: "));
  CHECK(failure("[]") == "h.json:1: found an array, expected an object");
  CHECK(failure("{\n\"device\": \"a\",\n\"device\": \"b\"}") ==
        "h.json:3: the key \"device\" is there twice, first on line 2");
  CHECK(failure(std::string(100, '[')).starts_with("h.json:1:65: nested more than 64 deep"));
}

TEST_CASE("an unknown key: where it is, the nearest one, and all that are known") {
  CHECK(failure("{\n\n\"shedules\": {}}")
            .starts_with("h.json:3: shedules: unknown key; did you mean \"schedules\"? (known "
                         "here: database, socket, "));
  CHECK(
      handler_failure("\"exec\": [\"/bin/sh\"],\n \"timout\": \"5s\"")
          .starts_with("h.json:3: handlers.report.timout: unknown key; did you mean \"timeout\"?"));
  CHECK(failure(R"({"sinks": {"c": {"url": "https://a.example/", "batch": {"size": 1}}}})") ==
        "h.json:1: sinks.c.batch.size: unknown key (known here: max_jobs, max_bytes and max_wait)");
}

TEST_CASE("values: wrong kind, wrong unit, out of range") {
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"timeout\": \"5 minutes\"")
            .starts_with(
                "h.json:2: handlers.report.timeout: \"5 minutes\" is not a duration: expected "));
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"timeout\": 300") ==
        "h.json:2: handlers.report.timeout: found 300, expected a duration in quotes, such as "
        "\"30s\"");
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"timeout\": \"0s\"")
            .find("is out of range: allowed are 1ms to") != std::string::npos);
  CHECK(handler_failure("\"exec\": \"/bin/sh -c x\"") ==
        "h.json:2: handlers.report.exec: found \"/bin/sh -c x\", expected an array");
  CHECK(handler_failure("\"exec\": []") == "h.json:2: handlers.report.exec: the array is empty");
  CHECK(handler_failure("\"exec\": [\"/bin/sh\", 7]") ==
        "h.json:2: handlers.report.exec[1]: found 7, expected a string");
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"concurrency\": 0") ==
        "h.json:2: handlers.report.concurrency: found 0, expected a whole number from 1 to 10000");
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"backoff\": {\"kind\": \"exponental\"}") ==
        "h.json:2: handlers.report.backoff.kind: found \"exponental\", expected \"fixed\", "
        "\"linear\", "
        "\"exponential\" or \"list\"; did you mean \"exponential\"?");
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"backoff\": {\"factor\": 0.5}") ==
        "h.json:2: handlers.report.backoff.factor: found 0.5, expected a number from 1 to 100");
  CHECK(failure(R"({"limits": {"max_bytes": "256 MB"}})")
            .starts_with("h.json:1: limits.max_bytes: \"256 MB\" is not a size"));
  CHECK(failure(R"({"limits": {"max_bytes": "10B"}})").find("out of range: allowed are 1MiB to") !=
        std::string::npos);
  CHECK(failure(R"({"limits": {"when_full": "drop"}})") ==
        "h.json:1: limits.when_full: found \"drop\", expected \"reject\", \"drop_oldest\", \"drop_lowest\" or \"coalesce\"");
  CHECK(failure(R"({"admin": {"open_view": "yes"}})") ==
        "h.json:1: admin.open_view: found \"yes\", expected true or false");
  CHECK(failure(R"({"log": {"level": "loud"}})")
            .find("expected \"error\", \"warn\", \"info\" or \"debug\"") != std::string::npos);
  CHECK(failure(R"({"socket": ")" + std::string(108, 'x') + "\"}") ==
        "h.json:1: socket: the string has 108 bytes: at most 107 are allowed");
  CHECK(failure(R"({"device": ""})") != "");
  CHECK(failure(R"({"queues": {"a b": {}}})")
            .starts_with("h.json:1: queues.\"a b\": the queue name \"a b\" has "));
}

TEST_CASE("files of a sink") {
  const auto sink = [](const std::string& files, const std::string& more = "") { return R"({"sinks": {"c": {"url": "https://a.example/", "files": )" + files + more + "}}}"; };
  const auto plain = parse_config(sink(R"({"root": "/tmp"})"), "h.json");
  REQUIRE_MESSAGE(plain.ok(), plain.error().message);
  CHECK(plain->sinks[0].files == FilesOptions{.root = "/tmp"});
  CHECK(plain->warnings.empty());
  const auto all = parse_config(sink(R"({"root": "/nowhere", "protocol": "range", "chunk": "64KiB", "delete_after": true, "checksum": false})"), "h.json");
  REQUIRE_MESSAGE(all.ok(), all.error().message);
  CHECK(all->sinks[0].files == FilesOptions{"/nowhere", UploadKind::range, 65536, true, false});
  REQUIRE(all->warnings.size() == 1);
  CHECK(all->warnings[0].find("uploads wait until it can be opened") != std::string::npos);
  const RunnerSpec spec = runner_spec(all->sinks[0]);
  CHECK(spec.policy.timeout_ms == -1);
  CHECK(spec.concurrency == 1);
  CHECK(parse_config(sink(R"({"root": "/tmp", "chunk": "1GiB"})"), "h.json").ok());
  for (const char* size : {"65535", "\"1048577KiB\""}) CHECK(failure(sink(R"({"root": "/tmp", "chunk": )" + std::string(size) + "}")).starts_with("h.json:1: sinks.c.files.chunk: "));
  CHECK(failure(sink("{}")) == "h.json:1: sinks.c.files: \"root\" is missing: the folder in which the files are");
  CHECK(failure(sink(R"({"root": "tmp"})")).find("full path") != std::string::npos);
  CHECK(failure(sink(R"({"root": "/dev/null"})")) == "h.json:1: sinks.c.files.root: \"/dev/null\": this is not a folder");
  CHECK(failure(sink(R"({"root": "/tmp", "protocol": "ftp"})")).starts_with("h.json:1: sinks.c.files.protocol: "));
  CHECK(failure(sink(R"({"root": "/tmp"})", R"(, "batch": {"max_jobs": 2})")).find("exclude each other") != std::string::npos);
  CHECK(failure(sink(R"({"root": "/tmp"})", R"(, "sign": {"keys": ["cred:x"]})")).find("exclude each other") != std::string::npos);
}

TEST_CASE("windows and slack of queues and sinks") {
  CHECK(failure(R"({"queues": {"q": {"windows": "8-18"}}})").starts_with("h.json:1: queues.q.windows: windows, column 1: found \"8-18\", expected HH:MM-HH:MM"));
  CHECK(failure(R"({"queues": {"q": {"windows": 8}}})").starts_with("h.json:1: queues.q.windows: "));
  CHECK(failure(R"({"queues": {"q": {"slack": "2d"}}})").starts_with("h.json:1: queues.q.slack: "));
  CHECK(failure(R"({"queues": {"q": {"windows": "22:00-06:00", "tz": "Europe/Berln"}}})").find("queues.q.tz: there is no time zone \"Europe/Berln\"; did you mean Europe/Berlin?") != std::string::npos);
  CHECK(failure(R"({"queues": {"sink:cloud": {}}})") == "h.json:1: queues.sink:cloud: the queue of a sink's deliveries: its settings are those of \"sinks\"");
  CHECK(failure(R"({"sinks": {"cloud": {"url": "https://a.example/", "tz": "Mars"}}})").find("sinks.cloud.tz: ") != std::string::npos);
  CHECK(failure(R"({"schedules": {"s": {"cron": "@daily", "type": "x", "slack": "25h"}}})").starts_with("h.json:1: schedules.s.slack: "));
  const auto config = parse_config(R"({"queues": {"q": {"windows": "", "slack": "0s"}, "p": {}},
    "sinks": {"cloud": {"url": "https://a.example/", "windows": "22:00-06:00", "tz": "UTC", "slack": "1d"}},
    "schedules": {"s": {"cron": "@daily", "type": "x", "slack": "1d"}}})", "h.json");
  REQUIRE(config);
  const auto settings = queue_settings(*config);
  CHECK(settings.size() == 3);
  CHECK(settings.at("q") == QueueSettings{.slack_ms = 0, .windows = ""});
  CHECK(settings.at("p") == QueueSettings());
  CHECK(settings.at("sink:cloud") == QueueSettings{.slack_ms = 86400000, .windows = "22:00-06:00", .zone = "UTC"});
  CHECK(config->schedules[0].slack_ms == 86400000);
}

TEST_CASE("rates of queues, sinks and handlers") {
  CHECK(failure(R"({"queues": {"q": {"rate_limit": "fast"}}})") ==
        "h.json:1: queues.q.rate_limit: \"fast\" is no rate: expected NUMBER/TIME, such as 10/1m (1 to 10000 in 1ms to 366d), or off");
  CHECK(failure(R"({"queues": {"q": {"rate_limit": "0/1m"}}})").starts_with("h.json:1: queues.q.rate_limit: "));
  CHECK(failure(R"({"queues": {"q": {"rate_limit": 10}}})").starts_with("h.json:1: queues.q.rate_limit: "));
  CHECK(failure(R"({"sinks": {"c": {"url": "https://a.example/", "throttle": "10/1m burst 3"}}})").starts_with("h.json:1: sinks.c.throttle: "));
  CHECK(failure(R"({"handlers": {"h": {"exec": ["/bin/true"], "throttle": "1001/1s"}}})").starts_with("h.json:1: handlers.h.throttle: "));
  const auto config = parse_config(R"({"queues": {"q": {"rate_limit": "off"}},
    "sinks": {"cloud": {"url": "https://a.example/", "rate_limit": "10/1m burst 3", "throttle": "1/s"}},
    "handlers": {"h": {"exec": ["/bin/true"], "rate_limit": "100/1h", "throttle": "1/10s"}}})", "h.json");
  REQUIRE(config);
  const auto settings = queue_settings(*config);
  CHECK(settings.at("q") == QueueSettings{.rate_limit = Rate{}});
  CHECK(settings.at("sink:cloud") == QueueSettings{.rate_limit = Rate{10, 60000, 3}, .throttle = Rate{1, 1000, 1}});
  CHECK(runner_spec(config->handlers[0]).rates == RateLimits{{100, 3600000, 100}, {1, 10000, 1}});
}

TEST_CASE("the order of a queue, and the limits of its keys") {
  const auto of_queue = [](const std::string& key, const std::string& value) { return failure(R"({"queues": {"q": {")" + key + "\": " + value + "}}}"); };
  const auto of_sink = [](const std::string& key, const std::string& value) { return failure(R"({"sinks": {"c": {"url": "https://a.example/", ")" + key + "\": " + value + "}}}"); };
  const std::vector<std::pair<std::string, std::vector<std::string>>> bad = {
      {"key_concurrency", {"0", "10001", "1.5", "\"2\""}}, {"key_rate_limit", {"10", "\"0/1m\"", "\"10/1m burst 11\""}},
      {"key_throttle", {"\"1001/1s\"", "\"10/1m burst 3\""}}, {"order", {"\"newest\"", "\"\"", "1", "true"}},
      {"aging", {"\"367d\"", "\"-1s\"", "60000", "\"1\""}}, {"fair", {"\"true\"", "1", "null"}}};
  for (const auto& [key, values] : bad) {
    for (const std::string& value : values) CHECK_MESSAGE(of_queue(key, value).starts_with("h.json:1: queues.q." + key + ": "), key, " ", value, ": ", of_queue(key, value));
  }
  CHECK(of_queue("order", "\"lfo\"").find("expected \"fifo\" or \"lifo\"; did you mean \"lifo\"") != std::string::npos);
  CHECK(of_queue("ageing", "\"1m\"").find("unknown key; did you mean \"aging\"") != std::string::npos);
  // Of a sink its order is newest_first, and its results have left their keys behind.
  for (const auto& [key, value] : {std::pair("key_concurrency", "2"), {"key_rate_limit", "\"1/1m\""}, {"key_throttle", "\"1/1m\""}, {"order", "\"lifo\""}, {"fair", "true"}}) {
    CHECK(of_queue(key, value) == "");
    CHECK(of_sink(key, value).starts_with("h.json:1: sinks.c." + std::string(key) + ": unknown key"));
  }
  CHECK(of_sink("aging", "\"367d\"").starts_with("h.json:1: sinks.c.aging: "));
  const auto config = parse_config(R"({"queues": {"q": {"key_concurrency": 10000, "key_rate_limit": "10/1m burst 3", "key_throttle": "1/s", "order": "lifo", "aging": "366d", "fair": true},
    "p": {"key_concurrency": 1, "key_rate_limit": "off", "key_throttle": "off", "order": "fifo", "aging": "0s", "fair": false}},
    "sinks": {"cloud": {"url": "https://a.example/", "aging": "10s"}}})", "h.json");
  REQUIRE(config);
  const auto settings = queue_settings(*config);
  CHECK(settings.at("q") == QueueSettings{.key_concurrency = 10000, .key_rate_limit = Rate{10, 60000, 3}, .key_throttle = Rate{1, 1000, 1},
                                          .order = QueueOrder::lifo, .aging_ms = kAgingMaxMs, .fair = true});
  CHECK(settings.at("p") == QueueSettings{.key_concurrency = 1, .key_rate_limit = Rate{}, .key_throttle = Rate{}, .order = QueueOrder::fifo, .aging_ms = 0, .fair = false});
  CHECK(settings.at("sink:cloud") == QueueSettings{.aging_ms = 10000});
}

TEST_CASE("how the results of a sink look") {
  const auto config = [](const std::string& members) { return R"({"sinks": {"c": {"url": "https://a.example/")" + members + "}}}"; };
  const auto plain = parse_config(config(""), "h.json");
  REQUIRE(plain);
  CHECK(plain->sinks[0].format == BatchFormat::ndjson);
  CHECK(plain->sinks[0].compress == Encoding::none);
  const auto said = parse_config(config(R"(, "format": "json", "compress": "zstd", "batch": {"max_jobs": 9})"), "h.json");
  REQUIRE(said);
  CHECK(said->sinks[0].format == BatchFormat::json);
  CHECK(said->sinks[0].compress == Encoding::zstd);
  CHECK_FALSE(said->sinks[0] == plain->sinks[0]);
  CHECK(parse_config(config(R"(, "format": "raw", "compress": "gzip", "batch": {"max_jobs": 1})"), "h.json"));
  CHECK(failure(config(R"(, "format": "raw", "batch": {"max_jobs": 2})")) ==
        R"(h.json:1: sinks.c: "format": "raw" sends each result by itself: "batch.max_jobs" 2 excludes it, 1 is meant (or "json" or "ndjson"))");
  CHECK(failure(config(R"(, "format": "xml")")).find("sinks.c.format: ") != std::string::npos);
  CHECK(failure(config(R"(, "compress": "brotli")")).find("sinks.c.compress: ") != std::string::npos);
  CHECK(failure(config(R"(, "compress": "gzip", "headers": {"content-encoding": "gzip"})")).find("Content-Encoding is said by \"compress\"") !=
        std::string::npos);
  CHECK(parse_config(config(R"(, "headers": {"content-encoding": "gzip"})"), "h.json"));
}

TEST_CASE("deadlines of a request's parts: 100 ms to an hour") {
  const auto sink = [](const std::string& deadlines) { return R"({"sinks": {"cloud": {"url": "https://a.example/", "deadlines": )" + deadlines + "}}}"; };
  for (const char* name : {"dns", "connect", "tls", "first_byte", "progress"}) {
    const std::string key = "{\"" + std::string(name) + "\": ";
    const std::string low = failure(sink(key + "\"99ms\"}"));
    CHECK(low.starts_with("h.json:1: sinks.cloud.deadlines." + std::string(name) + ": "));
    CHECK(low.find("99ms is out of range: allowed are 100ms to 1h") != std::string::npos);
    CHECK(failure(sink(key + "\"3601s\"}")).find("is out of range") != std::string::npos);
    CHECK(failure(sink(key + "\"none\"}")).find("is not a duration") != std::string::npos);
  }
  CHECK(failure(sink(R"({"whole": "1s"})")).find("unknown key (known here: dns, connect, tls, first_byte and progress)") != std::string::npos);
  const auto config = parse_config(R"({"handlers": {"x": {"http": {"url": "https://a.example/", "deadlines": {"dns": "100ms", "connect": "1h"}}}},
    "sinks": {"cloud": {"url": "https://a.example/", "deadlines": {"tls": "3s", "first_byte": "4s", "progress": "5s"}}, "b": {"url": "https://a.example/"}}})", "h.json");
  REQUIRE(config);
  CHECK(config->handlers[0].http.deadlines == DeadlinesConfig{.dns_ms = 100, .connect_ms = 3600000});
  CHECK(config->sinks[0].http.deadlines == DeadlinesConfig{.tls_ms = 3000, .first_byte_ms = 4000, .progress_ms = 5000});
  CHECK(config->sinks[1].http.deadlines == DeadlinesConfig());
  CHECK_FALSE(config->sinks[0] == config->sinks[1]);
}

TEST_CASE("redirects are followed five times at most, and not by default") {
  const auto sink = [](const std::string& redirects) { return R"({"sinks": {"cloud": {"url": "https://a.example/")" + redirects + "}}}"; };
  CHECK(parse_config(sink(""), "h.json")->sinks[0].http.redirects == 0);
  CHECK(parse_config(sink(", \"redirects\": 5"), "h.json")->sinks[0].http.redirects == 5);
  CHECK(failure(sink(", \"redirects\": 6")) == "h.json:1: sinks.cloud.redirects: found 6, expected a whole number from 0 to 5");
}

TEST_CASE("a device that has lost its time zones does the rest of its work") {
  const Folder empty;
  const char* const text = R"({"handlers": {"x": {"exec": ["/bin/sh"]}}, "queues": {"q": {"windows": "22:00-06:00", "tz": "Europe/Berlin"}},
    "schedules": {"s": {"cron": "@daily", "tz": "Europe/Berlin", "type": "x"}, "t": {"cron": "CRON_TZ=Europe/Berlin 0 2 * * *", "type": "x"}, "u": {"cron": "@daily", "type": "x"}}})";
  REQUIRE(parse_config(text, "h.json"));
  setenv("TZDIR", empty.path.c_str(), 1);
  const auto config = parse_config(text, "h.json");
  const std::string bad = failure(R"({"queues": {"q": {"tz": "no zone"}}})");
  unsetenv("TZDIR");
  REQUIRE(config);
  CHECK(config->warnings.size() == 3);
  CHECK(config->warnings[0].find("queues.q.tz: there is no time zone \"Europe/Berlin\"") != std::string::npos);
  CHECK(config->warnings[0].find("what goes by it waits until it is there") != std::string::npos);
  CHECK(bad.find("is not a time zone name") != std::string::npos);
}

TEST_CASE("a handler is a program or a request") {
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"http\": {\"url\": \"https://a.example/\"}") ==
        "h.json:2: handlers.report: \"exec\" and \"http\" exclude each other: a handler is a "
        "program or a request");
  CHECK(handler_failure("\"timeout\": \"5s\"") ==
        "h.json:2: handlers.report: \"exec\" or \"http\" is missing: one of them says what runs "
        "these jobs");
  CHECK(handler_failure("\"http\": {\"url\": \"https://a.example/\"}, \"cwd\": \"/\"") ==
        "h.json:2: handlers.report: \"cwd\" is for \"exec\" only");
  CHECK(handler_failure("\"http\": {}") ==
        "h.json:2: handlers.report.http: \"url\" is missing: it says where the request goes");
  CHECK(handler_failure("\"http\": {\"url\": \"ftp://a.example/\"}")
            .starts_with("h.json:2: handlers.report.http.url: "));
  CHECK(
      handler_failure(
          "\"http\": {\"url\": \"https://a.example/\", \"headers\": {\"X y\": \"1\"}}") ==
      "h.json:2: handlers.report.http.headers.\"X y\": this cannot be the name of an HTTP header");
  CHECK(handler_failure(
            "\"http\": {\"url\": \"https://a.example/\", \"headers\": {\"Host\": \"1\"}}") ==
        "h.json:2: handlers.report.http.headers.Host: this header is set by Holdfast itself");
  CHECK(handler_failure(
            "\"http\": {\"url\": \"https://a.example/\", \"headers\": {\"X\": \"1\\r\\nY: 2\"}}")
            .find("control character") != std::string::npos);
}

TEST_CASE("files that the configuration names") {
  const Folder folder;
  CHECK(handler_failure("\"exec\": [\"/nowhere/report\"]") ==
        "h.json:2: handlers.report.exec[0]: \"/nowhere/report\": No such file or directory");
  CHECK(handler_failure("\"exec\": [\"" + folder.path + "/notes.txt\"]")
            .find("(is it executable?)") != std::string::npos);
  CHECK(handler_failure("\"exec\": [\"no-such-program\"]").find("there is no such program") !=
        std::string::npos);
  CHECK(handler_failure("\"exec\": [\"sh\"]") == "");
  CHECK(handler_failure("\"exec\": [\"sh\"], \"cwd\": \"/nowhere\"")
            .starts_with("h.json:2: handlers.report.cwd: \"/nowhere\": No such"));
  CHECK(failure(
            R"({"sinks": {"c": {"url": "https://a.example/", "tls": {"ca": "/nowhere.pem"}}}})") ==
        "h.json:1: sinks.c.tls.ca: \"/nowhere.pem\": No such file or directory");
  CHECK(failure(R"({"sinks": {"c": {"url": "https://a.example/", "tls": {"cert": "/c.pem"}}}})") ==
        "h.json:1: sinks.c.tls: a client certificate needs both \"cert\" and \"key\"");
  CHECK(failure(R"({"sinks": {"c": {"url": "http://a.example/", "tls": {}}}})") ==
        "h.json:1: sinks.c.tls: the URL is http, which knows no TLS: https is meant");
}

TEST_CASE("a key is nobody else's") {
  const Folder folder;
  chmod((folder.path + "/key.pem").c_str(), 0640);
  CHECK(failure(R"({"sinks": {"c": {"url": "https://a.example/", "tls": {"cert": ")" + folder.path +
                "/cert.pem\", \"key\": \"" + folder.path + "/key.pem\"}}}}") ==
        "h.json:1: sinks.c.tls.key: " + folder.path +
            "/key.pem has mode 0640, so that others can get at the secret; chmod 600 closes it");
}

TEST_CASE("keys of signatures are read with the configuration, which is another one when they change") {
  const Folder folder;
  auto text = [](const std::string& keys) { return R"({"sinks": {"c": {"url": "https://a.example/", "sign": {"keys": [)" + keys + "]}}}}"; };
  CHECK(failure(text("")) == "h.json:1: sinks.c.sign.keys: the array is empty");
  CHECK(failure(text(R"("a", "b", "c")")).find("sinks.c.sign.keys: ") != std::string::npos);
  CHECK(failure(R"({"sinks": {"c": {"url": "https://a.example/", "sign": {}}}})").find("\"keys\" is missing") != std::string::npos);
  CHECK(failure(text(R"("hook-new")")) ==
        "h.json:1: sinks.c.sign.keys[0]: \"hook-new\" is no secret's name: expected \"cred:NAME\", or the full path of a file");
  CHECK(failure(text(R"("cred:hook-new", "cred:hook")")) ==
        "h.json:1: sinks.c.sign.keys[1]: cred:hook (" + folder.path + "/hook): No such file or directory");
  CHECK(failure(text("\"" + folder.write_key("short", "whsec_aGVsbG8=") + "\"")) ==
        "h.json:1: sinks.c.sign.keys[0]: " + folder.path + "/short: the signing key has 5 bytes; allowed is 24 to 64");
  CHECK(parse_config(text(R"("cred:hook")"), "h.json", ConfigOf::another).ok());

  const auto read = [&] { return parse_config(text(R"("cred:hook-new")"), "h.json"); };
  const auto before = read();
  REQUIRE(before);
  CHECK(read()->sinks == before->sinks);
  folder.write_key("hook-new", "AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  CHECK(read()->sinks != before->sinks);
  const auto handler = parse_config(R"({"handlers": {"n": {"http": {"url": "https://a.example/", "sign": {"keys": ["cred:hook-old"]}}}}})", "h.json");
  REQUIRE(handler);
  CHECK(handler->handlers[0].http.sign.keys->size() == 1);
}

TEST_CASE("a sink that is a broker") {
  const Folder folder;
  folder.write_key("broker", "s3cret");
  const auto sink = [](const std::string& members) { return "{\"sinks\": {\"c\": {" + members + "}}}"; };
  const auto config = parse_config(sink(R"("url": "tls://nats.example", "concurrency": 1000, "nats": {"subject": "gw.{type}", "token": "cred:broker"})"), "h.json");
  REQUIRE(config);
  CHECK(config->sinks[0].is_broker());
  CHECK(config->sinks[0].nats->topic == "gw.{type}");
  CHECK(config->sinks[0].nats->token.secret->bytes() == "s3cret");
  CHECK(config->warnings.empty());
  folder.write_key("broker", "other");
  CHECK(parse_config(sink(R"("url": "tls://nats.example", "concurrency": 1000, "nats": {"subject": "gw.{type}", "token": "cred:broker"})"), "h.json")->sinks != config->sinks);
  CHECK(parse_config(sink(R"("url": "nats://h", "nats": {"subject": "s"})"), "h.json")->warnings.size() == 1);

  const std::pair<std::string, std::string> kWrong[] = {
      {R"("url": "tls://h")", "sinks.c: \"nats\" is missing: it says the subject"},
      {R"("url": "tls://h/x", "nats": {"subject": "s"})", "sinks.c.url: a broker's URL has no path"},
      {R"("url": "tls://h", "nats": {})", "sinks.c.nats: \"subject\" is missing"},
      {R"("url": "tls://h", "nats": {"subject": "a..b"})", "sinks.c.nats.subject: a part of the subject is empty"},
      {R"("url": "tls://h", "nats": {"subject": "s", "password": "cred:broker"})", "sinks.c.nats: \"password\" needs a \"username\""},
      {R"("url": "tls://h", "nats": {"subject": "s", "token": "cred:none"})", "sinks.c.nats.token: cred:none"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "concurrency": 1001)", "sinks.c.concurrency: of a broker at most 1000 are allowed"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "batch": {"max_jobs": 2})", "sinks.c.batch: it does not go with"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "sign": {"keys": ["cred:hook-new"]})", "sinks.c.sign: it does not go with"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "proxy": "https://p")", "sinks.c.proxy: a proxy is"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "proxy_auth": "cred:broker")", "sinks.c.proxy_auth: this is for a \"proxy\", and there is none"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "proxy": "http://p", "proxy_auth": "cred:broker")", "sinks.c.proxy_auth: cred:broker: this is no login"},
      {R"("url": "tls://h", "nats": {"subject": "s"}, "mqtt": {"topic": "t"})", "sinks.c.mqtt: it does not go with"},
      {R"("url": "nats://h", "nats": {"subject": "s"}, "tls": {})", "sinks.c.tls: the URL has no TLS: tls:// is meant"},
      {R"("url": "https://h/", "nats": {"subject": "s"})", "sinks.c.nats: it is for a broker: the URL begins with tls:// then"},
      {R"("url": "https://h/", "mqtt": {"topic": "t"})", "sinks.c.mqtt: it is for a broker: the URL begins with mqtts:// then"}};
  for (const auto& [members, says] : kWrong) {
    CAPTURE(members);
    CHECK(failure(sink(members)).find(says) != std::string::npos);
  }

  const std::string mqtt = sink(R"("url": "mqtts://h", "mqtt": {"topic": "a/{device}", "username": "u", "password": "cred:broker", "session_expiry": "0s"})");
  if (!has_mqtt()) {
    CHECK(failure(mqtt) == "h.json:1: sinks.c.url: this build has no MQTT (it was configured without HOLDFAST_MQTT)");
    return;
  }
  const auto with_mqtt = parse_config(mqtt, "h.json");
  REQUIRE(with_mqtt);
  CHECK(with_mqtt->sinks[0].mqtt->password.secret->bytes() == "other");
  CHECK(with_mqtt->sinks[0].mqtt->session_expiry_ms == 0);
  CHECK(runner_spec(with_mqtt->sinks[0]).concurrency == 20);
  CHECK(failure(sink(R"("url": "mqtts://h", "mqtt": {"topic": "a/#"})")).find("sinks.c.mqtt.topic: a topic has no +") != std::string::npos);
}

TEST_CASE("what is asked of TLS: pins, versions, suites") {
  const Folder folder;
  const auto tls = [](const std::string& members) { return R"({"sinks": {"c": {"url": "https://a.example/", "tls": {)" + members + "}}}}"; };
  const std::string one = "sha256/uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", two = "sha256/MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
  auto config = parse_config(tls("\"min_version\": \"1.3\", \"suites\": [\"TLS_AES_256_GCM_SHA384\", \"TLS_AES_128_GCM_SHA256\"], \"pins\": [\"" + one + "\", \"" + two + "\"]"), "h.json");
  REQUIRE_MESSAGE(config.ok(), config.error().message);
  CHECK(config->warnings.empty());
  const TlsConfig& read = *config->sinks[0].http.tls;
  CHECK(read.min_version == TlsVersion::v1_3);
  CHECK(read.suites == std::vector<int>{0x1302, 0x1301});
  CHECK(read.pins.size() == 2);
  CHECK(!read.dangerously_skip_verification);

  config = parse_config(tls("\"pins\": [\"" + one + "\"]"), "h.json");
  REQUIRE(config.ok());
  REQUIRE(config->warnings.size() == 1);
  CHECK(config->warnings[0].starts_with("h.json:1: sinks.c.tls.pins: one pin alone: "));
  config = parse_config(tls("\"dangerously_skip_verification\": true"), "h.json");
  REQUIRE(config.ok());
  REQUIRE(config->warnings.size() == 1);
  CHECK(config->warnings[0].starts_with("h.json:1: sinks.c.tls: \"dangerously_skip_verification\": the server is not verified"));

  CHECK(failure(tls("\"min_version\": \"1.1\"")).starts_with("h.json:1: sinks.c.tls.min_version: "));
  CHECK(failure(tls("\"suites\": [\"TLS_AES_128_GCM_SHA265\"]"))
            .starts_with("h.json:1: sinks.c.tls.suites[0]: there is no cipher suite \"TLS_AES_128_GCM_SHA265\"; did you mean \"TLS_AES_128_GCM_SHA256\"? (there are: TLS_AES_128_GCM_SHA256, "));
  CHECK(failure(tls("\"suites\": [\"TLS_AES_128_GCM_SHA256\", \"TLS_AES_128_GCM_SHA256\"]")) == "h.json:1: sinks.c.tls.suites[1]: this suite is named twice");
  CHECK(failure(tls("\"min_version\": \"1.3\", \"suites\": [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]")) ==
        "h.json:1: sinks.c.tls: \"min_version\" is 1.3, and none of the \"suites\" is for TLS 1.3");
  CHECK(failure(tls("\"pins\": [\"sha256/abc\"]")).starts_with("h.json:1: sinks.c.tls.pins[0]: \"sha256/abc\" is no pin: expected sha256/ and "));
  CHECK(failure(tls("\"pins\": [\"" + one + "\", \"" + one + "\"]")) == "h.json:1: sinks.c.tls.pins[1]: this pin is named twice");
  CHECK(failure(tls("\"pins\": [\"" + one + "\", \"" + two + "\"], \"dangerously_skip_verification\": true")).find("one or the other") != std::string::npos);
  std::string many;
  for (int i = 0; i < 17; ++i) many += (i ? ", \"" : "\"") + one + "\"";
  CHECK(failure(tls("\"pins\": [" + many + "]")).starts_with("h.json:1: sinks.c.tls.pins: "));

  config = parse_config(tls(R"("alpn": ["x-amzn-http-ca", "other"])"), "h.json");
  REQUIRE(config.ok());
  CHECK(config->sinks[0].http.tls->alpn == std::vector<std::string>{"x-amzn-http-ca", "other"});
  CHECK(failure(tls(R"("alpn": [])")) == "h.json:1: sinks.c.tls.alpn: the array is empty");
  CHECK(failure(tls(R"("alpn": ["a", "b", "c", "d", "e"])")) == "h.json:1: sinks.c.tls.alpn: the array has 5 items: at most 4 are allowed");
  CHECK(failure(tls(R"("alpn": ["mqtt", "mqtt"])")) == "h.json:1: sinks.c.tls.alpn[1]: this protocol is named twice");
  CHECK(failure(tls(R"("alpn": ["h2"])")) == "h.json:1: sinks.c.tls.alpn[0]: HTTP is spoken in version 1.1 alone: http/1.1");
  CHECK(failure(tls(R"("alpn": [""])")) == "h.json:1: sinks.c.tls.alpn[0]: the string is empty");
  CHECK(failure(tls("\"alpn\": [\"" + std::string(256, 'x') + "\"]")) == "h.json:1: sinks.c.tls.alpn[0]: the name of a protocol has at most 255 bytes");
  CHECK(parse_config(tls("\"alpn\": [\"" + std::string(255, 'x') + "\"]"), "h.json").ok());
}

TEST_CASE("authorities may be a folder") {
  const Folder folder;
  const auto config = parse_config(
      R"({"sinks": {"c": {"url": "https://a.example/", "tls": {"ca": ")" + folder.path + "\"}}}}",
      "h.json");
  REQUIRE(config);
  CHECK(config->sinks[0].http.tls->ca_dir == folder.path);
  CHECK(config->sinks[0].http.tls->ca_file == "");
}

TEST_CASE("a sink that is named is there") {
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"sink\": \"cloud\"") ==
        "h.json:2: handlers.report.sink: there is no sink \"cloud\" (\"sinks\" has none)");
  CHECK(failure("{\"handlers\": {\"r\": {\"exec\": [\"/bin/sh\"], \"sink\": \"clod\"}},\n"
                "\"sinks\": {\"cloud\": {\"url\": \"https://a.example/\"}}}") ==
        "h.json:1: handlers.r.sink: there is no sink \"clod\"; did you mean \"cloud\"? (\"sinks\" "
        "has: cloud)");
  CHECK(failure(R"({"schedules": {"s": {"cron": "@daily", "type": "r", "sink": "x"}}})")
            .find("schedules.s.sink: there is no sink") != std::string::npos);
  CHECK(handler_failure("\"exec\": [\"/bin/sh\"], \"callback\": \"ops\"") ==
        "h.json:2: handlers.report.callback: there is no sink \"ops\" (\"sinks\" has none)");
  CHECK(failure(R"({"schedules": {"s": {"cron": "@daily", "type": "r", "failure_callback": "x"}}})")
            .find("schedules.s.failure_callback: there is no sink") != std::string::npos);
}

TEST_CASE("a callback names a sink that takes one") {
  const Folder folder;
  const std::string sinks = "\"sinks\": {\"ops\": {\"url\": \"https://a.example/\"}, \"videos\": {\"url\": \"https://a.example/\", "
                            "\"files\": {\"root\": \"" + folder.path + "\"}}}}";
  CHECK(failure("{\"handlers\": {\"r\": {\"exec\": [\"/bin/sh\"], \"failure_callback\": \"videos\"}},\n" + sinks) ==
        "h.json:1: handlers.r.failure_callback: sink \"videos\" takes files (\"files\"): a callback is none");
  const auto config = parse_config("{\"handlers\": {\"r\": {\"exec\": [\"/bin/sh\"], \"callback\": \"ops\", \"failure_callback\": \"ops\"}}, " + sinks, "h.json");
  REQUIRE(config);
  CHECK(runner_spec(config->handlers[0]).callback == "ops");
  CHECK(runner_spec(config->handlers[0]).failure_callback == "ops");
  CHECK(parse_config(R"({"handlers": {"r": {"exec": ["/bin/sh"], "failure_callback": "job:clean"}}})", "h.json").ok());
}

TEST_CASE("schedules: the line and the zone are checked") {
  CHECK(failure(R"({"schedules": {"s": {"cron": "61 * * * *", "type": "r"}}})")
            .starts_with("h.json:1: schedules.s.cron: "));
  CHECK(failure(R"({"schedules": {"s": {"cron": "0 0 30 2 *", "type": "r"}}})")
            .starts_with("h.json:1: schedules.s.cron: "));
  CHECK(failure(R"({"schedules": {"s": {"cron": "@daily", "type": "r", "tz": "Europe/Berln"}}})")
            .starts_with("h.json:1: schedules.s.tz: "));
  CHECK(failure(R"({"schedules": {"s": {"type": "r"}}})").find("\"cron\" is missing") !=
        std::string::npos);
  CHECK(failure(R"({"schedules": {"s": {"cron": "@daily"}}})").find("\"type\" is missing") !=
        std::string::npos);
  CHECK(failure(R"({"schedules": {"s": {"cron": "@daily", "type": "r", "delay": "1s"}}})")
            .find("schedules.s.delay: unknown key") != std::string::npos);
  const auto with = [](const std::string& cron, const std::string& more) {
    return failure("{\"schedules\": {\"s\": {\"cron\": \"" + cron + "\", \"type\": \"r\", " + more + "}}}");
  };
  CHECK(with("@every 10s", "\"slack\": \"9s\"") == "");
  CHECK(with("@every 10s", "\"slack\": \"10s\"") == "h.json:1: schedules.s.slack: of \"@every 10s\" the slack has to be less than its period");
  CHECK(with("@every 10s", "\"end\": \"2030-01-01T00:00:00Z\"") ==
        "h.json:1: schedules.s.end: this is for lines of the calendar; \"@every 10s\" goes by elapsed time");
  CHECK(with("@daily", "\"start\": \"2030-01-01T00:00:00Z\", \"end\": \"2030-01-01T00:00:00Z\"") == "h.json:1: schedules.s.end: it is not after \"start\"");
}

TEST_CASE("the operator group exists") {
  CHECK(failure(R"({"admin": {"group": "root"}})") == "");
  CHECK(failure(R"({"admin": {"group": "no-such-group"}})") ==
        "h.json:1: admin.group: there is no group 'no-such-group'");
}

TEST_CASE("retention of nothing means: delete at once") {
  const auto config = parse_config(R"({"retention": {"completed": "0s"}})", "h.json");
  REQUIRE(config);
  CHECK(config->limits.keep_completed_ms == -1);
}

TEST_CASE("the reference has a row for each key, and no others") {
  std::ifstream in(HOLDFAST_SOURCE_DIR "/docs/reference.md");
  std::stringstream whole;
  whole << in.rdbuf();
  const std::string reference = whole.str();
  const size_t begin = reference.find("<!-- configuration keys -->");
  const size_t end = reference.find("<!-- end of configuration keys -->");
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  const std::string table = reference.substr(begin, end - begin);
  size_t keys = 0;
  for (const ConfigKey& key : config_keys()) {
    // Where a backoff, a TLS block or a job says the same again, the reference refers to the first
    // one.
    const std::string row = "\n| `" + key.path + "` | " + std::string(key.kind) + " |";
    INFO("docs/reference.md has no row that starts with", row);
    CHECK(table.find(row) != std::string::npos);
    ++keys;
  }
  size_t rows = 0;
  for (size_t at = 0; (at = table.find("\n| `", at)) != std::string::npos; ++at) ++rows;
  CHECK(rows == keys);
}
