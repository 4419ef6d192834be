#include "platform/json.h"

#include <doctest/doctest.h>

#include "platform/json_spec.h"
#include "platform/json_tree.h"

using namespace hf;

namespace {

std::string parse_failure(std::string_view text) {
  auto tree = parse_json(text);
  return tree ? "" : tree.error().message;
}
std::string enqueue_failure(std::string_view body) {
  auto enqueue = parse_enqueue(body);
  return enqueue ? "" : enqueue.error().message;
}
JobSpec enqueued(std::string_view body) {
  auto enqueue = parse_enqueue(body);
  CAPTURE(enqueue_failure(body));
  REQUIRE(enqueue);
  REQUIRE(enqueue->specs.size() == 1);
  return enqueue->specs[0];
}

}  // namespace

TEST_CASE("a tree knows the line of each value") {
  auto tree = parse_json("{\n \"a\": 1,\n \"b\": [\n  2,\n  {\"c\":\n    \"d\"}]\n}");
  REQUIRE(tree);
  CHECK(tree->line == 1);
  CHECK(tree->find("a")->line == 2);
  CHECK(tree->find("b")->line == 3);
  CHECK(tree->find("b")->items[0].line == 4);
  CHECK(tree->find("b")->items[1].line == 5);
  CHECK(tree->find("b")->items[1].find("c")->line == 5);  // of the name
}

TEST_CASE("JSON that is wrong says where and what was expected") {
  CHECK(parse_failure("{\n \"a\": 1\n \"b\": 2 }").starts_with("3:"));
  CHECK(parse_failure("{\n \"a\": 1\n \"b\": 2 }").find("expected") != std::string::npos);
  CHECK(parse_failure("{\"a\": nul}").starts_with("1:"));
  CHECK(parse_failure("{\"a\": 1} x") != "");
  CHECK(parse_failure("{\"a\": \"\xff\"}") != "");
  CHECK(parse_failure("{\"a\": \"\xff\"}").find('\xff') == std::string::npos);
  CHECK(parse_failure("") != "");
  // Not the end of the text, whatever comes behind it.
  CHECK(parse_failure(std::string_view("{\n\"a\": 1}\0{}", 13)) == "2:8: a NUL byte, which JSON text does not hold");
  CHECK(parse_failure("{\"a\": 1,\n\"b\": 2,\n\"a\": 3}") ==
        "3: the key \"a\" is there twice, first on line 1");
}

TEST_CASE("JSON is bounded in depth and number") {
  CHECK(parse_failure(std::string(64, '[') + std::string(64, ']')) == "");
  CHECK(parse_failure(std::string(65, '[') + std::string(65, ']')) ==
        "1:65: nested more than 64 deep");
  std::string many = "[0";
  for (size_t i = 0; i < kJsonValuesMax; ++i) many += ",0";
  CHECK(parse_failure(many + "]").find("more than 250000 values") != std::string::npos);
}

TEST_CASE("a value goes back to compact text with its numbers as they were written") {
  const char* text =
      "{\"a\":[1,-2,1.10,1e400,18446744073709551615,true,null,\"\\\"\\u0001\xc3\xa4\"],\"b\":{}}";
  auto tree = parse_json(
      "{ \"a\" : [1, -2,1.10, 1e400, "
      "18446744073709551615,true,null,\"\\\"\\u0001\\u00e4\"],\n\"b\":{}}");
  if (!tree) {
    // A number beyond a double is refused by the parser: without it the rest holds.
    text = "{\"a\":[1,-2,1.10,18446744073709551615,true,null,\"\\\"\\u0001\xc3\xa4\"],\"b\":{}}";
    tree = parse_json(
        "{ \"a\" : [1, -2,1.10, "
        "18446744073709551615,true,null,\"\\\"\\u0001\\u00e4\"],\n\"b\":{}}");
  }
  REQUIRE(tree);
  CHECK(compact_json(*tree) == text);
}

TEST_CASE("a job is read with all its fields") {
  const JobSpec spec =
      enqueued(R"({"type":"report","payload":{"a": [1, 2]},"queue":"slow","priority":-3,
    "delay":"30s","max_attempts":7,"backoff":{"kind":"list","list":["1s","10s"],"jitter":"percent",
    "jitter_percent":20},"timeout":"none","ttl":"1h","unique_key":"u","unique_for":"1d",
    "on_conflict":"replace","concurrency_key":"c","sink":"cloud","callback":"ops","failure_callback":"alarm","tags":"t","durability":"grouped"})");
  CHECK(spec.type == "report");
  CHECK(spec.payload == R"({"a":[1,2]})");
  CHECK(spec.queue == "slow");
  CHECK(spec.priority == -3);
  CHECK(spec.delay_ms == 30000);
  CHECK(spec.policy.max_attempts == 7);
  CHECK(spec.policy.backoff.kind == BackoffKind::list);
  CHECK(spec.policy.backoff.list_ms == std::vector<int64_t>{1000, 10000});
  CHECK(spec.policy.backoff.jitter == Jitter::percent);
  CHECK(spec.policy.backoff.jitter_percent == 20);
  CHECK(spec.policy.timeout_ms == -1);
  CHECK(spec.ttl_ms == 3600000);
  CHECK(spec.unique_key == "u");
  CHECK(spec.unique_for_ms == 86400000);
  CHECK(spec.on_conflict == OnConflict::replace);
  CHECK(spec.concurrency_key == "c");
  CHECK(spec.sink == "cloud");
  CHECK(spec.callback == "ops");
  CHECK(spec.failure_callback == "alarm");
  CHECK(spec.tags == "t");
  CHECK(spec.durability == Durability::grouped);
}

TEST_CASE("payloads: text as it is, bytes by base64, durations also as milliseconds") {
  CHECK(enqueued(R"({"type":"a","payload":"x y"})").payload == "x y");
  CHECK(enqueued(R"({"type":"a","payload":""})").payload == "");
  CHECK(enqueued(R"({"type":"a","payload_base64":"AP8="})").payload == std::string("\0\xff", 2));
  CHECK(enqueued(R"({"type":"a","payload":null})").payload == "null");
  CHECK(enqueued(R"({"type":"a","delay":1500})").delay_ms == 1500);
  CHECK(enqueued(R"({"type":"a","at":"2026-11-25T02:30:00Z"})").at_wall_ms == 1795573800000);
}

TEST_CASE("a job that is wrong says which field, what was found and what is allowed") {
  CHECK(enqueue_failure("") == "the body is empty: expected a JSON object");
  CHECK(enqueue_failure("{").starts_with("the body is not JSON: 1:"));
  CHECK(enqueue_failure("{\"n\": 1e999}") == "the body is not JSON: 1:12: number overflow parsing '1e999'");
  CHECK(enqueue_failure("[]") == "found an array, expected an object");
  CHECK(enqueue_failure("{}") == "\"type\" is missing: it says what runs the job");
  CHECK(enqueue_failure(R"({"type":"a","prioritty":1})")
            .starts_with(
                "prioritty: unknown key; did you mean \"priority\"? (known here: type, payload, "));
  CHECK(enqueue_failure(R"({"type":"a","priority":"1"})") ==
        "priority: found \"1\", expected a whole number from -1000 to 1000");
  CHECK(enqueue_failure(R"({"type":"a","priority":1001})") ==
        "priority: found 1001, expected a whole number from -1000 to 1000");
  CHECK(enqueue_failure(R"({"type":"a","delay":"30"})")
            .starts_with("delay: \"30\" is not a duration"));
  CHECK(enqueue_failure(R"({"type":"a","delay":-1})") ==
        "delay: -1 ms is out of range: allowed are 0s to 3653d");
  CHECK(enqueue_failure(R"({"type":"a","delay":"1s","at":"2026-11-25T02:30:00Z"})") ==
        "\"delay\" and \"at\" exclude each other");
  CHECK(enqueue_failure(R"({"type":"a","payload":"","payload_base64":""})") ==
        "\"payload\" and \"payload_base64\" exclude each other");
  CHECK(enqueue_failure(R"({"type":"a","payload_base64":"?"})") ==
        "payload_base64: found \"?\", expected base64 with its padding");
  CHECK(enqueue_failure(R"({"type":"a","on_conflict":"reject"})") ==
        "\"on_conflict\" needs \"unique_key\" or \"unique_by\": \"payload\"");
  const JobSpec debounced = enqueued(R"({"type":"a","unique_key":"k","delay":"1m","on_conflict":"debounce","debounce_max":"10m"})");
  CHECK(debounced.on_conflict == OnConflict::debounce);
  const JobSpec following = enqueued(R"({"type":"a","after":[3,4],"after_failure":"run","delay":"1m"})");
  CHECK(following.after == std::vector<JobId>{3, 4});
  CHECK(following.after_failure == AfterFailure::run);
  CHECK(enqueued(R"({"type":"a","unique_key":"k","on_conflict":"keep_last"})").on_conflict == OnConflict::keep_last);
  CHECK(enqueue_failure(R"({"type":"a","after":3})") == "after: found 3, expected an array");
  CHECK(enqueue_failure(R"({"type":"a","after":[3,"x"]})").starts_with("after[1]: found \"x\""));
  CHECK(enqueue_failure(R"({"type":"a","after":[0]})").starts_with("after[0]: found 0"));
  CHECK(enqueue_failure(R"({"type":"a","after":[1],"at":"2030-01-01T00:00:00Z"})") == "\"after\" and \"at\" exclude each other");
  std::string many = "1";
  for (int i = 0; i < HF_AFTER_MAX; ++i) many += ",1";
  CHECK(enqueue_failure("{\"type\":\"a\",\"after\":[" + many + "]}") == "after: there are 101 jobs: at most 100 are allowed");
  CHECK(debounced.debounce_max_ms == 600000);
  CHECK(enqueue_failure(R"({"type":"a","unique_key":"k","on_conflict":"rejct"})") ==
        "on_conflict: found \"rejct\", expected \"keep\", \"replace\", \"reject\", \"debounce\" or \"keep_last\"; "
        "did you "
        "mean \"reject\"?");
  CHECK(enqueue_failure(R"({"type":"a b"})").starts_with("type: the job type name \"a b\" has "));
  CHECK(enqueue_failure(R"({"type":"a","backoff":{"kind":"list"}})")
            .starts_with("backoff: kind \"list\" needs"));
  CHECK(enqueue_failure(R"({"type":"a","type":"b"})").find("twice") != std::string::npos);
}

TEST_CASE("several jobs come as one array, and the wrong one is named") {
  auto enqueue = parse_enqueue(R"({"jobs":[{"type":"a"},{"type":"b"}]})");
  REQUIRE(enqueue);
  CHECK(enqueue->specs.size() == 2);
  CHECK(enqueue_failure(R"({"jobs":[{"type":"a"},{"type":"b","ttl":"1"}]})")
            .starts_with("jobs[1].ttl: "));
  CHECK(enqueue_failure(R"({"jobs":[]})").starts_with("jobs: the array has 0 jobs"));
  CHECK(enqueue_failure(R"({"jobs":[],"type":"a"})") == "beside \"jobs\" nothing else is allowed");
}

TEST_CASE("an edit changes what it names") {
  auto edit = parse_edit(7, R"({"payload":"","priority":2,"tags":""})");
  REQUIRE(edit);
  CHECK(edit->id == 7);
  CHECK(edit->payload == "");
  CHECK(edit->priority == 2);
  CHECK(edit->tags == "");
  CHECK(!edit->delay_ms);
  CHECK(!parse_edit(7, "{}"));
  CHECK(!parse_edit(7, R"({"type":"a"})"));
}

TEST_CASE("a schedule has its fields and those of its jobs in one object") {
  auto spec = parse_schedule("nightly", R"({"cron":"H 2 * * *","tz":"Europe/Berlin","type":"report",
    "jitter":"10m","catch_up":"all","overlap":"cancel","payload":{"x":1},"queue":"q"})");
  REQUIRE(spec);
  CHECK(spec->name == "nightly");
  CHECK(spec->zone == "Europe/Berlin");
  CHECK(spec->jitter_ms == 600000);
  CHECK(spec->catch_up == CatchUp::all);
  CHECK(spec->overlap == Overlap::cancel);
  CHECK(spec->job.type == "report");
  CHECK(spec->job.payload == "{\"x\":1}");
  CHECK(spec->job.queue == "q");
  CHECK(!parse_schedule("n", R"({"cron":"* * * * *"})"));
  CHECK(!parse_schedule("n", R"({"type":"a"})"));
  CHECK(!parse_schedule("n", R"({"cron":"* * * * *","type":"a","delay":"1s"})"));
}

TEST_CASE("a pause goes in and out: its reason, its length or its end") {
  QueueInfo info;
  info.name = "q";
  info.paused = true;
  info.pause_reason = "printer is \"broken\"";
  info.resumes_wall_ms = 1795888800000;
  CHECK(queue_json(info).starts_with(R"({"name":"q","paused":true,"pause_reason":"printer is \"broken\"","resumes":"2026-11-28T18:00:00Z","draining":false,)"));
  const auto length = parse_pause("q", R"({"reason": "printer", "for": "2h"})");
  REQUIRE_MESSAGE(length.ok(), length.error().message);
  CHECK(length->name == "q");
  CHECK(length->paused);
  CHECK(length->reason == "printer");
  CHECK(length->for_ms == 7200000);
  CHECK(length->until_wall_ms == 0);
  CHECK(parse_pause("q", R"({"until": "2026-11-28T18:00:00Z"})")->until_wall_ms == info.resumes_wall_ms);
  CHECK(parse_pause("q", R"({"until": "1970-01-01T00:00:00Z"})")->until_wall_ms != 0);
  for (const char* body : {"", "{}"}) {
    const auto plain = parse_pause("q", body);
    REQUIRE(plain);
    CHECK(plain->paused);
    CHECK((plain->reason.empty() && plain->for_ms == 0 && plain->until_wall_ms == 0));
  }
  CHECK(parse_pause("q", R"({"reason": ")" + std::string(HF_REASON_MAX, 'r') + R"("})"));
  for (const auto& [body, message] : {std::pair<std::string, const char*>(R"({"reasn": "x"})", "did you mean \"reason\"?"), {R"({"for": "1h", "until": "2026-11-28T18:00:00Z"})", "\"for\" and \"until\" exclude each other"},
                                      {R"({"for": "367d"})", "for: "}, {R"({"for": "0s"})", "for: "}, {R"({"until": "18:00"})", "until: "}, {R"({"reason": 7})", "reason: "}, {"[]", "object"},
                                      {R"({"reason": ")" + std::string(HF_REASON_MAX + 1, 'r') + R"("})", "reason: the string has 201 bytes"}}) {
    const auto refused = parse_pause("q", body);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().message.find(message) != std::string::npos, refused.error().message);
  }
}

TEST_CASE("what a run says of itself is read, and what is wrong with it told") {
  const auto progress = parse_progress(7, R"({"attempt": 2, "percent": 40, "note": "half"})");
  REQUIRE(progress);
  CHECK((progress->id == 7 && progress->attempt == 2 && progress->percent == 40 && progress->note == "half"));
  const auto bare = parse_progress(7, R"({"attempt": 1})");
  REQUIRE(bare);
  CHECK((bare->percent == -1 && !bare->note));
  const auto checkpoint = parse_checkpoint(7, R"({"checkpoint": ")" + std::string(HF_CHECKPOINT_MAX, 'c') + R"(", "attempt": 3})");
  REQUIRE(checkpoint);
  CHECK((checkpoint->id == 7 && checkpoint->attempt == 3 && checkpoint->memo.size() == HF_CHECKPOINT_MAX));
  for (const auto& [body, message] : {std::pair(R"({"percent": 4})", "\"attempt\" is missing"), {R"({"attempt": 0})", "attempt: found 0, expected a whole number from 1"},
                                      {R"({"attempt": 1, "percent": 101})", "percent: found 101, expected a whole number from 0 to 100"}, {R"({"attempt": 1, "percent": -1})", "percent: "},
                                      {R"({"attempt": 1, "nte": "x"})", "did you mean \"note\"?"}, {R"({"attempt": 1, "note": 4})", "note: "}}) {
    const auto refused = parse_progress(7, body);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().message.find(message) != std::string::npos, refused.error().message);
  }
  CHECK(parse_checkpoint(7, R"({"attempt": 1})").error().message.find("\"checkpoint\" is missing: the next attempt gets it") != std::string::npos);
  CHECK_FALSE(parse_checkpoint(7, R"({"attempt": 1, "checkpoint": ")" + std::string(HF_CHECKPOINT_MAX + 1, 'c') + R"("})"));
}

TEST_CASE("a line of a log is read, and what is wrong with it told") {
  const auto line = parse_log_line(7, R"({"attempt": 2, "line": "file 4"})");
  REQUIRE(line);
  CHECK((line->id == 7 && line->attempt == 2 && line->run == 0 && line->text == "file 4"));
  CHECK(parse_log_line(7, R"({"attempt": 1, "line": ")" + std::string(HF_JOB_LOG_MAX, 'l') + R"("})"));
  for (const auto& [body, message] : {std::pair<std::string, const char*>(R"({"line": "x"})", "\"attempt\" is missing"), {R"({"attempt": 1})", "\"line\" is missing: it is what the log gets"},
                                      {R"({"attempt": 1, "line": 5})", "line: "}, {R"({"attempt": 1, "line": ""})", "line: the string is empty"}, {R"({"attempt": 1, "lines": "x"})", "did you mean \"line\"?"},
                                      {R"({"attempt": 1, "line": ")" + std::string(HF_JOB_LOG_MAX + 1, 'l') + R"("})", "line: the string has 8193 bytes"}}) {
    const auto refused = parse_log_line(7, body);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().message.find(message) != std::string::npos, refused.error().message);
  }
}

TEST_CASE("the settings of a queue go in and out under the same names") {
  const std::string settings = R"("concurrency":2,"slack":"30s","windows":"22:00-06:00","tz":"Europe/Berlin","rate_limit":"10/1m burst 3","throttle":"1/1s",)"
                               R"("key_concurrency":3,"key_rate_limit":"off","key_throttle":"5/1h","order":"lifo","aging":"10s","fair":true,)"
                               R"("max_pending":10000,"when_full":"drop_oldest","enqueue_limit":"10/1m burst 3","key_enqueue_limit":"off","retry_budget":"60/1h",)"
                               R"("retention_completed":"0s","retention_dead":"90d","retention_completed_count":1,"retention_dead_count":1000000000)";
  const auto read = parse_queue_settings("{" + settings + "}");
  REQUIRE_MESSAGE(read.ok(), read.error().message);
  QueueInfo info;
  info.name = "q";
  info.settings = info.set = *read;
  CHECK(queue_json(info) == R"({"name":"q","paused":false,"draining":false,"open":true,"pending":0,"running":0,)" + settings + R"(,"set":{)" + settings + "}}");
  for (const auto& [body, message] : {std::pair(R"({"order": "newest"})", "order: found \"newest\", expected \"fifo\" or \"lifo\""), {R"({"fair": "maybe"})", "fair: found \"maybe\", expected true or false"},
                                      {R"({"aging": "367d"})", "aging: "}, {R"({"key_concurrency": 0})", "key_concurrency: found 0, expected a whole number from 1 to 10000"},
                                      {R"({"key_throttle": "fast"})", "key_throttle: \"fast\" is no rate"}, {R"({"key_rate_limit": 5})", "key_rate_limit: "},
                                      {R"({"max_pending": -1})", "max_pending: found -1, expected a whole number from 0 to 1000000000"}, {R"({"max_pending": 1000000001})", "max_pending: "},
                                      {R"({"when_full": "drop"})", "when_full: found \"drop\", expected \"reject\", \"drop_oldest\", \"drop_lowest\" or \"coalesce\""},
                                      {R"({"enqueue_limit": "fast"})", "enqueue_limit: \"fast\" is no rate"}, {R"({"retry_budget": 60})", "retry_budget: "},
                                      {R"({"retention_completed": "-1s"})", "retention_completed: "}, {R"({"retention_dead": "5"})", "retention_dead: "},
                                      {R"({"retention_completed_count": 0})", "retention_completed_count: found 0, expected a whole number from 1 to 1000000000"},
                                      {R"({"retention_dead_count": 1000000001})", "retention_dead_count: "}}) {
    const auto refused = parse_queue_settings(body);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().message.starts_with(message), refused.error().message);
  }
}

TEST_CASE("base64 goes there and back") {
  for (const std::string& bytes :
       {std::string(), std::string("\0", 1), std::string("ab"), std::string("\xff\xfe\xfd")}) {
    auto back = base64_decode(base64_encode(bytes));
    REQUIRE(back);
    CHECK(*back == bytes);
  }
}

TEST_CASE("a job goes out with times in RFC 3339 and without what is not set") {
  JobInfo job;
  job.id = 42;
  job.type = "report";
  job.queue = "default";
  job.created_wall_ms = 1795573800000;
  job.due_wall_ms = 1795573800250;
  job.timeout_ms = 300000;
  job.payload = "{\"a\":1}";
  job.payload_size = 7;
  job.result = std::string("\0\xff", 2);
  job.result_size = 2;
  job.error = "no link";
  const std::string all = job_json(job, Sight::all);
  CHECK(all.starts_with(R"({"id":42,"type":"report","queue":"default","state":"pending",)"));
  CHECK(all.find(R"("created":"2026-11-25T02:30:00Z","due":"2026-11-25T02:30:00.250Z")") !=
        std::string::npos);
  CHECK(all.find(R"("timeout":"5m")") != std::string::npos);
  CHECK(all.find(R"("payload":"{\"a\":1}","result_base64":"AP8=")") != std::string::npos);
  CHECK(all.find("sink") == std::string::npos);
  const std::string outline = job_json(job, Sight::outline);
  CHECK(outline.find("no link") == std::string::npos);
  CHECK(outline.find("\"payload\"") == std::string::npos);
  CHECK(outline.find("result_base64") == std::string::npos);
  CHECK(outline.find("\"payload_size\":7") != std::string::npos);
}

TEST_CASE("logs are with their attempts, that of a run that goes on is the job's; who may only look sees none") {
  JobInfo job;
  job.id = 42;
  job.state = State::running;
  job.in_use = true;
  job.attempts = 2;
  job.history = {{1, false, 0, 5, "retry", "no link", "one\ntwo"}, {2, false, 0, 7, "", "", "begin"}};
  const std::string all = job_json(job, Sight::all);
  CHECK(all.find(R"("log":"begin")") < all.find("\"history\""));
  CHECK(all.find(R"("history":[{"number":1,"took_ms":5,"outcome":"retry","error":"no link","log":"one\ntwo"}])") != std::string::npos);
  CHECK(job_json(job, Sight::outline).find(R"("history":[{"number":1,"took_ms":5,"outcome":"retry"}])") != std::string::npos);
  CHECK(job_json(job, Sight::outline).find("log") == std::string::npos);
  job.history.erase(job.history.begin());
  CHECK(job_json(job, Sight::all).find("history") == std::string::npos);
}

TEST_CASE("a callback says which event, when, and the job as it is shown, without a payload that it was not given") {
  JobInfo job;
  job.id = 17;
  job.type = "report";
  job.state = State::dead;
  job.finished_wall_ms = 1795573800000;
  job.error = "exit 1 \xff\"";
  job.payload_size = 3;
  job.callback = "ops";
  const auto tree = parse_json(callback_json(job));
  REQUIRE(tree);
  CHECK(tree->find("type")->text == "job.failed");
  CHECK(tree->find("timestamp")->text == "2026-11-25T02:30:00Z");
  const JsonNode& data = *tree->find("data");
  CHECK(data.find("id")->text == "17");
  CHECK(data.find("state")->text == "dead");
  CHECK(data.find("callback")->text == "ops");
  CHECK(data.find("payload") == nullptr);
  CHECK(data.find("payload_size")->text == "3");
  job.state = State::completed;
  CHECK(callback_json(job).starts_with("{\"type\":\"job.completed\""));
}

TEST_CASE("why: who may only look sees which gates are closed, and neither the error of a run nor a key") {
  WhyInfo why;
  why.gates = {{"due", "due in 5 s", 1795573800000},
               {"rate_limit", "queue q begins at most 1/s: the next run in 1 s", 0},
               {"handler_parked", "upload waits before it is tried again, after: secret", 1795573800000},
               {"key", "1 of at most 1 with concurrency_key secret run", 0},
               {"rate_limit", "concurrency_key secret begins at most 1/s: the next run in 1 s", 0},
               {"throttle", "concurrency_key secret begins at most 1/s: the next run in 1 s", 0}};
  why.summary = "secret";
  const std::string all = why_json(why, Sight::all);
  CHECK(all.find(R"("summary":"secret")") != std::string::npos);
  for (const ClosedGate& gate : why.gates) CHECK(all.find(gate.why) != std::string::npos);
  const std::string outline = why_json(why, Sight::outline);
  CHECK(outline.find("secret") == std::string::npos);
  CHECK(outline.find(R"("summary":"due in 5 s; queue q begins at most 1/s: the next run in 1 s; its handler or sink is out of reach; )") != std::string::npos);
  CHECK(outline.find(R"({"gate":"handler_parked","why":"its handler or sink is out of reach","opens":"2026-11-25T02:30:00Z"})") != std::string::npos);
  CHECK(outline.find(R"({"gate":"key","why":"as many run with its concurrency_key as may at once"})") != std::string::npos);
  why.gates.clear();
  why.summary = "it runs: attempt 1 of 3";
  CHECK(why_json(why, Sight::outline).find(why.summary) != std::string::npos);
  why.job.state = State::dead;
  why.summary = "it is in the dead letters: secret";
  CHECK(why_json(why, Sight::outline).find("secret") == std::string::npos);
}

TEST_CASE("text that is not UTF-8 does no harm") {
  JobInfo job;
  job.type = "t\xff";
  job.error = "\xc3";
  CHECK(parse_json(job_json(job, Sight::all)));
}

TEST_CASE("errors carry their code") {
  CHECK(error_json({HF_E_NOT_FOUND, "there is no job 7"}) ==
        R"({"error":{"code":"not_found","message":"there is no job 7"}})");
}

TEST_CASE("a subscription: its filter as it was said, its job, and nothing of a payload for who may only look") {
  SubscriptionInfo info;
  info.spec.name = "on-door";
  info.spec.event = "door.opened";
  info.spec.filter = {{"door", "3"}, {"who", "\"anna\""}, {"badge", "null"}};
  info.spec.job.type = "report";
  info.spec.job.delay_ms = 5000;
  info.spec.job.unique_key = "k";
  info.spec.job.unique_for_ms = 60000;
  info.spec.job.on_conflict = OnConflict::debounce;
  info.spec.job.debounce_max_ms = 90000;
  info.matched = 7;
  const std::string job = R"("type":"report","queue":"default",)";
  const std::string rest = R"("delay":"5s","unique_key":"k","unique_for":"1m","on_conflict":"debounce","debounce_max":"90s","matched":7})";
  const std::string head = R"({"name":"on-door","event":"door.opened","filter":{"door":3,"who":"anna","badge":null},)";
  CHECK(subscription_json(info, Sight::all) == head + job + rest);
  info.spec.own_payload = true;
  CHECK(subscription_json(info, Sight::all) == head + job + R"("payload":"",)" + rest);
  info.spec.job.payload = "secret";
  info.spec.job.tags = "secret";
  CHECK(subscription_json(info, Sight::all) == head + job + R"("tags":"secret","payload":"secret",)" + rest);
  info.spec.job.concurrency_key = "secret";
  const std::string outline = R"({"name":"on-door","event":"door.opened",)" + job +
                              R"("delay":"5s","unique_for":"1m","on_conflict":"debounce","debounce_max":"90s","matched":7})";
  CHECK(subscription_json(info, Sight::outline) == outline);
  CHECK(subscription_json(info, Sight::all).find(R"("concurrency_key":"secret")") != std::string::npos);
  CHECK(subscriptions_json({}, Sight::all) == R"({"subscriptions":[]})");
}
