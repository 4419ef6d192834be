// hf_subscribe, hf_emit and hf_unsubscribe, and subscriptions of a configuration in a host program.
#include <holdfast_sqlite.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class EventsApi : public ApiFixture {
 public:
  int subscribe(const char* name, const char* event, const char* filter = nullptr, const char* own = nullptr, const char* type = "report") {
    hf_job_spec job = HF_JOB_SPEC_INIT;
    job.type = type;
    job.payload = own;
    job.payload_len = own != nullptr ? std::strlen(own) : 0;
    hf_subscription_spec spec = HF_SUBSCRIPTION_SPEC_INIT;
    spec.name = name;
    spec.event = event;
    spec.filter = filter;
    spec.job = &job;
    return hf_subscribe(engine, &spec);
  }
  std::vector<hf_job_id> emit(const std::string& payload, const char* key = nullptr, const char* event = "door.opened") {
    hf_emit_options opts = HF_EMIT_OPTIONS_INIT;
    opts.key = key;
    std::vector<hf_job_id> ids(HF_SUBSCRIPTIONS_MAX);
    size_t n = ids.size();
    const int code = hf_emit(engine, event, payload.data(), payload.size(), &opts, ids.data(), &n);
    INFO(hf_errmsg(engine));
    REQUIRE(code == HF_OK);
    ids.resize(n);
    return ids;
  }
  std::string message() const { return hf_errmsg(engine); }
  int load(const std::string& text) {
    const std::string file = dir + "/holdfast.json";
    std::ofstream(file) << text;
    return hf_load_config(engine, file.c_str());
  }
};

}  // namespace

TEST_CASE_FIXTURE(EventsApi, "the handler of each subscription gets the payload, or the subscription's own") {
  std::atomic<int> runs{0};
  on("report", [&](hf_job* job) {
    ++runs;
    size_t len = 0;
    const void* payload = hf_job_payload(job, &len);
    hf_job_result(job, payload, len);
    return HF_OK;
  });
  REQUIRE(subscribe("a", "door.opened") == HF_OK);
  REQUIRE(subscribe("b", "door.opened", R"({"door": 3})") == HF_OK);
  REQUIRE(subscribe("c", "door.opened", R"({"door": 4})") == HF_OK);
  REQUIRE(subscribe("d", "door.opened", nullptr, "mine") == HF_OK);
  REQUIRE(subscribe("e", "door.opened", "{}", "") == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  const std::string payload = R"({"door": 3.0, "who": {"name": "anna"}})";
  const auto ids = emit(payload);
  REQUIRE(ids.size() == 4);
  CHECK(wait_final(ids[0]).result == payload);
  CHECK(wait_final(ids[1]).result == payload);
  CHECK(wait_final(ids[2]).result == "mine");
  CHECK(wait_final(ids[3]).result == "");
  CHECK(emit("no JSON").size() == 3);
  CHECK(emit("").size() == 3);
  CHECK(emit(payload, nullptr, "door.closed").empty());
}

TEST_CASE_FIXTURE(EventsApi, "a key starts a job once; another one, or none, does again") {
  REQUIRE(subscribe("a", "door.opened") == HF_OK);
  const auto first = emit("1", "k");
  CHECK(emit("2", "k") == first);
  CHECK(get(first[0]).payload == "1");
  CHECK(emit("3", "l") != first);
  CHECK(emit("4", "") != first);
}

TEST_CASE_FIXTURE(EventsApi, "room for fewer ids: all jobs are started, and n says how many") {
  for (const char* name : {"a", "b", "c"}) REQUIRE(subscribe(name, "e") == HF_OK);
  hf_job_id ids[3] = {0, 0, 0};
  size_t n = 2;
  REQUIRE(hf_emit(engine, "e", nullptr, 0, nullptr, ids, &n) == HF_OK);
  CHECK(n == 3);
  CHECK(ids[0] != 0);
  CHECK(ids[1] > ids[0]);
  CHECK(ids[2] == 0);
  CHECK(get(ids[1] + 1).state == HF_STATE_PENDING);
  n = 0;
  REQUIRE(hf_emit(engine, "e", nullptr, 0, nullptr, nullptr, &n) == HF_OK);
  CHECK(n == 3);
  CHECK(hf_emit(engine, "e", nullptr, 0, nullptr, nullptr, nullptr) == HF_OK);
  n = 3;
  CHECK(hf_emit(engine, "nobody", "x", 1, nullptr, ids, &n) == HF_OK);
  CHECK(n == 0);
}

TEST_CASE_FIXTURE(EventsApi, "what is wrong is said") {
  CHECK(hf_subscribe(engine, nullptr) == HF_E_INVALID);
  CHECK(message() == "the subscription spec is null");
  hf_subscription_spec spec = HF_SUBSCRIPTION_SPEC_INIT;
  spec.struct_size = 0;
  CHECK(hf_subscribe(engine, &spec) == HF_E_INVALID);
  CHECK(message() == "struct_size of the subscription spec is not set; begin with HF_SUBSCRIPTION_SPEC_INIT");
  spec = HF_SUBSCRIPTION_SPEC_INIT;
  CHECK(hf_subscribe(engine, &spec) == HF_E_INVALID);
  CHECK(message() == "name is null");
  spec.name = "a";
  CHECK(hf_subscribe(engine, &spec) == HF_E_INVALID);
  CHECK(message() == "event is null");
  spec.event = "e";
  CHECK(hf_subscribe(engine, &spec) == HF_E_INVALID);
  CHECK(message() == "job is null: it says what is started");
  hf_job_spec job = HF_JOB_SPEC_INIT;
  spec.job = &job;
  CHECK(hf_subscribe(engine, &spec) == HF_E_INVALID);
  CHECK(message() == "job: type is null");
  job.type = "report";
  job.run_at_unix_ms = 1800000000000;
  CHECK(hf_subscribe(engine, &spec) == HF_E_INVALID);
  CHECK(message() == "run_at is one time, and events come again and again: delay is meant");
  CHECK(subscribe("a b", "e") == HF_E_INVALID);
  CHECK(subscribe("a", "") == HF_E_INVALID);
  CHECK(message() == "the event name is empty");
  CHECK(subscribe("a", "e", "[]") == HF_E_INVALID);
  CHECK(message() == "filter: found an array, expected an object");
  CHECK(subscribe("a", "e", "{\"door\": [3]}") == HF_E_INVALID);
  CHECK(message().rfind("filter: door: found an array", 0) == 0);
  CHECK(subscribe("a", "e", "door") == HF_E_INVALID);
  CHECK(message().rfind("filter is not JSON: 1:", 0) == 0);

  CHECK(hf_unsubscribe(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_unsubscribe(engine, "none") == HF_E_NOT_FOUND);
  CHECK(message() == "there is no subscription \"none\"");

  CHECK(hf_emit(engine, nullptr, nullptr, 0, nullptr, nullptr, nullptr) == HF_E_INVALID);
  CHECK(hf_emit(engine, "e", nullptr, 1, nullptr, nullptr, nullptr) == HF_E_INVALID);
  hf_job_id id = 0;
  CHECK(hf_emit(engine, "e", nullptr, 0, nullptr, &id, nullptr) == HF_E_INVALID);
  CHECK(message() == "n is null and ids is not: it says how many there is room for");
  hf_emit_options opts = HF_EMIT_OPTIONS_INIT;
  opts.struct_size = 1;
  CHECK(hf_emit(engine, "e", nullptr, 0, &opts, nullptr, nullptr) == HF_E_INVALID);
  opts = HF_EMIT_OPTIONS_INIT;
  const std::string longest(HF_EVENT_KEY_MAX, 'k');
  opts.key = longest.c_str();
  CHECK(hf_emit(engine, "e", nullptr, 0, &opts, nullptr, nullptr) == HF_OK);
  const std::string longer = longest + "k";
  opts.key = longer.c_str();
  CHECK(hf_emit(engine, "e", nullptr, 0, &opts, nullptr, nullptr) == HF_E_TOO_LARGE);
  CHECK(message() == "key has 64 bytes; at most 63");
  const std::string large(HF_DEFAULT_MAX_PAYLOAD + 1, 'x');
  CHECK(hf_emit(engine, "e", large.data(), large.size(), nullptr, nullptr, nullptr) == HF_E_TOO_LARGE);
  CHECK(hf_emit(engine, "a b", nullptr, 0, nullptr, nullptr, nullptr) == HF_E_INVALID);
  hf_engine* closed = engine;
  close();
  CHECK(hf_emit(closed, "e", nullptr, 0, nullptr, nullptr, nullptr) == HF_E_STATE);
  CHECK(hf_subscribe(closed, &spec) == HF_E_STATE);
  CHECK(hf_unsubscribe(closed, "a") == HF_E_STATE);
}

TEST_CASE_FIXTURE(EventsApi, "within hf_transact none is made or removed, and what is refused changes nothing") {
  REQUIRE(subscribe("a", "e") == HF_OK);
  const auto inside = [](hf_transaction*, sqlite3*, void* user) {
    auto* self = static_cast<EventsApi*>(user);
    CHECK(self->subscribe("b", "e") == HF_E_THREAD);
    CHECK(hf_unsubscribe(self->engine, "a") == HF_E_THREAD);
    return int{HF_OK};
  };
  REQUIRE(hf_transact(engine, inside, this, nullptr) == HF_OK);
  CHECK(emit("x", nullptr, "e").size() == 1);
  CHECK(hf_unsubscribe(engine, "b") == HF_E_NOT_FOUND);
  CHECK(hf_unsubscribe(engine, "a") == HF_OK);
}

TEST_CASE_FIXTURE(EventsApi, "subscriptions are the program's: after opening again there are none, the jobs are there") {
  REQUIRE(subscribe("a", "e") == HF_OK);
  const auto ids = emit("x", nullptr, "e");
  close();
  open();
  CHECK(emit("x", nullptr, "e").empty());
  CHECK(get(ids[0]).state == HF_STATE_PENDING);
  REQUIRE(subscribe("a", "e") == HF_OK);
  CHECK(emit("x", nullptr, "e").size() == 1);
  REQUIRE(hf_unsubscribe(engine, "a") == HF_OK);
  CHECK(emit("x", nullptr, "e").empty());
}

TEST_CASE_FIXTURE(EventsApi, "a handler emits: its event starts jobs of others") {
  on("first", [&](hf_job*) -> int {
    hf_job_id id = 0;
    size_t n = 1;
    if (hf_emit(engine, "second", "from the first", 14, nullptr, &id, &n) != HF_OK || n != 1) return HF_DEAD;
    return HF_OK;
  });
  Signal ran;
  std::string got;
  on("second", [&](hf_job* job) {
    size_t len = 0;
    const void* payload = hf_job_payload(job, &len);
    got = bytes(payload, len);
    ran.set();
    return HF_OK;
  });
  REQUIRE(subscribe("a", "second", nullptr, nullptr, "second") == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id first = add("first");
  ran.wait();
  CHECK(got == "from the first");
  CHECK(wait_final(first).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(EventsApi, "events of many threads are each all or none") {
  for (const char* name : {"a", "b"}) REQUIRE(subscribe(name, "e") == HF_OK);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        hf_job_id ids[2] = {0, 0};
        size_t n = 2;
        if (hf_emit(engine, "e", "x", 1, nullptr, ids, &n) != HF_OK || n != 2 || ids[1] != ids[0] + 1) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 160);
}

TEST_CASE_FIXTURE(EventsApi, "a configuration's subscriptions: those that are gone are removed, those of the program stay") {
  REQUIRE(subscribe("own", "e") == HF_OK);
  REQUIRE(load(R"({"subscriptions": {"a": {"event": "e", "type": "x"}, "b": {"event": "e", "type": "x", "payload": "b"}}})") == HF_OK);
  CHECK(emit("p", nullptr, "e").size() == 3);
  REQUIRE(load(R"({"subscriptions": {"b": {"event": "e", "filter": {"door": 3}, "type": "x"}, "c": {"event": "e", "type": "x"}}})") == HF_OK);
  CHECK(emit("p", nullptr, "e").size() == 2);
  CHECK(emit("{\"door\":3}", nullptr, "e").size() == 3);
  CHECK(load(R"({"subscriptions": {"c": {"event": "e f", "type": "x"}}})") == HF_E_INVALID);
  CHECK(message().find("subscriptions.c.event") != std::string::npos);
  CHECK(emit("p", nullptr, "e").size() == 2);
  const std::string big = R"({"limits": {"max_payload": "10B"}, "subscriptions": {"c": {"event": "e", "type": "x", "payload": "12345678901"}}})";
  CHECK(load(big) == HF_E_INVALID);
  CHECK(message().find("subscriptions.c: payload has 11 bytes; the limit is 10 (max_payload)") != std::string::npos);
  CHECK(emit("more than ten bytes", nullptr, "e").size() == 2);
  REQUIRE(load("{}") == HF_OK);
  CHECK(emit("p", nullptr, "e").size() == 1);
}
