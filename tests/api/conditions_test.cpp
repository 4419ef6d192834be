// hf_condition and what belongs to it: a program's own answer to whether its jobs may run.
#include <atomic>
#include <fstream>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class ConditionsApi : public ApiFixture {
 public:
  ConditionsApi() {
    hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
    opts.when = "cool, door";
    on("x", [](hf_job*) { return HF_OK; }, &opts);
    on("free", [](hf_job*) { return HF_OK; });
    REQUIRE(hf_start(engine) == HF_OK);
  }
  std::string message() const { return hf_errmsg(engine); }
  int told(const char* name) { return hf_condition(engine, name, nullptr, nullptr, nullptr); }
  std::atomic<int> calls{0}, says{0};
};

int look(void* user, char* why, size_t why_size) {
  auto* test = static_cast<ConditionsApi*>(user);
  ++test->calls;
  std::snprintf(why, why_size, "it is %d", test->says.load());
  return test->says;
}

}  // namespace

TEST_CASE_FIXTURE(ConditionsApi, "a job waits until the function says yes and the door is told to be open") {
  hf_condition_options opts = HF_CONDITION_OPTIONS_INIT;
  opts.every_ms = 1000;
  REQUIRE(told("door") == HF_OK);
  REQUIRE(hf_condition(engine, "cool", look, this, &opts) == HF_OK);
  const hf_job_id id = add("x");
  CHECK(wait_final(add("free")).state == HF_STATE_COMPLETED);
  CHECK(get(id).state == HF_STATE_PENDING);
  CHECK(calls == 0);  // the door is closed, so nobody need be asked
  REQUIRE(hf_condition_tell(engine, "door", 1, "by hand", 0) == HF_OK);
  while (calls == 0) get(id);
  CHECK(wait_final(add("free")).state == HF_STATE_COMPLETED);
  CHECK(get(id).state == HF_STATE_PENDING);
  says = 1;
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(calls >= 2);
  REQUIRE(hf_condition_tell(engine, "door", 0, nullptr, 0) == HF_OK);
  const hf_job_id next = add("x");
  CHECK(wait_final(add("free")).state == HF_STATE_COMPLETED);
  CHECK(get(next).state == HF_STATE_PENDING);
  CHECK(hf_condition_remove(engine, "door") == HF_OK);
  CHECK(hf_condition_remove(engine, "door") == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(ConditionsApi, "a function that returns something else closes; one that hangs does not hold up hf_close") {
  struct Hang {
    Signal entered, leave;
  };
  static Hang hang;  // the call outlives the engine
  says = 7;
  REQUIRE(hf_condition(engine, "door", look, this, nullptr) == HF_OK);
  hf_condition_options opts = HF_CONDITION_OPTIONS_INIT;
  opts.timeout_ms = 100;
  REQUIRE(hf_condition(engine, "cool", [](void* user, char*, size_t) {
            auto* h = static_cast<Hang*>(user);
            h->entered.set();
            h->leave.wait();
            return 1;
          }, &hang, &opts) == HF_OK);
  const hf_job_id id = add("x");
  hang.entered.wait();
  CHECK(wait_final(add("free")).state == HF_STATE_COMPLETED);
  CHECK(get(id).state == HF_STATE_PENDING);
  close();
  hang.leave.set();
}

TEST_CASE_FIXTURE(ConditionsApi, "a queue waits, and no longer; one that is told open is open at once") {
  hf_condition_options opts = HF_CONDITION_OPTIONS_INIT;
  opts.initially_open = 1;
  REQUIRE(hf_condition(engine, "cool", nullptr, nullptr, &opts) == HF_OK);
  REQUIRE(hf_condition(engine, "door", nullptr, nullptr, &opts) == HF_OK);
  CHECK(wait_final(add("x")).state == HF_STATE_COMPLETED);
  REQUIRE(told("more") == HF_OK);
  hf_queue_settings settings = HF_QUEUE_SETTINGS_INIT;
  settings.when = "more";
  REQUIRE(hf_queue_set(engine, "default", &settings) == HF_OK);
  const hf_job_id id = add("x");
  CHECK(get(id).state == HF_STATE_PENDING);
  settings.when = "";
  REQUIRE(hf_queue_set(engine, "default", &settings) == HF_OK);
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(ConditionsApi, "a configuration names a condition of the program, and not one that only the last configuration had") {
  const auto load = [&](const std::string& text) {
    const std::string file = dir + "/holdfast.json";
    std::ofstream(file) << text;
    return hf_load_config(engine, file.c_str());
  };
  const std::string queues = R"("queues": {"q": {"when": ["door", "lid"]}})";
  CHECK(load("{" + queues + "}") == HF_E_INVALID);
  REQUIRE(told("door") == HF_OK);
  REQUIRE(load(R"({"conditions": {"lid": {"told": "open"}}, )" + queues + "}") == HF_OK);
  CHECK(load("{" + queues + "}") == HF_E_INVALID);
  CHECK(message().find("queues.q.when[1]: there is no condition \"lid\"") != std::string::npos);
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "free";
  spec.queue = "q";
  hf_job_id id = 0;
  REQUIRE(hf_enqueue(engine, &spec, &id) == HF_OK);
  CHECK(wait_final(add("free")).state == HF_STATE_COMPLETED);
  CHECK(get(id).state == HF_STATE_PENDING);
  REQUIRE(hf_condition_tell(engine, "door", 1, nullptr, 0) == HF_OK);
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  REQUIRE(load("{}") == HF_OK);
  CHECK(hf_condition_remove(engine, "door") == HF_OK);  // that of the program stays
}

TEST_CASE_FIXTURE(ConditionsApi, "what is wrong with a condition is said") {
  CHECK(hf_condition(engine, nullptr, look, this, nullptr) == HF_E_INVALID);
  CHECK(hf_condition(engine, "a b", look, this, nullptr) == HF_E_INVALID);
  hf_condition_options opts = HF_CONDITION_OPTIONS_INIT;
  opts.every_ms = 999;
  CHECK(hf_condition(engine, "c", look, this, &opts) == HF_E_INVALID);
  CHECK(message() == "every is 999ms; allowed is 1s to 1d");
  CHECK(hf_condition(engine, "c", nullptr, nullptr, &opts) == HF_E_INVALID);
  CHECK(message() == "every_ms and timeout_ms are for a condition with a function: nobody is asked without one");
  opts = HF_CONDITION_OPTIONS_INIT;
  opts.timeout_ms = 99;
  CHECK(hf_condition(engine, "c", look, this, &opts) == HF_E_INVALID);
  opts = HF_CONDITION_OPTIONS_INIT;
  opts.initially_open = 1;
  CHECK(hf_condition(engine, "c", look, this, &opts) == HF_E_INVALID);
  opts.initially_open = 2;
  CHECK(hf_condition(engine, "c", nullptr, nullptr, &opts) == HF_E_INVALID);
  opts.struct_size = 0;
  CHECK(hf_condition(engine, "c", look, this, &opts) == HF_E_INVALID);
  CHECK(hf_condition_tell(engine, "c", 1, nullptr, 0) == HF_E_NOT_FOUND);
  CHECK(message() == "there is no condition \"c\"");
  REQUIRE(hf_condition(engine, "c", look, this, nullptr) == HF_OK);
  CHECK(hf_condition_tell(engine, "c", 1, nullptr, 0) == HF_E_CONFLICT);
  REQUIRE(told("d") == HF_OK);
  CHECK(hf_condition_tell(engine, "d", 2, nullptr, 0) == HF_E_INVALID);
  CHECK(hf_condition_tell(engine, "d", 1, nullptr, -1) == HF_E_INVALID);
  CHECK(hf_condition_tell(engine, "d", 1, std::string(HF_REASON_MAX + 1, 'w').c_str(), 0) == HF_E_TOO_LARGE);
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  handler.when = "d,,c";
  CHECK(hf_register(engine, "y", [](hf_job*, void*) -> int { return HF_OK; }, nullptr, &handler) == HF_E_INVALID);
  handler.when = "d,d";
  CHECK(hf_register(engine, "y", [](hf_job*, void*) -> int { return HF_OK; }, nullptr, &handler) == HF_E_INVALID);
  CHECK(message() == "when names condition d twice");
  CHECK(hf_condition(nullptr, "c", look, this, nullptr) == HF_E_STATE);
}
