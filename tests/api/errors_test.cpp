// Every function, each error that holdfast.h names for it: fields, limits, struct sizes. hf_open is in open_test.cpp.
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class Errors : public ApiFixture {
 public:
  bool says(const char* part) { return std::string(hf_errmsg(engine)).find(part) != std::string::npos; }
  int enqueue(const std::function<void(hf_job_spec&)>& set) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "x";
    set(spec);
    return hf_enqueue(engine, &spec, nullptr);
  }
  int put(const std::function<void(hf_schedule_spec&)>& set) {
    hf_schedule_spec spec = HF_SCHEDULE_SPEC_INIT;
    spec.name = "s";
    spec.cron = "@daily";
    spec.job.type = "x";
    set(spec);
    return hf_schedule_put(engine, &spec);
  }
  int register_code(const std::function<void(hf_handler_options&)>& set, const char* type = "x") {
    hf_handler_options options = HF_HANDLER_OPTIONS_INIT;
    set(options);
    return hf_register(engine, type, [](hf_job*, void*) { return int{HF_OK}; }, nullptr, &options);
  }
};

int none(const hf_job_info*, void*) { return 0; }

}  // namespace

TEST_CASE_FIXTURE(Errors, "hf_start_on: a program without libuv") {
  int loop = 0;
  CHECK(hf_start_on(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_start_on(engine, &loop) == HF_E_UNSUPPORTED);
  CHECK(hf_start(engine) == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "hf_enqueue: each field has its bounds, and the message names it") {
  using S = hf_job_spec;
  std::string long_name(HF_NAME_MAX + 1, 'x'), long_key(HF_KEY_MAX + 1, 'x'), long_tags(HF_TAGS_MAX + 1, 'x');
  auto refused = [&](const char* field, int code, const std::function<void(S&)>& set) {
    CAPTURE(field);
    CHECK(enqueue(set) == code);
    CHECK(says(field));
  };
  refused("type", HF_E_INVALID, [](S& s) { s.type = ""; });
  refused("type", HF_E_INVALID, [](S& s) { s.type = "a b"; });
  refused("type", HF_E_INVALID, [&](S& s) { s.type = long_name.c_str(); });
  refused("queue", HF_E_INVALID, [&](S& s) { s.queue = long_name.c_str(); });
  refused("queue", HF_E_INVALID, [](S& s) { s.queue = "sink:x"; });
  refused("sink", HF_E_INVALID, [](S& s) { s.sink = "\x01"; });
  refused("callback", HF_E_INVALID, [](S& s) { s.callback = "a b"; });
  refused("failure_callback", HF_E_INVALID, [](S& s) { s.failure_callback = "/"; });
  refused("payload", HF_E_INVALID, [](S& s) { s.payload_len = 1; });
  refused("priority", HF_E_INVALID, [](S& s) { s.priority = -HF_PRIORITY_MAX - 1; });
  refused("delay", HF_E_INVALID, [](S& s) { s.delay_ms = -1; });
  refused("exclude", HF_E_INVALID, [](S& s) { s.delay_ms = 1, s.run_at_unix_ms = 1; });
  refused("run_at", HF_E_INVALID, [](S& s) { s.run_at_unix_ms = -5; });
  refused("max_attempts", HF_E_INVALID, [](S& s) { s.max_attempts = HF_ATTEMPTS_MAX + 1; });
  refused("timeout", HF_E_INVALID, [](S& s) { s.timeout_ms = -2; });
  refused("ttl", HF_E_INVALID, [](S& s) { s.ttl_ms = -1; });
  refused("ttl", HF_E_INVALID, [](S& s) { s.ttl_ms = 5, s.delay_ms = 10; });
  refused("unique_for", HF_E_INVALID, [](S& s) { s.unique_for_ms = 5; });
  refused("unique_key", HF_E_TOO_LARGE, [&](S& s) { s.unique_key = long_key.c_str(); });
  refused("unique_key", HF_E_INVALID, [](S& s) { s.unique_key = "\xff"; });
  refused("concurrency_key", HF_E_TOO_LARGE, [&](S& s) { s.concurrency_key = long_key.c_str(); });
  refused("tags", HF_E_TOO_LARGE, [&](S& s) { s.tags = long_tags.c_str(); });
  refused("on_conflict", HF_E_INVALID, [](S& s) { s.on_conflict = 9; });
  refused("on_conflict", HF_E_INVALID, [](S& s) { s.on_conflict = HF_CONFLICT_KEEP_LAST + 1; });
  refused("keep_last", HF_E_INVALID, [](S& s) { s.on_conflict = HF_CONFLICT_KEEP_LAST; });
  hf_job_id many[HF_AFTER_MAX + 1] = {};
  refused("after_failure", HF_E_INVALID, [](S& s) { s.after_failure = HF_AFTER_RUN + 1; });
  refused("after_failure", HF_E_INVALID, [](S& s) { s.after_failure = HF_AFTER_RUN; });
  refused("after is null", HF_E_INVALID, [](S& s) { s.after_len = 1; });
  refused("after_len", HF_E_INVALID, [&](S& s) { s.after = many, s.after_len = HF_AFTER_MAX + 1; });
  refused("after", HF_E_INVALID, [&](S& s) { s.after = many, s.after_len = 1; });
  many[0] = 4711;
  refused("after: there is no job 4711", HF_E_NOT_FOUND, [&](S& s) { s.after = many, s.after_len = 1; });
  refused("replace", HF_E_INVALID, [&](S& s) { s.after = many, s.after_len = 1, s.unique_key = "k", s.on_conflict = HF_CONFLICT_REPLACE; });
  refused("unique_by", HF_E_INVALID, [](S& s) { s.unique_by = 2; });
  refused("durability", HF_E_INVALID, [](S& s) { s.durability = -1; });
  refused("backoff.kind", HF_E_INVALID, [](S& s) { s.backoff.kind = 9; });
  refused("backoff.jitter", HF_E_INVALID, [](S& s) { s.backoff.jitter = 9; });
  refused("factor", HF_E_INVALID, [](S& s) { s.backoff.factor = 0.5; });
  refused("base", HF_E_INVALID, [](S& s) { s.backoff.base_ms = -1; });
  refused("list", HF_E_INVALID, [](S& s) { s.backoff.kind = HF_BACKOFF_LIST; });
  refused("list", HF_E_INVALID, [](S& s) { s.backoff.list_len = HF_BACKOFF_LIST_MAX + 1; });
  refused("list", HF_E_INVALID, [](S& s) { s.backoff.list_len = 1; });
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.enqueued_total == 0);
}

TEST_CASE_FIXTURE(Errors, "hf_enqueue: limits and conflicts") {
  close();
  hf_options options = HF_OPTIONS_INIT;
  options.max_jobs = 3;
  open(&options);
  CHECK(enqueue([](hf_job_spec& s) { s.unique_key = "k"; }) == HF_OK);
  CHECK(enqueue([](hf_job_spec& s) { s.unique_key = "k", s.on_conflict = HF_CONFLICT_REJECT; }) == HF_E_CONFLICT);
  CHECK(says("\"k\""));
  add("x");
  add("x");
  CHECK(enqueue([](hf_job_spec&) {}) == HF_E_FULL);
  CHECK(says("max_jobs"));
  close();
  options.max_jobs = 0;
  options.max_bytes = 1 << 20;
  open(&options);
  std::string payload(100000, 'x');
  int code = HF_OK;
  for (int i = 0; i < 20 && code == HF_OK; ++i) {
    code = enqueue([&](hf_job_spec& s) { s.payload = payload.data(), s.payload_len = payload.size(); });
  }
  CHECK(code == HF_E_FULL);
  CHECK(says("max_bytes"));
}

TEST_CASE_FIXTURE(Errors, "hf_enqueue_many: counts and the array of an older program") {
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  CHECK(hf_enqueue_many(engine, nullptr, 1, nullptr) == HF_E_INVALID);
  CHECK(hf_enqueue_many(engine, &spec, 0, nullptr) == HF_E_INVALID);
  CHECK(hf_enqueue_many(engine, &spec, HF_ENQUEUE_MANY_MAX + 1, nullptr) == HF_E_INVALID);
  // As compiled against a header whose struct ended with delay_ms.
  struct Old {
    size_t struct_size;
    const char* type;
    const void* payload;
    size_t payload_len;
    const char* queue;
    int priority;
    int64_t delay_ms;
  } old[3] = {{sizeof(Old), "x", nullptr, 0, nullptr, 1, 0}, {sizeof(Old), "y", nullptr, 0, nullptr, 2, 0}, {sizeof(Old), "z", nullptr, 0, nullptr, 3, 0}};
  hf_job_id ids[3] = {};
  REQUIRE(hf_enqueue_many(engine, reinterpret_cast<const hf_job_spec*>(old), 3, ids) == HF_OK);
  hf_job_info info = HF_JOB_INFO_INIT;
  REQUIRE(hf_get(engine, ids[2], &info) == HF_OK);
  CHECK(std::string(info.type) == "z");
  CHECK(info.priority == 3);
  hf_job_info_free(&info);
}

TEST_CASE_FIXTURE(Errors, "structs that come out keep to the caller's size") {
  hf_job_id id = add("x", "payload");
  struct Guarded { hf_job_info info; } g;
  std::memset(&g, 0x5a, sizeof g);
  g.info.struct_size = offsetof(hf_job_info, payload);
  g.info.owned_ = nullptr;
  REQUIRE(hf_get(engine, id, &g.info) == HF_OK);
  CHECK(std::string(g.info.type) == "x");
  CHECK(g.info.payload_len == static_cast<size_t>(0x5a5a5a5a5a5a5a5aULL));  // beyond: untouched
  hf_job_info_free(&g.info);
  CHECK(g.info.owned_ == nullptr);
  hf_job_info_free(&g.info);  // twice does no harm
  g.info.struct_size = 3;
  CHECK(hf_get(engine, id, &g.info) == HF_E_INVALID);
  CHECK(hf_get(engine, id, nullptr) == HF_E_INVALID);

  hf_stats_info stats;
  std::memset(&stats, 0x5a, sizeof stats);
  stats.struct_size = offsetof(hf_stats_info, running);
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 1);
  CHECK(stats.running == 0x5a5a5a5a5a5a5a5aLL);
  stats.struct_size = 0;
  CHECK(hf_stats(engine, &stats) == HF_E_INVALID);
  CHECK(hf_stats(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_stats_json(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_next_wake(engine, nullptr) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(Errors, "a struct of a newer program, with more fields, is taken") {
  struct Newer { hf_job_spec spec; int64_t more[4]; } newer = {HF_JOB_SPEC_INIT, {1, 2, 3, 4}};
  newer.spec.struct_size = sizeof newer;
  newer.spec.type = "x";
  CHECK(hf_enqueue(engine, &newer.spec, nullptr) == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "hf_list, hf_cancel, hf_retry, hf_pause") {
  auto list = [&](const std::function<void(hf_list_query&)>& set) {
    hf_list_query query = HF_LIST_QUERY_INIT;
    set(query);
    return hf_list(engine, &query, none, nullptr, nullptr);
  };
  CHECK(hf_list(engine, nullptr, none, nullptr, nullptr) == HF_OK);
  CHECK(hf_list(engine, nullptr, nullptr, nullptr, nullptr) == HF_E_INVALID);
  CHECK(list([](hf_list_query& q) { q.state = 5; }) == HF_E_INVALID);
  CHECK(list([](hf_list_query& q) { q.state = -2; }) == HF_E_INVALID);
  CHECK(list([](hf_list_query& q) { q.limit = 1001; }) == HF_E_INVALID);
  CHECK(list([](hf_list_query& q) { q.limit = -1; }) == HF_E_INVALID);
  CHECK(list([](hf_list_query& q) { q.after = -1; }) == HF_E_INVALID);
  CHECK(list([](hf_list_query& q) { q.struct_size = 0; }) == HF_E_INVALID);
  CHECK(hf_cancel(engine, 4711) == HF_E_NOT_FOUND);
  CHECK(hf_cancel(engine, -1) == HF_E_NOT_FOUND);
  CHECK(hf_retry(engine, 4711) == HF_E_NOT_FOUND);
  hf_job_id id = add("x");
  CHECK(hf_cancel(engine, id) == HF_OK);
  CHECK(hf_cancel(engine, id) == HF_E_STATE);
  CHECK(hf_retry(engine, id) == HF_OK);
  CHECK(hf_retry_dead(engine, nullptr, nullptr) == HF_OK);
  const auto retry = [&](const std::function<void(hf_retry_dead_options&)>& set) {
    hf_retry_dead_options which = HF_RETRY_DEAD_OPTIONS_INIT;
    set(which);
    return hf_retry_dead(engine, &which, nullptr);
  };
  CHECK(retry([](hf_retry_dead_options& o) { o.struct_size = 0; }) == HF_E_INVALID);
  for (int limit : {-1, 10001}) CHECK(retry([&](hf_retry_dead_options& o) { o.limit = limit; }) == HF_E_INVALID);
  CHECK(retry([](hf_retry_dead_options& o) { o.queue = "a b"; }) == HF_E_INVALID);
  CHECK(retry([](hf_retry_dead_options& o) { o.over_ms = -1; }) == HF_E_INVALID);
  CHECK(retry([](hf_retry_dead_options& o) { o.limit = 10000, o.queue = o.type = "a", o.over_ms = 30LL * 86400000; }) == HF_OK);
  CHECK(hf_pause(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_pause(engine, "a b") == HF_E_INVALID);
  CHECK(hf_resume(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_pause(engine, "not yet used") == HF_E_INVALID);
  CHECK(hf_pause(engine, "not-yet-used") == HF_OK);
  CHECK(hf_pause_for(nullptr, "q", nullptr, 0) == HF_E_STATE);
  CHECK(hf_pause_for(engine, nullptr, nullptr, 0) == HF_E_INVALID);
  CHECK(hf_pause_for(engine, "a b", nullptr, 0) == HF_E_INVALID);
  CHECK(hf_pause_for(engine, "q", nullptr, -1) == HF_E_INVALID);
  CHECK(hf_pause_for(engine, "q", nullptr, 366LL * 86400 * 1000 + 1) == HF_E_INVALID);
  CHECK(hf_pause_for(engine, "q", nullptr, 366LL * 86400 * 1000) == HF_OK);
  CHECK(hf_pause_for(engine, "q", "\xff", 0) == HF_E_INVALID);
  CHECK(hf_pause_for(engine, "q", std::string(HF_REASON_MAX + 1, 'r').c_str(), 0) == HF_E_TOO_LARGE);
  CHECK(hf_pause_for(engine, "q", std::string(HF_REASON_MAX, 'r').c_str(), 1) == HF_OK);
  CHECK(hf_pause_for(engine, "q", nullptr, 0) == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "hf_list stops when it is told to, and is filtered") {
  for (int i = 0; i < 3; ++i) add("x");
  add("y");
  int seen = 0;
  hf_list_query query = HF_LIST_QUERY_INIT;
  query.type = "x";
  CHECK(hf_list(engine, &query, [](const hf_job_info*, void* user) { return ++*static_cast<int*>(user) == 2 ? 1 : 0; }, &seen, nullptr) == HF_OK);
  CHECK(seen == 2);
}

TEST_CASE_FIXTURE(Errors, "hf_register: each option has its bounds") {
  using O = hf_handler_options;
  CHECK(register_code([](O&) {}, nullptr) == HF_E_INVALID);
  CHECK(register_code([](O&) {}, "") == HF_E_INVALID);
  CHECK(register_code([](O&) {}, "a b") == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.struct_size = 0; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.concurrency = -1; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.concurrency = 10001; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.max_attempts = -1; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.timeout_ms = -2; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.defer_ms = 86400001; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.sink = "a b"; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.callback = "a b"; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.failure_callback = "a b"; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.backoff.max_ms = -1; }) == HF_E_INVALID);
  CHECK(register_code([](O& o) { o.concurrency = 1; }) == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "hf_queue_set") {
  hf_queue_settings s = HF_QUEUE_SETTINGS_INIT;
  auto set = [&](int concurrency, int64_t slack_ms, const char* windows, const char* zone) {
    s = HF_QUEUE_SETTINGS_INIT;
    s.concurrency = concurrency;
    s.slack_ms = slack_ms;
    s.windows = windows;
    s.time_zone = zone;
    return hf_queue_set(engine, "q", &s);
  };
  CHECK(hf_queue_set(nullptr, "q", &s) == HF_E_STATE);
  CHECK(hf_queue_set(engine, nullptr, &s) == HF_E_INVALID);
  CHECK(hf_queue_set(engine, "q", nullptr) == HF_E_INVALID);
  CHECK(hf_queue_set(engine, "a b", &s) == HF_E_INVALID);
  s.struct_size = 0;
  CHECK(hf_queue_set(engine, "q", &s) == HF_E_INVALID);
  CHECK(set(-1, 0, nullptr, nullptr) == HF_E_INVALID);
  CHECK(set(10001, 0, nullptr, nullptr) == HF_E_INVALID);
  CHECK(says("1 to 10000"));
  CHECK(set(0, -2, nullptr, nullptr) == HF_E_INVALID);
  CHECK(set(0, 86400001, nullptr, nullptr) == HF_E_INVALID);
  CHECK(says("slack"));
  CHECK(set(0, 0, "8-18", nullptr) == HF_E_INVALID);
  CHECK(says("windows, column 1"));
  CHECK(set(0, 0, "08:00-18:00", "Europe/Nowhere") == HF_E_INVALID);
  CHECK(says("Nowhere"));
  CHECK(set(10000, 86400000, "0 0 29 2 * for 1s", "") == HF_OK);
  CHECK(set(1, -1, "", "UTC") == HF_OK);
  CHECK(set(0, 0, nullptr, nullptr) == HF_OK);
  auto rates = [&](const char* rate_limit, const char* throttle) {
    s = HF_QUEUE_SETTINGS_INIT;
    s.rate_limit = rate_limit;
    s.throttle = throttle;
    return hf_queue_set(engine, "q", &s);
  };
  CHECK(rates("10/1m burst 11", nullptr) == HF_E_INVALID);
  CHECK(says("rate_limit: \"10/1m burst 11\""));
  CHECK(rates(nullptr, "1001/1s") == HF_E_INVALID);
  CHECK(says("throttle: "));
  CHECK(rates("10000/366d", "1000/1s") == HF_OK);
  CHECK(rates("off", "") == HF_OK);
  CHECK(register_code([](hf_handler_options& o) { o.rate_limit = "x"; }) == HF_E_INVALID);
  CHECK(says("rate_limit: "));
  CHECK(register_code([](hf_handler_options& o) { o.throttle = "1/0s"; }) == HF_E_INVALID);
  CHECK(says("throttle: "));
  CHECK(register_code([](hf_handler_options& o) { o.rate_limit = "5/1s", o.throttle = "1/100ms"; }) == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "hf_queue_set: the order, and the limits of keys") {
  using S = hf_queue_settings;
  S s;
  auto set = [&](const std::function<void(S&)>& change) {
    s = HF_QUEUE_SETTINGS_INIT;
    change(s);
    return hf_queue_set(engine, "q", &s);
  };
  auto refused = [&](const char* message, const std::function<void(S&)>& change) {
    CAPTURE(message);
    CHECK(set(change) == HF_E_INVALID);
    CHECK(std::string(hf_errmsg(engine)).starts_with(message));
  };
  refused("key_concurrency is -1; allowed is 1 to 10000", [](S& q) { q.key_concurrency = -1; });
  refused("key_concurrency is 10001", [](S& q) { q.key_concurrency = 10001; });
  refused("key_rate_limit: \"10/1m burst 11\"", [](S& q) { q.key_rate_limit = "10/1m burst 11"; });
  refused("key_throttle: \"1001/1s\"", [](S& q) { q.key_throttle = "1001/1s"; });
  refused("aging is -2 ms; allowed is 0s to 366d", [](S& q) { q.aging_ms = -2; });
  refused("aging is ", [](S& q) { q.aging_ms = 366LL * 86400000 + 1; });
  refused("order is no value of hf_queue_order", [](S& q) { q.order = -1; });
  refused("order is no value of hf_queue_order", [](S& q) { q.order = HF_ORDER_LIFO + 1; });
  refused("fair is 2: allowed are", [](S& q) { q.fair = 2; });
  refused("fair is -2: allowed are", [](S& q) { q.fair = -2; });
  refused("max_pending is -2; allowed is 0 to 1000000000", [](S& q) { q.max_pending = -2; });
  refused("max_pending is 1000000001", [](S& q) { q.max_pending = 1000000001; });
  refused("when_full is no value of hf_when_full", [](S& q) { q.when_full = -1; });
  refused("when_full is no value of hf_when_full", [](S& q) { q.when_full = HF_FULL_COALESCE + 1; });
  refused("enqueue_limit: \"10/1m burst 11\"", [](S& q) { q.enqueue_limit = "10/1m burst 11"; });
  refused("key_enqueue_limit: \"fast\"", [](S& q) { q.key_enqueue_limit = "fast"; });
  refused("retry_budget: \"60\"", [](S& q) { q.retry_budget = "60"; });
  refused("retention_completed is -2 ms; allowed is 0s to ", [](S& q) { q.keep_completed_ms = -2; });
  refused("retention_dead is ", [](S& q) { q.keep_dead_ms = 100LL * 366 * 86400000 + 1; });
  refused("retention_completed_count is -1; allowed is 1 to 1000000000", [](S& q) { q.keep_completed_count = -1; });
  refused("retention_dead_count is 1000000001; allowed is 1 to 1000000000", [](S& q) { q.keep_dead_count = 1000000001; });
  CHECK(set([](S& q) { q.keep_completed_ms = -1, q.keep_dead_ms = 100LL * 366 * 86400000, q.keep_completed_count = 1, q.keep_dead_count = 1000000000; }) == HF_OK);
  CHECK(set([](S& q) { q.keep_completed_ms = q.keep_dead_count = -2, q.struct_size = offsetof(S, keep_completed_ms); }) == HF_OK);
  CHECK(set([](S& q) { q.max_pending = 1000000000, q.when_full = HF_FULL_COALESCE, q.enqueue_limit = "off", q.retry_budget = "60/1h"; }) == HF_OK);
  CHECK(set([](S& q) { q.key_concurrency = 10000, q.key_rate_limit = "10000/366d", q.key_throttle = "1000/1s"; }) == HF_OK);
  CHECK(set([](S& q) { q.aging_ms = 366LL * 86400000, q.order = HF_ORDER_LIFO, q.fair = 1; }) == HF_OK);
  CHECK(set([](S& q) { q.aging_ms = -1, q.order = HF_ORDER_FIFO, q.fair = -1; }) == HF_OK);
  CHECK(set([](S& q) { q.key_rate_limit = "", q.key_throttle = "off"; }) == HF_OK);
  // A program that was built before there were these: what lies behind its struct is none of them.
  CHECK(set([](S& q) { q.order = 77, q.fair = 77, q.key_rate_limit = "x", q.struct_size = offsetof(S, rate_limit); }) == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "hf_schedule_put and hf_schedule_remove") {
  using S = hf_schedule_spec;
  CHECK(hf_schedule_put(engine, nullptr) == HF_E_INVALID);
  CHECK(put([](S& s) { s.struct_size = 0; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.name = nullptr; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.name = "a b"; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.cron = nullptr; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.cron = "61 * * * *"; }) == HF_E_INVALID);
  CHECK(says("61"));
  CHECK(put([](S& s) { s.time_zone = "Europe/Nowhere"; }) == HF_E_INVALID);
  CHECK(says("Nowhere"));
  CHECK(put([](S& s) { s.jitter_ms = 86400001; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.catch_up = 3; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.overlap = -1; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.job.type = nullptr; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.job.delay_ms = 5; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.job.run_at_unix_ms = 5; }) == HF_E_INVALID);
  CHECK(put([](S& s) { s.job.unique_key = "k"; }) == HF_E_INVALID);
  hf_schedule_options options = HF_SCHEDULE_OPTIONS_INIT;
  auto with = [&](const std::function<void(hf_schedule_options&)>& set) {
    options = HF_SCHEDULE_OPTIONS_INIT;
    set(options);
    return put([&](S& s) { s.options = &options; });
  };
  using O = hf_schedule_options;
  CHECK(with([](O& o) { o.struct_size = 0; }) == HF_E_INVALID);
  CHECK(with([](O& o) { o.dst = 3; }) == HF_E_INVALID);
  CHECK(with([](O& o) { o.splay_ms = 86400001; }) == HF_E_INVALID);
  CHECK(says("splay"));
  CHECK(with([](O& o) { o.catch_up_window_ms = -1; }) == HF_E_INVALID);
  CHECK(with([](O& o) { o.catch_up_max = 1001; }) == HF_E_INVALID);
  CHECK(says("1 to 1000"));
  CHECK(with([](O& o) { o.start_unix_ms = 2, o.end_unix_ms = 2; }) == HF_E_INVALID);
  CHECK(with([](O& o) { o.limit = -1; }) == HF_E_INVALID);
  CHECK(with([](O& o) { o.slack_ms = 86400001; }) == HF_E_INVALID);
  CHECK(says("slack"));
  CHECK(with([](O& o) { o.pause_after_failures = 1001; }) == HF_E_INVALID);
  CHECK(with([](O& o) { o.splay_ms = 86400000, o.catch_up_max = 1000, o.limit = 1, o.pause_after_failures = 1000; }) == HF_OK);
  CHECK(put([](S&) {}) == HF_OK);
  CHECK(hf_schedule_remove(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_schedule_remove(engine, "t") == HF_E_NOT_FOUND);
  CHECK(hf_schedule_remove(engine, "s") == HF_OK);
}

TEST_CASE_FIXTURE(Errors, "the functions of a run: null, bounds, limits") {
  CHECK(hf_job_payload(nullptr, nullptr) == nullptr);
  CHECK(hf_job_get_id(nullptr) == 0);
  CHECK(hf_job_attempt(nullptr) == 0);
  CHECK(hf_job_canceled(nullptr) == 0);
  CHECK(hf_job_finish(nullptr, HF_OK) == HF_E_INVALID);
  std::string big(HF_DEFAULT_MAX_PAYLOAD + 1, 'r');
  std::vector<int> codes;
  std::string largest(HF_DEFAULT_MAX_PAYLOAD, 'r');
  on("x", [&](hf_job* job) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    codes = {hf_job_result(job, nullptr, 1), hf_job_error(job, nullptr), hf_job_progress(job, 101, nullptr),
             hf_job_progress(job, -1, nullptr), hf_job_retry_after(job, -1), hf_job_retry_after(job, 30LL * 86400 * 1000 + 1),
             hf_job_enqueue(job, nullptr, nullptr), hf_job_enqueue(job, &spec, nullptr), hf_job_finish(job, HF_ASYNC)};
    CHECK(hf_job_result(job, big.data(), big.size()) == HF_E_TOO_LARGE);
    CHECK(std::string(hf_errmsg(nullptr)).find("262145") != std::string::npos);
    spec.type = "child";
    for (int i = 0; i < 100; ++i) CHECK(hf_job_enqueue(job, &spec, nullptr) == HF_OK);
    CHECK(hf_job_enqueue(job, &spec, nullptr) == HF_E_FULL);
    CHECK(hf_job_result(job, largest.data(), largest.size()) == HF_OK);
    CHECK(hf_job_progress(job, 100, "all") == HF_OK);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(add("x")).result == largest);
  CHECK(codes == std::vector<int>(9, HF_E_INVALID));
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 100);
}

TEST_CASE_FIXTURE(Errors, "an error text that is too long is cut between characters") {
  std::string text;
  while (text.size() < HF_ERROR_TEXT_MAX + 10) text += "\xc3\xa4";
  on("x", [&](hf_job* job) {
    hf_job_error(job, text.c_str());
    return HF_DEAD;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  std::string kept = wait_final(add("x")).error;
  CHECK(kept.size() <= HF_ERROR_TEXT_MAX);
  CHECK(kept.size() % 2 == 0);
  CHECK(text.compare(0, kept.size(), kept) == 0);
}
