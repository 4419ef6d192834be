// Misuse of the C API: each call returns the error that the header names, and says what was wrong.
#include "api_fixture.h"

using namespace hf::test;

namespace {
bool says(hf_engine* engine, const char* part) { return std::string(hf_errmsg(engine)).find(part) != std::string::npos; }
}  // namespace

TEST_CASE_FIXTURE(ApiFixture, "a closed engine is recognised by every call") {
  hf_engine* old = engine;
  close();
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  hf_job_info info = HF_JOB_INFO_INIT;
  hf_stats_info stats = HF_STATS_INFO_INIT;
  int64_t wake;
  CHECK(hf_enqueue(old, &spec, nullptr) == HF_E_STATE);
  CHECK(says(old, "closed"));
  CHECK(hf_start(old) == HF_E_STATE);
  CHECK(hf_stop(old, 0) == HF_E_STATE);
  CHECK(hf_get(old, 1, &info) == HF_E_STATE);
  CHECK(hf_stats(old, &stats) == HF_E_STATE);
  CHECK(hf_pause(old, "default") == HF_E_STATE);
  CHECK(hf_next_wake(old, &wake) == HF_E_STATE);
  CHECK(hf_close(old) == HF_E_STATE);
  open();
  CHECK(engine != old);
  CHECK(hf_enqueue(old, &spec, nullptr) == HF_E_STATE);
}

TEST_CASE_FIXTURE(ApiFixture, "null where something is needed") {
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  hf_engine* other = nullptr;
  CHECK(hf_open(nullptr, nullptr, &other) == HF_E_INVALID);
  CHECK(hf_open("x", nullptr, nullptr) == HF_E_INVALID);
  CHECK(hf_enqueue(engine, nullptr, nullptr) == HF_E_INVALID);
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_E_INVALID);
  CHECK(says(engine, "type is null"));
  CHECK(hf_register(engine, "x", nullptr, nullptr, nullptr) == HF_E_INVALID);
  CHECK(hf_enqueue_async(engine, &spec, nullptr, nullptr) == HF_E_INVALID);
  CHECK(hf_get(nullptr, 1, nullptr) == HF_E_STATE);
  CHECK(hf_close(nullptr) == HF_OK);
  hf_job_info_free(nullptr);
  hf_free(nullptr);
}

TEST_CASE_FIXTURE(ApiFixture, "a struct that was not begun with its INIT") {
  hf_job_spec spec;
  std::memset(&spec, 0, sizeof spec);
  spec.type = "x";
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_E_INVALID);
  CHECK(says(engine, "HF_JOB_SPEC_INIT"));
}

TEST_CASE_FIXTURE(ApiFixture, "a struct of an older program, with fewer fields, is taken") {
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.struct_size = offsetof(hf_job_spec, tags);
  spec.type = "x";
  spec.tags = reinterpret_cast<const char*>(1);  // lies beyond: never looked at
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_OK);
}

TEST_CASE_FIXTURE(ApiFixture, "a payload over the limit is refused with both sizes") {
  std::string big(HF_DEFAULT_MAX_PAYLOAD + 1, 'x');
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  spec.payload = big.data();
  spec.payload_len = big.size();
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_E_TOO_LARGE);
  CHECK(says(engine, "262145"));
  CHECK(says(engine, "262144"));
  spec.payload_len = HF_DEFAULT_MAX_PAYLOAD;
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_OK);
}

TEST_CASE_FIXTURE(ApiFixture, "states are held: start twice, stop before start, finished jobs") {
  CHECK(hf_stop(engine, 0) == HF_E_STATE);
  CHECK(hf_start(engine) == HF_OK);
  CHECK(hf_start(engine) == HF_E_STATE);
  CHECK(hf_stop(engine, -1) == HF_E_INVALID);
  CHECK(hf_stop(engine, 0) == HF_OK);
  CHECK(hf_start(engine) == HF_OK);
  on("x", [](hf_job*) { return HF_OK; });
  hf_job_id id = add("x");
  wait_final(id);
  CHECK(hf_cancel(engine, id) == HF_E_STATE);
  CHECK(hf_retry(engine, id) == HF_E_STATE);
  CHECK(hf_cancel(engine, 999999) == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(ApiFixture, "hf_stop and hf_close are refused in a handler") {
  std::pair<int, int> codes;
  on("x", [&](hf_job*) {
    codes = {hf_stop(engine, 0), hf_close(engine)};
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  wait_final(add("x"));
  CHECK(codes == std::make_pair<int, int>(HF_E_THREAD, HF_E_THREAD));
}

TEST_CASE_FIXTURE(ApiFixture, "a call that waits is refused in a callback") {
  struct Answer { hf_engine* engine; int enqueue = 0, close = 0; Signal signal; } seen;
  seen.engine = engine;
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  REQUIRE(hf_enqueue_async(engine, &spec, [](int, hf_job_id, void* user) {
            auto* s = static_cast<Answer*>(user);
            hf_job_spec again = HF_JOB_SPEC_INIT;
            again.type = "x";
            s->enqueue = hf_enqueue(s->engine, &again, nullptr);
            s->close = hf_close(s->engine);
            s->signal.set();
          }, &seen) == HF_OK);
  seen.signal.wait();
  CHECK(seen.enqueue == HF_E_THREAD);
  CHECK(seen.close == HF_E_THREAD);
}

TEST_CASE_FIXTURE(ApiFixture, "a second engine on the same file is refused") {
  hf_engine* second = nullptr;
  CHECK(hf_open(path.c_str(), nullptr, &second) == HF_E_LOCKED);
  CHECK(second == nullptr);
  CHECK(says(nullptr, "another engine of this process"));
  CHECK(add("x") > 0);  // the first one is not disturbed
}

TEST_CASE_FIXTURE(ApiFixture, "all or none, and the refused one is named") {
  hf_job_spec specs[3] = {HF_JOB_SPEC_INIT, HF_JOB_SPEC_INIT, HF_JOB_SPEC_INIT};
  for (hf_job_spec& s : specs) s.type = "x";
  specs[1].priority = 5000;
  CHECK(hf_enqueue_many(engine, specs, 3, nullptr) == HF_E_INVALID);
  CHECK(says(engine, "job 1: priority is 5000"));
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 0);
}

TEST_CASE_FIXTURE(ApiFixture, "a cron line that can never fire is refused with the reason") {
  hf_schedule_spec s = HF_SCHEDULE_SPEC_INIT;
  s.name = "never";
  s.cron = "0 0 31 2 *";
  s.job.type = "x";
  CHECK(hf_schedule_put(engine, &s) == HF_E_INVALID);
  CHECK(says(engine, "31 2"));
}

TEST_CASE("every code has a name and a text") {
#define CHECK_CODE(name, value, api, text) \
  CHECK(std::string(hf_errname(name)) == #name); \
  CHECK(std::string(hf_strerror(name)) == text);
  HF_ERRORS(CHECK_CODE)
#undef CHECK_CODE
  CHECK(std::string(hf_strerror(-12345)) == "unknown error");
  CHECK(hf_errname(-12345) == nullptr);
}
