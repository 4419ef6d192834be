#include "handlers/exec_batch.h"

#include <signal.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "handlers/apply_config.h"
#include "handlers/exec.h"
#include "tests/handlers/child_fixture.h"
#include "tests/platform/net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kMaxResult = 1000;

RunJob job(JobId id, std::string payload = "") {
  RunJob j;
  j.id = id;
  j.attempt = 2;
  j.run = 5;
  j.type = "store";
  j.queue = "default";
  j.key = "gw-0042-" + std::to_string(id);
  j.bytes = std::move(payload);
  return j;
}

// Three jobs, 1, 2 and 3, and what became of each.
std::vector<RunEnded> ends(const std::string& output, int exit_code = 0, bool over = false, bool lost = false) {
  ProcessEnd end;
  end.exit_code = exit_code;
  end.output = output;
  end.output_over = over;
  end.output_lost = lost;
  end.error_tail = exit_code != 0 ? "no table" : "";
  return exec_batch_outcome(std::move(end), {{1, 2, 5}, {2, 2, 5}, {3, 1, 5}}, kMaxResult, {}, {});
}
std::string outcomes(const std::vector<RunEnded>& all) {
  std::string text;
  for (const RunEnded& e : all) {
    text += e.outcome == Outcome::done ? 'o' : e.outcome == Outcome::retry ? 'r' : e.outcome == Outcome::dead ? 'p' : e.outcome == Outcome::defer ? 'd' : '?';
  }
  return text;
}
std::string outcomes(const std::string& output, int exit_code = 0) { return outcomes(ends(output, exit_code)); }

struct Fixture {
  TestLoop loop;
  std::map<JobId, RunEnded> ended;
  int reports = 0;
  std::unique_ptr<ExecRunner> runner;

  void make(const std::string& script, int64_t kill_grace_ms = 5000) {
    ExecOptions options;
    options.argv = {"/bin/sh", "-c", script};
    options.kill_grace_ms = kill_grace_ms;
    options.max_result = kMaxResult;
    options.env = {{"HF_MINE", "m"}};
    options.batch = true;
    runner = std::make_unique<ExecRunner>(loop.uv(), std::move(options), [this](RunEnded end) {
      ++reports;
      ended[end.id] = std::move(end);
    });
  }
  void start(std::vector<RunJob> jobs) {
    StartRun run;
    run.runner = "store";
    run.timeout_ms = 300'000;
    run.jobs = std::move(jobs);
    runner->start(std::move(run));
  }
  void wait(int n) { REQUIRE(loop.run_until([&] { return reports == n; })); }
  void shut_down() {
    bool closed = false;
    runner->shutdown([&] { closed = true; });
    REQUIRE(loop.run_until([&] { return closed; }));
    runner.reset();
  }
};

}  // namespace

TEST_SUITE("exec batch") {
  TEST_CASE("the input has a line a job, which says what a delivery says, and the payload") {
    RunJob text = job(2, "plain \"text\""), bytes = job(3, "\xff\x01"), full = job(4, "{ \"t\" : 21.50 }\n");
    full.memo = "half";
    full.tags = "a,b";
    const std::string input = exec_batch_input({job(1), text, bytes, full});
    std::vector<nlohmann::json> lines;
    for (size_t at = 0; at < input.size();) {
      const size_t end = input.find('\n', at);
      REQUIRE(end != input.npos);
      lines.push_back(nlohmann::json::parse(input.substr(at, end - at)));
      at = end + 1;
    }
    REQUIRE(lines.size() == 4);
    CHECK(lines[0]["id"] == 1);
    CHECK(lines[0]["key"] == "gw-0042-1");
    CHECK(lines[0]["type"] == "store");
    CHECK(lines[0]["attempt"] == 2);
    CHECK(lines[0]["payload"].is_null());
    CHECK_FALSE(lines[0].contains("checkpoint"));
    CHECK(lines[1]["payload_text"] == "plain \"text\"");
    CHECK(lines[2]["payload_base64"] == "/wE=");
    CHECK(input.find("\"payload\":{\"t\":21.50}") != input.npos);  // as it was written
    CHECK(lines[3]["checkpoint"] == "half");
    CHECK(lines[3]["tags"] == "a,b");
  }

  TEST_CASE("the exit code is the outcome of all of which nothing is said") {
    CHECK(outcomes("") == "ooo");
    CHECK(outcomes("", 1) == "rrr");
    CHECK(outcomes("", 65) == "ppp");
    CHECK(outcomes("", 69) == "ddd");
    CHECK(ends("", 1)[2].error == "exit code 1: no table");
    CHECK(outcomes(" \n\n") == "ooo");
  }

  TEST_CASE("a line says the outcome, the error and the result of its job, whatever the exit code; all have their fences") {
    const auto all = ends(R"({"id": 2, "outcome": "permanent", "error": "no such sensor"}
{"id":1,"outcome":"ok","result":{"row": 1.50}}
)", 75);
    CHECK(outcomes(all) == "opr");
    CHECK(all[0].result == "{\"row\":1.50}");
    CHECK(all[1].error == "no such sensor");
    CHECK(all[2].error == "exit code 75: no table");
    CHECK(all[0].id == 1);
    CHECK(all[0].attempt == 2);
    CHECK(all[0].run == 5);
    CHECK(all[2].id == 3);
    CHECK(all[2].attempt == 1);
    CHECK(outcomes(R"({"id":1,"outcome":"defer"}
{"id":3,"outcome":"retry"})") == "dor");
  }

  TEST_CASE("a program that was killed has still said what it had said") {
    ProcessEnd end;
    end.signal = SIGKILL;
    end.output = "{\"id\":1,\"outcome\":\"ok\"}\n{\"id\":2,\"outco";
    const auto all = exec_batch_outcome(std::move(end), {{1, 1, 1}, {2, 1, 1}}, kMaxResult, {}, {});
    CHECK(outcomes(all) == "or");
    CHECK(all[1].error.starts_with("killed by signal 9 (SIGKILL); line 2 of its output cannot be read: "));
  }

  TEST_CASE("results: JSON as it is, text, bytes; only of what is done") {
    const auto all = ends(R"({"id":1,"outcome":"ok","result_text":"plain"}
{"id":2,"outcome":"ok","result_base64":"/wE="}
{"id":3,"outcome":"retry","result":7,"error":"e"})");
    CHECK(all[0].result == "plain");
    CHECK(all[1].result == "\xff\x01");
    CHECK(all[2].result == "");
    CHECK(ends(R"({"id":1,"outcome":"ok","result":null})")[0].result == "");
    CHECK(ends(R"({"id":1,"outcome":"ok","result":"s"})")[0].result == "\"s\"");
  }

  TEST_CASE("what it read may stand in the line, too; the last line about a job counts") {
    CHECK(outcomes(R"({"key":"k","id":1,"type":"store","payload":{"id":2},"outcome":"permanent"})") == "poo");
    CHECK(outcomes("{\"id\":1,\"outcome\":\"retry\"}\n{\"id\":1,\"outcome\":\"ok\"}") == "ooo");
  }

  TEST_CASE("output that is no answer is none: the exit code says it all") {
    CHECK(outcomes("COPY 3\n") == "ooo");
    CHECK(outcomes("3 rows\n{\"id\":1,\"outcome\":\"retry\"}") == "ooo");
    CHECK(ends("COPY 3\n")[0].result == "");
    CHECK(outcomes("ERROR: no table", 1) == "rrr");
  }

  TEST_CASE("a line that cannot be read may be about any job: those without one of their own are not done") {
    const auto error = [](const std::string& line) {
      const auto all = ends("{\"id\":1,\"outcome\":\"ok\"}\n\n" + line + "\n");
      CHECK(outcomes(all) == "orr");
      CHECK(all[1].error == all[2].error);
      return all[1].error;
    };
    const std::string begin = "line 3 of its output cannot be read: ";
    CHECK(error("done").starts_with(begin));
    CHECK(error("{\"id\":2,\"outcome\":\"ok\"").starts_with(begin));
    CHECK(error("[1]") == begin + "expected an object with \"id\" and \"outcome\"");
    CHECK(error("{\"outcome\":\"ok\"}") == begin + "expected an object with \"id\" and \"outcome\"");
    CHECK(error("{\"id\":\"2\",\"outcome\":\"ok\"}") == begin + "expected an object with \"id\" and \"outcome\"");
    CHECK(error("{\"id\":9,\"outcome\":\"ok\"}") == begin + "job 9 is not of this batch");
    CHECK(error("{\"id\":2}") == begin + "\"outcome\" is missing, or no string");
    CHECK(error("{\"id\":2,\"outcome\":\"done\"}") == begin + "\"outcome\" is \"done\", expected ok, retry, permanent or defer");
    CHECK(error("{\"id\":2,\"outcome\":\"ok\",\"result_text\":7}") == begin + "\"result_text\" is a number, expected a string");
    CHECK(error("{\"id\":2,\"outcome\":\"ok\",\"result_base64\":\"?\"}") == begin + "\"result_base64\" is no base64");
    // What comes after it is read all the same, and one that has failed anyway stays as it was.
    CHECK(outcomes("{\n{\"id\":3,\"outcome\":\"ok\"}") == "rro");
    const auto failed = ends("{\n", 65);
    CHECK(outcomes(failed) == "ppp");
    CHECK(failed[0].error.starts_with("exit code 65: no table; line 1 of its output cannot be read: "));
  }

  TEST_CASE("a result or an output that is too long, or lost") {
    const std::string longest(kMaxResult, 'x');
    const auto with = [](const std::string& text) { return ends("{\"id\":1,\"outcome\":\"ok\",\"result_text\":\"" + text + "\"}"); };
    CHECK(with(longest)[0].result == longest);
    const RunEnded dead = with(longest + "x")[0];
    CHECK(dead.outcome == Outcome::dead);
    CHECK(dead.error == "its result is longer than 1kB, the largest result: raise limits.max_payload, or make it shorter");
    const auto over = ends("{\"id\":1,\"outcome\":\"ok\"}\n", 0, true);
    CHECK(outcomes(over) == "orr");
    CHECK(over[1].error.starts_with("its output is longer than the "));
    const auto lost = ends("{\"id\":1,\"outcome\":\"ok\"}\n", 0, false, true);
    CHECK(outcomes(lost) == "rrr");
    CHECK(lost[0].error == "its output could not be read");
    CHECK(exec_batch_output_max(1, 1000) == 2024);
    CHECK(exec_batch_output_max(3, 1000) == 6072);
    CHECK(exec_batch_output_max(1000, 256 * 1024) == 16 << 20);
    CHECK(exec_batch_output_max(1000, 16 << 20) == (16 << 20) + 1024);
  }

  TEST_CASE("an error text is for a terminal, and cut") {
    const auto all = ends("{\"id\":1,\"outcome\":\"retry\",\"error\":\"a\\u001b[2Jb\"}\n{\"id\":2,\"outcome\":\"retry\",\"error\":\"" + std::string(2000, 'e') + "\"}");
    CHECK(all[0].error == "a?[2Jb");
    CHECK(all[1].error == std::string(HF_ERROR_TEXT_MAX, 'e'));
  }

  TEST_CASE_FIXTURE(Fixture, "one program gets all jobs, and each ends as it says") {
    make("echo \"$HOLDFAST_BATCH $HOLDFAST_TYPE $HF_MINE ${HOLDFAST_JOB_ID-none} ${HOLDFAST_JOB_KEY-none} ${HOLDFAST_ATTEMPT-none}\" >&2; "
         "n=0; while read -r line; do n=$((n + 1)); [ $n = 2 ] || echo '{\"id\":'$n',\"outcome\":\"ok\",\"result\":'$n'}'; done; exit 75");
    start({job(1, "a"), job(2), job(3, "[1, 2]")});
    wait(3);
    CHECK(ended[1].outcome == Outcome::done);
    CHECK(ended[1].result == "1");
    CHECK(ended[3].result == "3");
    CHECK(ended[2].outcome == Outcome::retry);
    CHECK(ended[2].error == "exit code 75: 3 store m none none none");
    CHECK(ended[2].run == 5);
    shut_down();
    CHECK(reports == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "a batch may have one job") {
    make("read -r line; echo \"$line\" | grep -q '\"payload_text\":\"alone\"' || exit 65");
    start({job(1, "alone")});
    wait(1);
    CHECK(ended[1].outcome == Outcome::done);
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "a cancel of one leaves the program alone; what it says of that job does not count") {
    Fifo ready, go;
    make("echo >" + ready.path() + "; read -r line <" + go.path() + "; echo '{\"id\":1,\"outcome\":\"ok\"}'; echo '{\"id\":2,\"outcome\":\"ok\"}'; echo tail >&2; exit 1");
    start({job(1), job(2), job(3)});
    ready.line();
    runner->stop(2, 2, StopReason::cancel);
    runner->stop(3, 2, StopReason::timeout);
    runner->stop(3, 2, StopReason::cancel);  // the first reason stands
    CHECK(reports == 0);
    std::ofstream(go.path()) << "go\n";
    wait(3);
    CHECK(ended[1].outcome == Outcome::done);
    CHECK(ended[2].outcome == Outcome::cancelled);
    CHECK(ended[2].error == "cancelled while it ran: tail");
    CHECK(ended[3].outcome == Outcome::retry);
    CHECK(ended[3].error == "timed out: tail");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "once all are to end, the program is ended, each job for its own reason") {
    Fifo ready;
    make("trap '' TERM; echo '{\"id\":1,\"outcome\":\"ok\"}'; echo >" + ready.path() + "; while :; do sleep 1000; done", 1);
    start({job(1), job(2)});
    ready.line();
    runner->stop(1, 2, StopReason::cancel);
    runner->stop(2, 2, StopReason::timeout);
    wait(2);
    CHECK(ended[1].outcome == Outcome::cancelled);
    CHECK(ended[2].error == "timed out, killed with SIGKILL");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "shutdown ends programs with all their jobs") {
    Fifo ready;
    make("echo >" + ready.path() + "; sleep 1000");
    start({job(1), job(2)});
    start({job(3)});
    ready.line();
    ready.line();
    runner->stop(2, 2, StopReason::cancel);
    shut_down();
    CHECK(reports == 3);
    CHECK(ended[1].outcome == Outcome::handed_back);
    CHECK(ended[2].outcome == Outcome::cancelled);
    CHECK(ended[3].outcome == Outcome::handed_back);
  }

  TEST_CASE_FIXTURE(Fixture, "a program that is not there fails all of its jobs") {
    ExecOptions options;
    options.argv = {"/nowhere/store"};
    options.batch = true;
    runner = std::make_unique<ExecRunner>(loop.uv(), std::move(options), [this](RunEnded end) {
      ++reports;
      ended[end.id] = std::move(end);
    });
    start({job(1), job(2)});
    wait(2);
    CHECK(ended[1].outcome == Outcome::retry);
    CHECK(ended[2].error == "cannot run \"/nowhere/store\": no such file or directory");
    shut_down();
  }

  TEST_CASE("a program may take batches: what is not said has its default") {
    const auto failure = [](const std::string& members) {
      auto config = parse_config("{\"handlers\": {\"store\": {" + members + "}}}", "h.json");
      return config ? "" : config.error().message;
    };
    const auto spec = [](const std::string& batch) {
      auto config = parse_config("{\"handlers\": {\"store\": {\"exec\": [\"/bin/sh\"]" + batch + "}}}", "h.json");
      REQUIRE(config);
      return runner_spec(config->handlers[0]).batch;
    };
    CHECK(spec("").max_jobs == 1);
    const Batch defaults = spec(R"(, "batch": {})");
    CHECK(defaults.max_jobs == 100);
    CHECK(defaults.max_bytes == 1 << 20);
    CHECK(defaults.max_wait_ms == 0);
    const Batch said = spec(R"(, "batch": {"max_jobs": 1000, "max_bytes": "64MiB", "max_wait": "1d"})");
    CHECK(said.max_jobs == 1000);
    CHECK(said.max_bytes == 64 << 20);
    CHECK(said.max_wait_ms == 86400000);
    const std::string begin = "h.json:1: handlers.store";
    CHECK(failure(R"("exec": ["/bin/sh"], "batch": {"max_jobs": 0})").starts_with(begin + ".batch.max_jobs: "));
    CHECK(failure(R"("exec": ["/bin/sh"], "batch": {"max_jobs": 1001})").starts_with(begin + ".batch.max_jobs: "));
    CHECK(failure(R"("exec": ["/bin/sh"], "batch": {"max_bytes": "65MiB"})").starts_with(begin + ".batch.max_bytes: "));
    CHECK(failure(R"("exec": ["/bin/sh"], "batch": {"max_wait": "25h"})").starts_with(begin + ".batch.max_wait: "));
    CHECK(failure(R"("exec": ["/bin/sh"], "batch": {"size": 1})") == begin + ".batch.size: unknown key (known here: max_jobs, max_bytes and max_wait)");
    CHECK(failure(R"("http": {"url": "https://a.example/"}, "batch": {"max_jobs": 2})") == begin + ": \"batch\" is for \"exec\" only");
  }
}
