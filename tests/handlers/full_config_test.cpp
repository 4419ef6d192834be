// What the configuration says of full queues and of a full file, and what a host has of it.
#include <doctest/doctest.h>

#include "handlers/apply_config.h"
#include "handlers/config.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

std::string failure(const std::string& text) {
  auto config = parse_config(text, "h.json");
  return config ? "" : config.error().message;
}
std::string of_queue(const std::string& key, const std::string& value) { return failure("{\"queues\": {\"q\": {\"" + key + "\": " + value + "}}}"); }

// A program's host, and what of the configuration is in force.
struct Applied {
  TempFolder folder;
  std::unique_ptr<Host> host;
  std::optional<Config> before;
  explicit Applied(WhenFull own = WhenFull::reject) {
    HostOptions options;
    options.limits.when_full = own;
    host = Host::open(folder / "queue.db", std::move(options)).value();
  }
  ~Applied() { host->close(); }
  WhenFull apply(const std::string& text) {
    auto config = parse_config(text, "h.json");
    REQUIRE(config);
    REQUIRE(apply_config(*host, *config, before ? &*before : nullptr).ok());
    before = std::move(*config);
    return host->limits().when_full;
  }
  QueueSettings queue() {
    Reply reply = host->call(QueueList{"q"});
    return std::get<std::vector<QueueInfo>>(reply).at(0).settings;
  }
};

}  // namespace

TEST_CASE("max_pending, when_full and the rates of what comes in: what can be said, and what is wrong with the rest") {
  const std::vector<std::pair<std::string, std::vector<std::string>>> bad = {
      {"max_pending", {"-1", "1000000001", "1.5", "\"2\""}}, {"when_full", {"\"drop\"", "\"\"", "1", "true"}},
      {"enqueue_limit", {"10", "\"0/1m\"", "\"10/1m burst 11\""}}, {"key_enqueue_limit", {"10", "\"10/367d\""}}, {"retry_budget", {"60", "\"60\""}},
      {"retention_completed", {"60", "\"-1s\"", "\"36601d\""}}, {"retention_dead", {"true", "\"36601d\""}}, {"retention_completed_count", {"0", "1000000001", "\"5\""}},
      {"retention_dead_count", {"0", "1.5"}}};
  for (const auto& [key, values] : bad) {
    for (const std::string& value : values) CHECK_MESSAGE(of_queue(key, value).starts_with("h.json:1: queues.q." + key + ": "), key, " ", value, ": ", of_queue(key, value));
  }
  CHECK(of_queue("when_full", "\"drop_newest\"").find("expected \"reject\", \"drop_oldest\", \"drop_lowest\" or \"coalesce\"") != std::string::npos);
  CHECK(of_queue("max_pendng", "1").find("did you mean \"max_pending\"") != std::string::npos);
  // What comes to a sink are results, which are always taken.
  for (const auto& [key, value] : {std::pair("max_pending", "2"), {"when_full", "\"reject\""}, {"enqueue_limit", "\"1/1m\""}, {"key_enqueue_limit", "\"off\""}, {"retry_budget", "\"1/1m\""}, {"retention_completed", "\"1d\""}, {"retention_dead_count", "5"}}) {
    CHECK(of_queue(key, value) == "");
    const std::string of_sink = failure("{\"sinks\": {\"c\": {\"url\": \"https://a.example/\", \"" + std::string(key) + "\": " + value + "}}}");
    CHECK(of_sink.starts_with("h.json:1: sinks.c." + std::string(key) + ": unknown key"));
  }
  const auto config = parse_config(R"({"queues": {"q": {"max_pending": 1000000000, "when_full": "drop_lowest", "enqueue_limit": "10/1m burst 3", "key_enqueue_limit": "5/s",
    "retry_budget": "60/1h"}, "p": {"max_pending": 0, "when_full": "reject", "enqueue_limit": "off"}}})", "h.json");
  REQUIRE(config);
  const auto settings = queue_settings(*config);
  CHECK(settings.at("q") == QueueSettings{.max_pending = kMaxPendingMax, .when_full = WhenFull::drop_lowest, .enqueue_limit = Rate{10, 60000, 3},
                                          .key_enqueue_limit = Rate{5, 1000, 5}, .retry_budget = Rate{60, 3600000, 60}});
  CHECK(settings.at("p") == QueueSettings{.max_pending = 0, .when_full = WhenFull::reject, .enqueue_limit = Rate{}});
}

TEST_CASE("retention of a queue: what can be said, of at most 64 queues") {
  auto config = parse_config(R"({"queues": {"q": {"retention_completed": "36600d", "retention_dead": "0s", "retention_completed_count": 1,
    "retention_dead_count": 1000000000}, "p": {"retention_dead_count": 5}}})", "h.json");
  REQUIRE(config);
  const auto settings = queue_settings(*config);
  CHECK(settings.at("q") == QueueSettings{.keep_completed_ms = kKeepMaxMs, .keep_dead_ms = 0, .keep_completed_count = 1, .keep_dead_count = kKeepCountMax});
  CHECK(settings.at("p") == QueueSettings{.keep_dead_count = 5});
  auto many = [](int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += (i == 0 ? "" : ", ") + std::string("\"q") + std::to_string(i) + "\": {\"retention_dead\": \"1d\"}";
    return failure("{\"queues\": {" + text + ", \"other\": {\"concurrency\": 1}}}");
  };
  CHECK(many(kQueuesKeepMax).empty());
  CHECK(many(kQueuesKeepMax + 1) == "h.json:1: queues.q64: it has a retention of its own, as 64 queues before it have; the limit is 64");
}

TEST_CASE("while a configuration is put in force queues keep what they kept, and have the rest at once") {
  const auto before = parse_config(R"({"queues": {"q": {"retention_dead": "2d", "concurrency": 1}, "gone": {"retention_completed_count": 7}}})", "h.json");
  const auto now = parse_config(R"({"queues": {"q": {"retention_dead": "1d", "concurrency": 2}, "new": {"retention_dead": "1h", "fair": true}}})", "h.json");
  REQUIRE((before && now));
  const auto first = queue_settings(*now, nullptr);
  CHECK(first.at("q") == QueueSettings{.concurrency = 2});
  const auto settings = queue_settings(*now, &*before);
  CHECK(settings.at("q") == QueueSettings{.concurrency = 2, .keep_dead_ms = 2 * 86400000});
  CHECK(settings.at("new") == QueueSettings{.fair = true});
  CHECK(settings.at("gone") == QueueSettings{.keep_completed_count = 7});
  CHECK(queue_settings(*now, &*now) == queue_settings(*now));
}

TEST_CASE("retention of a queue is in force once all of the configuration is, and no longer when it is not said") {
  Applied host;
  host.apply(R"({"queues": {"q": {"retention_completed": "2d", "retention_dead_count": 3}}})");
  CHECK(host.queue() == QueueSettings{.keep_completed_ms = 2 * 86400000, .keep_dead_count = 3});
  const auto refused = parse_config(R"({"queues": {"q": {"retention_completed": "0s"}, "p": {"retention_dead": "0s"}}, "schedules": {
    "never": {"cron": "0 0 1 1 *", "type": "h", "start": "2027-02-01T00:00:00Z", "end": "2027-03-01T00:00:00Z"}}})", "h.json");
  REQUIRE(refused);
  REQUIRE_FALSE(apply_config(*host.host, *refused, &*host.before).ok());
  CHECK(host.queue() == QueueSettings{.keep_completed_ms = 2 * 86400000, .keep_dead_count = 3});
  host.apply("{}");
  CHECK(host.queue() == QueueSettings());
}

TEST_CASE("limits.when_full: what is said goes before the program's own, also `reject`, and no longer when it is not said") {
  Applied plain;
  CHECK(plain.apply("{}") == WhenFull::reject);
  CHECK(plain.apply(R"({"limits": {"when_full": "drop_oldest"}})") == WhenFull::drop_oldest);
  CHECK(plain.apply(R"({"limits": {"when_full": "drop_lowest"}})") == WhenFull::drop_lowest);
  CHECK(plain.apply(R"({"limits": {"when_full": "coalesce"}})") == WhenFull::coalesce);
  CHECK(plain.apply("{}") == WhenFull::reject);
  Applied program(WhenFull::drop_oldest);
  CHECK(program.apply("{}") == WhenFull::drop_oldest);
  CHECK(program.apply(R"({"limits": {"when_full": "reject"}})") == WhenFull::reject);
}

TEST_CASE("limits.flash_budget: in force at once, `0B` is none, and its bounds") {
  Applied host;
  const auto budget = [&](const std::string& text) {
    host.apply(text);
    return std::get<Stats>(host.host->call(GetStats{})).flash_budget;
  };
  CHECK(budget("{}") == 0);
  CHECK(budget(R"({"limits": {"flash_budget": "200MiB"}})") == 200 << 20);
  CHECK(budget(R"({"limits": {"flash_budget": "1TiB"}})") == int64_t{1} << 40);
  CHECK(budget(R"({"limits": {"flash_budget": "0B"}})") == 0);
  CHECK(budget(R"({"limits": {"flash_budget": "1MiB"}})") == 1 << 20);
  CHECK(budget("{}") == 0);
  for (const char* bad : {"1023KiB", "1025GiB", "-1"}) CHECK(failure(R"({"limits": {"flash_budget": ")" + std::string(bad) + "\"}}").starts_with("h.json:1: limits.flash_budget: "));
}

TEST_CASE("a queue's limit is in force at once, and what an operator set goes before it") {
  Applied host;
  host.apply(R"({"queues": {"q": {"max_pending": 5, "when_full": "drop_oldest"}}})");
  CHECK(host.queue().max_pending == 5);
  CHECK(host.queue().when_full == WhenFull::drop_oldest);
  QueueSettings set;
  set.max_pending = 0;
  REQUIRE_FALSE(std::holds_alternative<Error>(host.host->call(QueueSet{"q", set})));
  CHECK(host.queue().max_pending == 0);
  CHECK(host.queue().when_full == WhenFull::drop_oldest);
  host.apply("{}");
  CHECK_FALSE(host.queue().when_full.has_value());
}
