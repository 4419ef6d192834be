// "subscriptions" of the configuration.
#include <doctest/doctest.h>

#include "core/events.h"
#include "handlers/config.h"

using namespace hf;

namespace {

Result<Config> config_with(const std::string& subscriptions) {
  return parse_config(R"({"sinks": {"cloud": {"url": "https://cloud.example/"}}, "subscriptions": )" + subscriptions + "}", "h.json");
}
std::string failure(const std::string& subscriptions) {
  const auto config = config_with(subscriptions);
  return config ? "" : config.error().message;
}
// Of one that is good but for these members.
std::string wrong(const std::string& members) { return failure(R"({"on-door": {"event": "door.opened", "type": "report", )" + members + "}}"); }

}  // namespace

TEST_CASE("a subscription says an event, a filter, and what a job says") {
  const auto config = config_with(R"({"on-door": {"event": "door.opened", "filter": {"door": 3, "who": "anna", "alarm": true, "badge": null},
      "type": "report", "payload": {"a": [1, 2]}, "queue": "slow", "priority": 7, "delay": "5s", "ttl": "1h", "unique_key": "report", "unique_for": "2m",
      "on_conflict": "debounce", "debounce_max": "1m", "sink": "cloud", "callback": "cloud", "tags": "a b", "max_attempts": 3}, "all": {"event": "door.opened", "type": "x"}})");
  if (!config) FAIL(config.error().message);
  REQUIRE(config->subscriptions.size() == 2);
  const SubscriptionSpec& s = config->subscriptions[0];
  CHECK(s.name == "on-door");
  CHECK(s.event == "door.opened");
  CHECK(s.filter == EventFields{{"door", "3"}, {"who", "\"anna\""}, {"alarm", "true"}, {"badge", "null"}});
  CHECK(s.own_payload);
  CHECK(s.job.type == "report");
  CHECK(s.job.payload == "{\"a\":[1,2]}");
  CHECK(s.job.queue == "slow");
  CHECK(s.job.priority == 7);
  CHECK(s.job.delay_ms == 5000);
  CHECK(s.job.ttl_ms == 3600 * 1000);
  CHECK(s.job.unique_key == "report");
  CHECK(s.job.unique_for_ms == 120 * 1000);
  CHECK(s.job.on_conflict == OnConflict::debounce);
  CHECK(s.job.debounce_max_ms == 60 * 1000);
  CHECK(s.job.sink == "cloud");
  CHECK(s.job.callback == "cloud");
  CHECK(s.job.policy.max_attempts == 3);
  CHECK(config->subscriptions[1].filter.empty());
  CHECK_FALSE(config->subscriptions[1].own_payload);
}

TEST_CASE("a payload of its own may be empty, and may be bytes") {
  CHECK(config_with(R"({"a": {"event": "e", "type": "x", "payload": ""}})")->subscriptions[0].own_payload);
  CHECK(config_with(R"({"a": {"event": "e", "type": "x", "payload_base64": "aGk="}})")->subscriptions[0].job.payload == "hi");
}

TEST_CASE("unique_for alone is how long an event's key counts") {
  CHECK(config_with(R"({"a": {"event": "e", "type": "x", "unique_for": "1h"}})")->subscriptions[0].job.unique_for_ms == 3600 * 1000);
}

TEST_CASE("what is wrong with a subscription, and where") {
  CHECK(failure(R"([])") == "h.json:1: subscriptions: found an array, expected an object");
  CHECK(failure(R"({"a b": {"event": "e", "type": "x"}})").starts_with("h.json:1: subscriptions.\"a b\": the subscription name \"a b\""));
  CHECK(failure(R"({"on-door": {"type": "x"}})") == "h.json:1: subscriptions.on-door: \"event\" is missing: it says what starts its jobs");
  CHECK(failure(R"({"on-door": {"event": "e"}})") == "h.json:1: subscriptions.on-door: \"type\" is missing: it says what runs its jobs");
  CHECK(failure(R"({"on-door": {"event": "door opened", "type": "x"}})").starts_with("h.json:1: subscriptions.on-door.event: the event name \"door opened\""));
  CHECK(wrong(R"("filtr": {})").starts_with("h.json:1: subscriptions.on-door.filtr: unknown key; did you mean \"filter\"?"));
  CHECK(wrong(R"("filter": {"door": {"number": 3}})") ==
        "h.json:1: subscriptions.on-door.filter.door: found an object, expected text, a number, true, false or null: a filter compares fields at the top of the "
        "payload, exactly");
  CHECK(wrong(R"("filter": [3])") == "h.json:1: subscriptions.on-door.filter: found an array, expected an object");
  CHECK(wrong(R"("at": "2027-01-01T00:00:00Z")").starts_with("h.json:1: subscriptions.on-door.at: unknown key"));
  CHECK(wrong(R"("payload": 1, "payload_base64": "aGk=")") == "h.json:1: subscriptions.on-door: \"payload\" and \"payload_base64\" exclude each other");
  CHECK(wrong(R"("on_conflict": "keep")") == "h.json:1: subscriptions.on-door: \"on_conflict\" needs \"unique_key\" or \"unique_by\": \"payload\"");
  CHECK(wrong(R"("debounce_max": "1m")") == "h.json:1: subscriptions.on-door: debounce_max without on_conflict debounce");
  CHECK(wrong(R"("unique_key": "k", "on_conflict": "debounce")") ==
        "h.json:1: subscriptions.on-door: on_conflict debounce without delay: that is what starts anew");
  CHECK(wrong(R"("ttl": "1s", "delay": "2s")") == "h.json:1: subscriptions.on-door: ttl is not longer than delay: the job could never run");
  CHECK(wrong(R"("delay": "5 s")").starts_with("h.json:1: subscriptions.on-door.delay: "));
  CHECK(wrong(R"("unique_key": "")") == "h.json:1: subscriptions.on-door.unique_key: the string is empty");
  CHECK(wrong(R"("sink": "clod")").starts_with("h.json:1: subscriptions.on-door.sink: there is no sink \"clod\"; did you mean \"cloud\"?"));
  CHECK(wrong(R"("failure_callback": "none")").starts_with("h.json:1: subscriptions.on-door.failure_callback: there is no sink \"none\""));
  CHECK(wrong(R"("backoff": {"kind": "list"})").starts_with("h.json:1: subscriptions.on-door.backoff: kind \"list\" needs \"list\""));
}

TEST_CASE("there are as many as the engine takes") {
  std::string all = "{";
  for (size_t i = 0; i < kSubscriptionsMax; ++i) all += (i == 0 ? "\"s" : ",\"s") + std::to_string(i) + R"(": {"event": "e", "type": "x"})";
  CHECK(failure(all + "}") == "");
  CHECK(failure(all + R"(, "one-more": {"event": "e", "type": "x"}})") == "h.json:1: subscriptions: there are 1001: at most 1000 are allowed");
}
