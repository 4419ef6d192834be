// Conditions in the configuration: what can be said, what is wrong with the rest, and what a host has of it after a reload.
#include "handlers/apply_config.h"
#include "handlers/config.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include "platform/clock.h"
#include "platform/function_probe.h"
#include "platform/json.h"
#include "platform/json_spec.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

std::string failure(const std::string& text, ConfigOf of = ConfigOf::this_device) {
  auto config = parse_config(text, "h.json", of);
  return config ? "" : config.error().message;
}
// Of a condition "c" with these members, without the place.
std::string condition_failure(const std::string& members) {
  const std::string said = failure("{\"conditions\": {\"c\": {" + members + "}}}");
  const std::string place = "h.json:1: conditions.c";
  return said.starts_with(place) ? said.substr(place.size()) : said;
}

std::string many(int from, int to) {
  std::string text = "{\"conditions\": {";
  for (int i = from; i < to; ++i) text += (i > from ? ", \"c" : "\"c") + std::to_string(i) + "\": {\"power\": \"mains\"}";
  return text + "}}";
}

struct Applied {
  TempFolder folder;
  std::unique_ptr<Host> host = Host::open(folder / "queue.db", {}).value();
  std::optional<Config> applied;
  ~Applied() { host->close(); }

  void apply(const std::string& text) {
    auto config = parse_config(text, "h.json");
    CAPTURE(config ? std::string() : config.error().message);
    REQUIRE(config);
    const Status done = apply_config(*host, *config, applied ? &*applied : nullptr);
    CAPTURE(done ? std::string() : done.error().message);
    REQUIRE(done);
    applied = std::move(*config);
  }
  std::map<std::string, ConditionInfo> conditions() {
    std::map<std::string, ConditionInfo> all;
    Reply reply = host->call(ConditionList{});
    for (ConditionInfo& info : std::get<std::vector<ConditionInfo>>(reply)) all[info.spec.name] = std::move(info);
    return all;
  }
  ConditionInfo condition(const std::string& name) { return conditions().at(name); }
  void tell(const std::string& name, bool open, const std::string& why) {
    const Reply told = host->call(TellCondition{name, open, why});
    REQUIRE_FALSE(std::holds_alternative<Error>(told));
  }
  JobId add(const std::string& type) {
    JobSpec spec;
    spec.type = type;
    const Reply added = host->call(Enqueue{{spec}});
    REQUIRE_FALSE(std::holds_alternative<Error>(added));
    return std::get<std::vector<JobId>>(added).at(0);
  }
  bool becomes(const std::function<bool()>& holds) {
    const int64_t end_ms = boot_ms() + 60'000;
    while (!holds()) {
      if (boot_ms() > end_ms) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // A program that notes each call, and says that it is open.
  std::string asking() { return R"(["/bin/sh", "-c", "echo x >> )" + folder.path() + R"(/calls; echo fine"])"; }
  size_t calls() {
    std::ifstream in(folder / "calls");
    size_t count = 0;
    for (std::string line; std::getline(in, line);) ++count;
    return count;
  }
};

}  // namespace

TEST_SUITE("conditions of the configuration") {
  TEST_CASE("each kind") {
    const auto config = parse_config(R"({"conditions": {
      "mains":   {"power": "mains"},
      "charged": {"battery_at_least": 40},
      "cool":    {"temperature_below": 75.5, "zone": "cpu-thermal", "every": "1s", "timeout": "100ms"},
      "quiet":   {"load_below": 2.5, "every": "1d", "timeout": "1m"},
      "space":   {"free_space": "200MiB", "path": "/data"},
      "online":  {"network": "up"},
      "wifi":    {"link": ["wifi", "ethernet"]},
      "vpn":     {"exec": ["/bin/true", "--quiet"], "timeout": "5s"},
      "door":    {"told": "closed"},
      "free":    {"told": "open"}},
      "handlers": {"h": {"exec": ["/bin/true"], "when": ["mains", "door"]}},
      "queues": {"q": {"when": ["cool"]}, "p": {"when": []}, "o": {}},
      "sinks": {"s": {"url": "https://a.example/", "when": ["wifi", "vpn"]}}})", "h.json");
    CAPTURE(config ? std::string() : config.error().message);
    REQUIRE(config);
    const auto& c = config->conditions;
    REQUIRE(c.size() == 10);
    CHECK(c[0] == ConditionConfig{.spec = {.name = "mains"}, .kind = ConditionKind::power});
    CHECK(c[1] == ConditionConfig{.spec = {.name = "charged"}, .kind = ConditionKind::battery, .percent = 40});
    CHECK(c[2] == ConditionConfig{.spec = {.name = "cool", .every_ms = 1000}, .kind = ConditionKind::temperature, .below = 75.5, .zone = "cpu-thermal", .timeout_ms = 100});
    CHECK(c[3] == ConditionConfig{.spec = {.name = "quiet", .every_ms = 86400000}, .kind = ConditionKind::load, .below = 2.5, .timeout_ms = 60000});
    CHECK(c[4] == ConditionConfig{.spec = {.name = "space"}, .kind = ConditionKind::free_space, .bytes = 200 << 20, .path = "/data"});
    CHECK(c[5] == ConditionConfig{.spec = {.name = "online"}, .kind = ConditionKind::network});
    CHECK(c[6] == ConditionConfig{.spec = {.name = "wifi", .links = {"wifi", "ethernet"}}, .kind = ConditionKind::link});
    CHECK(c[7] == ConditionConfig{.spec = {.name = "vpn"}, .kind = ConditionKind::exec, .exec = {"/bin/true", "--quiet"}});
    CHECK(c[8] == ConditionConfig{.spec = {.name = "door", .told = true}, .kind = ConditionKind::told});
    CHECK(c[9] == ConditionConfig{.spec = {.name = "free", .told = true, .initially = true}, .kind = ConditionKind::told});
    CHECK(c[0].spec.every_ms == 30000);
    CHECK(c[0].timeout_ms == 5000);
    CHECK(runner_spec(config->handlers[0]).when == std::vector<std::string>{"mains", "door"});
    const auto queues = queue_settings(*config);
    CHECK(queues.at("q").when == std::vector<std::string>{"cool"});
    CHECK(queues.at("p").when == std::vector<std::string>());  // none, whatever an operator's settings of before said
    CHECK_FALSE(queues.at("o").when.has_value());
    CHECK(queues.at("sink:s").when == std::vector<std::string>{"wifi", "vpn"});
  }

  TEST_CASE("values: what is wrong, and what is allowed") {
    CHECK(condition_failure(R"("power": "battery")") == ".power: found \"battery\", expected \"mains\"");
    CHECK(condition_failure(R"("power": true)") == ".power: found true, expected \"mains\"");
    CHECK(condition_failure(R"("network": "down")") == ".network: found \"down\", expected \"up\"");
    CHECK(condition_failure(R"("told": "opened")") == ".told: found \"opened\", expected \"open\" or \"closed\"; did you mean \"open\"?");
    for (const char* bad : {"0", "101", "40.5", "\"40\""}) {
      CHECK(condition_failure(std::string("\"battery_at_least\": ") + bad) == ".battery_at_least: found " + std::string(bad) + ", expected a whole number from 1 to 100");
    }
    for (const char* bad : {"-41", "150.5", "\"75\""}) {
      CHECK(condition_failure(std::string("\"temperature_below\": ") + bad) == ".temperature_below: found " + std::string(bad) + ", expected a number from -40 to 150");
    }
    for (const char* bad : {"0", "10001"}) {
      CHECK(condition_failure(std::string("\"load_below\": ") + bad) == ".load_below: found " + std::string(bad) + ", expected a number from 0.01 to 10000");
    }
    CHECK(condition_failure(R"("free_space": 200, "path": "/")") == ".free_space: found 200, expected a size in quotes, such as \"64KiB\"");
    CHECK(condition_failure(R"("free_space": "0B", "path": "/")").starts_with(".free_space: \"0B\" is out of range: allowed are 1B to "));
    CHECK(condition_failure(R"("free_space": "1MiB", "path": "data")") == ".path: the full path of a folder is meant, with a / in front");
    CHECK(condition_failure(R"("temperature_below": 75, "zone": "")") == ".zone: the string is empty");
    CHECK(condition_failure(R"("link": [])") == ".link: the array is empty");
    CHECK(condition_failure(R"("link": "wifi")") == ".link: found \"wifi\", expected an array");
    CHECK(condition_failure(R"("link": ["wifi", "wi fi"])").starts_with(".link[1]: "));
    CHECK(condition_failure(R"("exec": [])") == ".exec: the array is empty");
    CHECK(condition_failure(R"("exec": "vpn-up")") == ".exec: found \"vpn-up\", expected an array");
    CHECK(condition_failure(R"("power": "mains", "every": "999ms")") == ".every: 999ms is out of range: allowed are 1s to 1d");
    CHECK(condition_failure(R"("power": "mains", "every": "25h")") == ".every: 25h is out of range: allowed are 1s to 1d");
    CHECK(condition_failure(R"("power": "mains", "timeout": "99ms")") == ".timeout: 99ms is out of range: allowed are 100ms to 1m");
    CHECK(condition_failure(R"("power": "mains", "timeout": "61s")") == ".timeout: 61s is out of range: allowed are 100ms to 1m");
    CHECK(condition_failure(R"("battery_atleast": 40)") ==
          ".battery_atleast: unknown key; did you mean \"battery_at_least\"? (known here: power, battery_at_least, temperature_below, zone, load_below, "
          "free_space, path, network, link, exec, told, every and timeout)");
  }

  TEST_CASE("one kind each, and only what belongs to it") {
    CHECK(condition_failure("") ==
          ": what has to be so is missing: expected \"power\", \"battery_at_least\", \"temperature_below\", \"load_below\", \"free_space\", \"network\", \"link\", \"exec\" or \"told\"");
    CHECK(condition_failure(R"("exec": ["/bin/true"], "power": "mains")") == ": \"power\" and \"exec\" exclude each other: a condition is of one kind");
    CHECK(condition_failure(R"("temperature_below": 75, "load_below": 2)") == ": \"temperature_below\" and \"load_below\" exclude each other: a condition is of one kind");
    CHECK(condition_failure(R"("told": "open", "every": "1m")") == ": \"every\" is for conditions that are asked: this one is \"told\"");
    CHECK(condition_failure(R"("link": ["wifi"], "timeout": "1s")") == ": \"timeout\" is for conditions that are asked: this one goes by the \"link\"");
    CHECK(condition_failure(R"("load_below": 2, "zone": "cpu")") == ": \"zone\" is for \"temperature_below\" only");
    CHECK(condition_failure(R"("power": "mains", "path": "/data")") == ": \"path\" is for \"free_space\" only");
    CHECK(condition_failure(R"("free_space": "1MiB")") == ": \"path\" is missing: it says where there has to be room");
  }

  TEST_CASE("names, and how many") {
    CHECK(failure(R"({"conditions": {"on mains": {"power": "mains"}}})").starts_with("h.json:1: conditions.\"on mains\": "));
    CHECK(failure(many(0, 64)) == "");
    CHECK(failure(many(0, 65)) == "h.json:1: conditions: there are 65: at most 64 are allowed");
  }

  TEST_CASE("a program is there, on this device") {
    const std::string text = R"({"conditions": {"vpn": {"exec": ["/usr/bin/no-such-program"]}}})";
    CHECK(failure(text) == "h.json:1: conditions.vpn.exec[0]: \"/usr/bin/no-such-program\": No such file or directory");
    CHECK(failure(text, ConfigOf::another) == "");
    CHECK(failure(R"({"conditions": {"vpn": {"exec": ["no-such-program"]}}})") ==
          "h.json:1: conditions.vpn.exec[0]: \"no-such-program\": there is no such program in the search path; its full path is meant");
  }

  TEST_CASE("what is named in \"when\" is there") {
    const std::string conditions = R"("conditions": {"mains": {"power": "mains"}, "cool": {"temperature_below": 75}})";
    const std::string owners[][3] = {{"handlers", "\"exec\": [\"/bin/true\"]", "handlers.x.when"},
                                     {"queues", "\"slack\": \"1s\"", "queues.x.when"},
                                     {"sinks", "\"url\": \"https://a.example/\"", "sinks.x.when"}};
    for (const auto& [section, rest, path] : owners) {
      const auto with = [&, section = section, rest = rest](const std::string& when, const std::string& more) {
        return failure("{\"" + section + "\": {\"x\": {" + rest + ", \"when\": " + when + "}}" + more + "}");
      };
      CHECK(with(R"(["mains", "cool"])", ", " + conditions) == "");
      CHECK(with("[]", "") == "");
      CHECK(with(R"(["cool", "main"])", ", " + conditions) ==
            "h.json:1: " + path + "[1]: there is no condition \"main\"; did you mean \"mains\"? (\"conditions\" has: mains and cool)");
      CHECK(with(R"(["mains"])", "") == "h.json:1: " + path + "[0]: there is no condition \"mains\" (\"conditions\" has none)");
      CHECK(with(R"("mains")", ", " + conditions) == "h.json:1: " + path + ": found \"mains\", expected an array");
      CHECK(with(R"([7])", ", " + conditions) == "h.json:1: " + path + "[0]: found 7, expected a string");
      CHECK(with(R"(["mains", "mains"])", ", " + conditions) == "h.json:1: " + path + "[1]: condition mains is named twice");
      std::string seventeen = "[\"c0\"";
      for (int i = 1; i < 17; ++i) seventeen += ", \"c" + std::to_string(i) + "\"";
      CHECK(with(seventeen + "]", "") == "h.json:1: " + path + ": the array has 17 items: at most 16 are allowed");
    }
    CHECK(failure(R"({"schedules": {"s": {"cron": "@daily", "type": "x", "when": ["mains"]}}})").find("unknown key") != std::string::npos);
  }

  TEST_CASE("settings of a queue say it, and are read again as they were") {
    const auto settings = parse_queue_settings(R"({"when": ["mains", "cool"]})");
    REQUIRE(settings);
    CHECK(settings->when == std::vector<std::string>{"mains", "cool"});
    QueueInfo info;
    info.name = "q";
    info.settings = info.set = *settings;
    CHECK(queue_json(info).find(R"("when":["mains","cool"])") != std::string::npos);
    CHECK(parse_queue_settings(R"({"when": []})")->when == std::vector<std::string>());
  }

  TEST_CASE_FIXTURE(Applied, "what is told stays told when other things change, and what goes is gone") {
    apply(R"({"conditions": {"door": {"told": "closed"}, "lid": {"told": "open"}, "wifi": {"link": ["wifi"]}}})");
    CHECK(conditions().size() == 3);
    CHECK_FALSE(condition("door").open);
    CHECK(condition("lid").open);
    tell("door", true, "by hand");
    apply(R"({"conditions": {"door": {"told": "closed"}, "wifi": {"link": ["unmetered"]}}})");
    CHECK(conditions().size() == 2);
    CHECK(condition("door").open);
    CHECK(condition("door").why == "by hand");
    CHECK(condition("wifi").open);
    apply(R"({"conditions": {"door": {"power": "mains"}}})");
    CHECK(conditions().size() == 1);
    CHECK_FALSE(condition("door").known);
    apply("{}");
    CHECK(conditions().empty());
  }

  TEST_CASE_FIXTURE(Applied, "an answer counts as long as its question is the same") {
    const auto config = [&](const std::string& more, const std::string& rest) {
      return R"({"conditions": {"asked": {"exec": )" + asking() + R"(, "every": "1d")" + more + R"(}}, "handlers": {"h": {"exec": ["/bin/true"], "when": ["asked"]}})" + rest + "}";
    };
    apply(config("", ""));
    REQUIRE(host->start().ok());
    add("h");
    REQUIRE(becomes([&] { return condition("asked").known; }));
    CHECK(condition("asked").open);
    CHECK(condition("asked").why == "fine");
    CHECK(calls() == 1);
    apply(config("", R"(, "log": {"level": "debug"})"));
    CHECK(condition("asked").known);
    apply(config(R"(, "timeout": "6s")", ""));
    CHECK_FALSE(condition("asked").known);
    add("h");
    REQUIRE(becomes([&] { return condition("asked").known; }));
    CHECK(calls() == 2);
  }

  TEST_CASE_FIXTURE(Applied, "a question that is open when it is replaced does not keep the new one from being asked") {
    const auto config = [&](const std::string& program) {
      return R"({"conditions": {"asked": {"exec": )" + program + R"(, "every": "1d", "timeout": "1m"}}, "handlers": {"h": {"exec": ["/bin/true"], "when": ["asked"]}}})";
    };
    apply(config(R"(["/bin/sleep", "1000"])"));
    REQUIRE(host->start().ok());
    add("h");
    REQUIRE(becomes([&] { return condition("asked").asking; }));
    apply(config(asking()));
    REQUIRE(becomes([&] { return condition("asked").open; }));
    CHECK(condition("asked").why == "fine");
  }

  TEST_CASE_FIXTURE(Applied, "a host closes while a function that it asked hangs, and another condition is answered meanwhile") {
    struct Gate {
      std::promise<void> opened;
      std::shared_future<void> gate{opened.get_future()};
      std::atomic<int> inside{0}, left{0};
    };
    const auto gate = std::make_shared<Gate>();  // with the thread, which outlives the host
    apply(R"({"conditions": {"hook": {"told": "closed"}, "idle": {"load_below": 10000}},
              "handlers": {"h": {"exec": ["/bin/true"], "when": ["hook"]}, "i": {"exec": ["/bin/true"], "when": ["idle"]}}})");
    const auto look = [gate]() -> ProbeAnswer {
      ++gate->inside;
      gate->gate.wait();
      ++gate->left;
      return {true, ""};
    };
    REQUIRE(host->set_condition({.name = "hook"}, std::make_shared<FunctionProbe>(host->loop().uv(), 3'000, look)).ok());
    REQUIRE(host->start().ok());
    add("h");
    REQUIRE(becomes([&] { return gate->inside == 1; }));
    add("i");
    REQUIRE(becomes([&] { return condition("idle").open; }));
    CHECK(condition("hook").asking);
    host->close();
    CHECK(gate->left == 0);
    gate->opened.set_value();
    REQUIRE(becomes([&] { return gate->left == 1; }));
  }

  TEST_CASE_FIXTURE(Applied, "what is refused half-way is taken back") {
    for (size_t i = 1; i < kSubscriptionsMax; ++i) {
      SubscriptionSpec own{.name = "own" + std::to_string(i), .event = "e", .job = {}};
      own.job.type = "h";
      REQUIRE(host->set_subscription(own).ok());
    }
    const std::string first = R"({"limits": {"max_jobs": 1000}, "conditions": {"door": {"told": "closed"}},
      "queues": {"q": {"when": ["door"]}}, "schedules": {"daily": {"cron": "@daily", "type": "h"}}})";
    apply(first);
    const auto next = parse_config(R"({"limits": {"max_jobs": 2000}, "conditions": {"door": {"told": "open"}, "mains": {"power": "mains"}},
      "queues": {"q": {"when": ["mains"]}, "r": {"concurrency": 3}}, "handlers": {"h": {"exec": ["/bin/true"]}},
      "subscriptions": {"a": {"event": "e", "type": "h"}, "b": {"event": "e", "type": "h"}}})", "h.json");
    REQUIRE(next);
    const Status refused = apply_config(*host, *next, &*applied);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == HF_E_FULL);
    CHECK(refused.error().message.starts_with("h.json: subscriptions.b: "));

    CHECK(host->limits().max_jobs == 1000);
    CHECK(conditions().size() == 1);
    CHECK_FALSE(condition("door").spec.initially);
    Reply queues = host->call(QueueList{});
    for (const QueueInfo& queue : std::get<std::vector<QueueInfo>>(queues)) {
      CHECK_FALSE(queue.settings.concurrency.has_value());
      if (queue.name == "q") CHECK(queue.settings.when == std::vector<std::string>{"door"});
    }
    Reply subscriptions = host->call(SubscriptionList{});
    CHECK(std::get<std::vector<SubscriptionInfo>>(subscriptions).size() == kSubscriptionsMax - 1);
    Reply schedules = host->call(ScheduleList{});
    CHECK(std::get<std::vector<ScheduleInfo>>(schedules).size() == 1);
    CHECK(host->remove_runner("h").error().code == HF_E_NOT_FOUND);
    apply(first);  // what comes next is compared with what is there
  }

  TEST_CASE_FIXTURE(Applied, "of a first configuration that is refused half-way nothing stays") {
    SubscriptionSpec own{.name = "own", .event = "e", .job = {}};
    own.job.type = "h";
    REQUIRE(host->set_subscription(own).ok());
    const int64_t max_jobs = host->limits().max_jobs;
    const auto first = parse_config(R"({"limits": {"max_jobs": 2000}, "conditions": {"mains": {"power": "mains"}},
      "queues": {"q": {"when": ["mains"]}}, "handlers": {"h": {"exec": ["/bin/true"]}},
      "subscriptions": {"a": {"event": "e", "type": "h"}}, "schedules": {"daily": {"cron": "@daily", "type": "h"},
      "never": {"cron": "0 0 1 1 *", "type": "h", "start": "2027-02-01T00:00:00Z", "end": "2027-03-01T00:00:00Z"}}})", "h.json");
    REQUIRE(first);
    REQUIRE_FALSE(apply_config(*host, *first, nullptr).ok());
    CHECK(host->limits().max_jobs == max_jobs);
    CHECK(conditions().empty());
    Reply queues = host->call(QueueList{});
    for (const QueueInfo& queue : std::get<std::vector<QueueInfo>>(queues)) CHECK_FALSE(queue.settings.when.has_value());
    CHECK(std::get<std::vector<SubscriptionInfo>>(host->call(SubscriptionList{})).size() == 1);
    CHECK(std::get<std::vector<ScheduleInfo>>(host->call(ScheduleList{})).empty());
    CHECK(host->remove_runner("h").error().code == HF_E_NOT_FOUND);
  }

  TEST_CASE_FIXTURE(Applied, "a schedule that is refused takes nothing with it: neither others nor what retention keeps") {
    ScheduleSpec own{.name = "nightly", .cron = "0 2 * * *", .job = {}};
    own.job.type = "mine";
    REQUIRE_FALSE(std::holds_alternative<Error>(host->call(SchedulePut{own})));
    apply(R"({"schedules": {"weekly": {"cron": "@weekly", "type": "h"}}})");
    const auto before = host->call(ScheduleList{});
    const JobId id = add("x");
    REQUIRE_FALSE(std::holds_alternative<Error>(host->call(Cancel{id})));
    const auto next = parse_config(R"({"retention": {"completed": "0s"}, "schedules": {
      "daily": {"cron": "@daily", "type": "h"}, "nightly": {"cron": "@hourly", "type": "h"},
      "never": {"cron": "0 0 1 1 *", "type": "h", "start": "2027-02-01T00:00:00Z", "end": "2027-03-01T00:00:00Z"}}})", "h.json");
    REQUIRE(next);
    const Status refused = apply_config(*host, *next, &*applied);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.starts_with("h.json: schedules.never: it can never fire"));
    const auto after = host->call(ScheduleList{});
    const auto& was = std::get<std::vector<ScheduleInfo>>(before);
    const auto& is = std::get<std::vector<ScheduleInfo>>(after);
    REQUIRE(is.size() == was.size());
    for (size_t i = 0; i < is.size(); ++i) CHECK(is[i].spec == was[i].spec);
    CHECK(std::holds_alternative<JobInfo>(host->call(Get{id})));
    apply(R"({"retention": {"completed": "0s"}})");
    CHECK(becomes([&] { return std::holds_alternative<Error>(host->call(Get{id})); }));
  }

  TEST_CASE("\"when\" may name what the program has made") {
    const std::string text = R"({"conditions": {"mains": {"power": "mains"}}, "queues": {"q": {"when": ["mains", "hook"]}}})";
    CHECK(parse_config(text, "h.json", ConfigOf::this_device, {"hook"}).ok());
    const auto refused = parse_config(text, "h.json", ConfigOf::this_device, {"hooks"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message ==
          "h.json:1: queues.q.when[1]: there is no condition \"hook\"; did you mean \"hooks\"? (\"conditions\" has: mains and hooks)");
  }

  TEST_CASE_FIXTURE(Applied, "64 make room for 64 others") {
    apply(many(0, 64));
    apply(many(64, 128));
    CHECK(conditions().size() == 64);
    CHECK(conditions().contains("c64"));
  }
}
