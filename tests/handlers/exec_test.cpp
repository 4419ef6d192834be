#include "handlers/exec.h"

#include <signal.h>

#include <fstream>
#include <map>

#include "core/names.h"
#include "tests/handlers/child_fixture.h"
#include "tests/platform/net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

ProcessEnd exited(int code, std::string tail = "") {
  ProcessEnd end;
  end.exit_code = code;
  end.error_tail = std::move(tail);
  return end;
}

ProcessEnd signalled(int signal) {
  ProcessEnd end;
  end.signal = signal;
  return end;
}

ProcessEnd not_started(int code, std::string message) {
  ProcessEnd end;
  end.not_started = Error{code, std::move(message)};
  return end;
}

// A runner whose ends are kept by job.
struct Fixture {
  TestLoop loop;
  std::map<JobId, RunEnded> ended;
  int reports = 0;
  std::vector<LogLine> logs;
  std::unique_ptr<ExecRunner> runner;

  void make(ExecOptions options) {
    runner = std::make_unique<ExecRunner>(loop.uv(), std::move(options), [this](RunEnded end) {
      ++reports;
      ended[end.id] = std::move(end);
    }, [this](Op op) {
      CHECK(reports == 0);  // the log comes before the end
      logs.push_back(std::get<LogLine>(op));
    });
  }
  void make(const std::string& script) { make(shell(script)); }
  static ExecOptions shell(const std::string& script) {
    ExecOptions options;
    options.argv = {"/bin/sh", "-c", script};
    return options;
  }
  static StartRun job(JobId id, std::string payload = "") {
    StartRun run;
    run.runner = "report";
    run.timeout_ms = 300'000;
    run.jobs.resize(1);
    run.jobs[0].id = id;
    run.jobs[0].attempt = 2;
    run.jobs[0].type = "report";
    run.jobs[0].bytes = std::move(payload);
    run.jobs[0].key = "gw-0042-" + std::to_string(id);
    return run;
  }
  RunEnded wait(JobId id) {
    REQUIRE(loop.run_until([&] { return ended.count(id) == 1; }));
    return ended[id];
  }
  RunEnded run(std::string payload = "") {
    runner->start(job(7, std::move(payload)));
    return wait(7);
  }
  void shut_down() {
    bool closed = false;
    runner->shutdown([&] { closed = true; });
    CHECK_FALSE(closed);
    REQUIRE(loop.run_until([&] { return closed; }));
    runner.reset();
  }
};

}  // namespace

TEST_SUITE("exec") {
  TEST_CASE("what an exit code means") {
    const std::map<int, Outcome> table = {
        {0, Outcome::done},   {1, Outcome::retry}, {2, Outcome::retry},   {63, Outcome::retry},
        {64, Outcome::dead},  {65, Outcome::dead}, {66, Outcome::retry},  {69, Outcome::defer},
        {75, Outcome::retry}, {78, Outcome::dead}, {126, Outcome::retry}, {255, Outcome::retry}};
    for (const auto& [code, outcome] : table) {
      CAPTURE(code);
      const RunEnded end = exec_outcome(exited(code), 1000);
      CHECK(end.outcome == outcome);
      CHECK_FALSE(end.park_runner);
      CHECK(end.error == (code == 0 ? "" : "exit code " + std::to_string(code)));
    }
  }

  TEST_CASE("what is listed goes before what a code means by itself, and changes nothing else") {
    OutcomeRules rules;
    REQUIRE_FALSE(rules.add(1, 1, Outcome::dead));
    REQUIRE_FALSE(rules.add(3, 3, Outcome::done));
    REQUIRE_FALSE(rules.add(64, 78, Outcome::retry));
    REQUIRE_FALSE(rules.add(75, 75, Outcome::defer));
    const std::map<int, Outcome> table = {{0, Outcome::done},   {1, Outcome::dead},   {2, Outcome::retry},  {3, Outcome::done},
                                          {64, Outcome::retry}, {65, Outcome::retry}, {69, Outcome::retry}, {75, Outcome::defer},
                                          {78, Outcome::retry}, {79, Outcome::retry}};
    for (const auto& [code, outcome] : table) {
      CAPTURE(code);
      const RunEnded end = exec_outcome(exited(code, "why"), 1000, rules);
      CHECK(end.outcome == outcome);
      CHECK_FALSE(end.park_runner);
      CHECK(end.retry_after_ms == -1);
      CHECK(end.error == (outcome == Outcome::done ? "" : "exit code " + std::to_string(code) + ": why"));
    }
    // No exit code: a signal (a shell says 128 + its number of one that befell another), an end that nobody knows, no start.
    REQUIRE_FALSE(rules.add(128 + SIGKILL, 128 + SIGKILL, Outcome::done));
    REQUIRE_FALSE(rules.add(SIGKILL, SIGKILL, Outcome::done));
    CHECK(exec_outcome(signalled(SIGKILL), 1000, rules).outcome == Outcome::retry);
    CHECK(exec_outcome(exited(128 + SIGKILL), 1000, rules).outcome == Outcome::done);
    ProcessEnd unknown;
    unknown.unknown = true;
    CHECK(exec_outcome(unknown, 1000, rules).outcome == Outcome::retry);
    CHECK(exec_outcome(not_started(HF_E_NOT_FOUND, "cannot run x"), 1000, rules).outcome == Outcome::retry);
  }

  TEST_CASE("a code that is listed as ok is a success like 0: the same result, the same limits") {
    OutcomeRules rules;
    REQUIRE_FALSE(rules.add(3, 3, Outcome::done));
    ProcessEnd end = exited(3);
    end.output = "what there was";
    CHECK(exec_outcome(end, 1000, rules).result == "what there was");
    end.output_over = true;
    CHECK(exec_outcome(end, 1000, rules).outcome == Outcome::dead);
    end.output_lost = true;
    CHECK(exec_outcome(end, 1000, rules).outcome == Outcome::retry);
  }

  TEST_CASE("the error is the code and the end of stderr") {
    CHECK(exec_outcome(exited(3, "disk is gone\n"), 1000).error == "exit code 3: disk is gone");
    ProcessEnd end = exited(3, std::string(2048, 'e'));
    end.error_tail_cut = true;
    const std::string error = exec_outcome(end, 1000).error;
    CHECK(error.size() == HF_ERROR_TEXT_MAX);
    CHECK(error.starts_with("exit code 3: ...eee"));
  }

  TEST_CASE("a signal, an unknown end and a failed start are retried") {
    const RunEnded killed = exec_outcome(signalled(SIGKILL), 1000);
    CHECK(killed.outcome == Outcome::retry);
    CHECK(killed.error == "killed by signal 9 (SIGKILL)");
    CHECK(exec_outcome(signalled(SIGRTMIN + 3), 1000).error ==
          "killed by signal " + std::to_string(SIGRTMIN + 3));
    ProcessEnd end;
    end.unknown = true;
    CHECK(exec_outcome(end, 1000).outcome == Outcome::retry);
    const RunEnded missing = exec_outcome(not_started(HF_E_NOT_FOUND, "cannot run x"), 1000);
    CHECK(missing.outcome == Outcome::retry);
    CHECK(missing.error == "cannot run x");
  }

  TEST_CASE("a signal that a limit sends says which") {
    ProcessLimits limits;
    limits.cpu_time_ms = 10'000;
    limits.file_size = 1 << 20;
    const auto error = [&](int signal, const ProcessLimits& with) { return exec_outcome(signalled(signal), 1000, {}, with).error; };
    CHECK(error(SIGXCPU, limits) == "killed by signal 24 (SIGXCPU), its cpu_time limit of 10s was used up");
    CHECK(error(SIGXFSZ, limits) == "killed by signal 25 (SIGXFSZ), a file would have gone beyond its file_size limit of 1MiB");
    CHECK(error(SIGSEGV, limits) == "killed by signal 11 (SIGSEGV)");
    CHECK(error(SIGXCPU, {}) == "killed by signal 24 (SIGXCPU)");  // the daemon's own limit
    ProcessEnd end = signalled(SIGXCPU);
    end.error_tail = "at frame 7\n";
    CHECK(exec_outcome(end, 1000, {}, limits).error == "killed by signal 24 (SIGXCPU), its cpu_time limit of 10s was used up: at frame 7");
    CHECK(exec_outcome(end, 1000, {}, limits).outcome == Outcome::retry);
  }

  TEST_CASE("no room for a process spends no attempt and parks the runner") {
    const RunEnded end = exec_outcome(not_started(HF_E_FULL, "no processes left"), 1000);
    CHECK(end.outcome == Outcome::defer);
    CHECK(end.park_runner);
  }

  TEST_CASE("output over the limit is permanent, but only of a success") {
    ProcessEnd end = exited(0);
    end.output_over = true;
    const RunEnded dead = exec_outcome(end, 256 * 1024);
    CHECK(dead.outcome == Outcome::dead);
    CHECK(dead.result.empty());
    CHECK(dead.error ==
          "its output is longer than 256KiB, the largest result: raise limits.max_payload, or "
          "make it shorter");
    end.exit_code = 75;
    CHECK(exec_outcome(end, 256 * 1024).outcome == Outcome::retry);
  }

  TEST_CASE_FIXTURE(Fixture, "payload in, result out, under the fence of the run") {
    make("cat; echo noise >&2");
    const RunEnded end = run("{\"a\":1}");
    CHECK(end.outcome == Outcome::done);
    CHECK(end.id == 7);
    CHECK(end.attempt == 2);
    CHECK(end.result == "{\"a\":1}");
    CHECK(end.error == "");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "a program ends as its handler reads its exit codes") {
    ExecOptions options = shell("read code; echo out; echo err >&2; exit $code");
    REQUIRE_FALSE(options.on_exit.add(2, 9, Outcome::dead));
    REQUIRE_FALSE(options.on_exit.add(3, 3, Outcome::done));
    REQUIRE_FALSE(options.on_exit.add(65, 65, Outcome::defer));
    REQUIRE_FALSE(options.on_exit.add(69, 69, Outcome::retry));
    make(std::move(options));
    const std::map<JobId, Outcome> table = {{1, Outcome::retry},  {2, Outcome::dead},   {3, Outcome::done}, {9, Outcome::dead},
                                            {65, Outcome::defer}, {69, Outcome::retry}, {78, Outcome::dead}};
    for (const auto& [code, outcome] : table) runner->start(job(code, std::to_string(code) + "\n"));
    for (const auto& [code, outcome] : table) {
      CAPTURE(code);
      const RunEnded end = wait(code);
      CHECK(end.outcome == outcome);
      CHECK_FALSE(end.park_runner);
      CHECK(end.result == (code == 3 ? "out\n" : ""));
      CHECK(end.error == (code == 3 ? "" : "exit code " + std::to_string(code) + ": err"));
    }
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "at its timeout a code that is listed as ok is none, either") {
    Fifo ready;
    ExecOptions options = shell("trap 'exit 3' TERM; echo >" + ready.path() + "; while :; do sleep 1000 & wait; done");
    REQUIRE_FALSE(options.on_exit.add(3, 3, Outcome::done));
    make(std::move(options));
    runner->start(job(7));
    ready.line();
    runner->stop(7, 2, StopReason::timeout);
    CHECK(wait(7).outcome == Outcome::retry);
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "the job is in its environment") {
    ExecOptions options = shell(
        "echo $HOLDFAST_JOB_ID $HOLDFAST_JOB_KEY $HOLDFAST_ATTEMPT $HOLDFAST_TYPE "
        "$HOLDFAST_SOCKET $HOLDFAST_OCCURRENCE $MINE ${HF_TEST_FOREIGN-clean}");
    options.socket = "/run/hf.sock";
    options.env = {{"MINE", "m"}, {"HOLDFAST_JOB_ID", "forged"}};
    setenv("HF_TEST_FOREIGN", "leaked", 1);
    make(std::move(options));
    StartRun start = job(7);
    start.jobs[0].occurrence_wall_ms = 1'795'573'800'000;
    runner->start(std::move(start));
    CHECK(wait(7).result == "7 gw-0042-7 2 report /run/hf.sock 2026-11-25T02:30:00Z m clean\n");
    unsetenv("HF_TEST_FOREIGN");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "what is not there is not in the environment") {
    make("echo ${HOLDFAST_SOCKET-none} ${HOLDFAST_OCCURRENCE-none}; test -n \"$PATH\"");
    CHECK(run().result == "none none\n");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "a run has the limits of its handler, and the error names the one that ended it") {
    const TempFolder folder;
    ExecOptions options = shell("exec head -c 2000 /dev/zero >" + folder / "file");
    options.limits.file_size = 1000;
    make(std::move(options));
    const RunEnded end = run();
    CHECK(end.outcome == Outcome::retry);
    CHECK(end.error == "killed by signal 25 (SIGXFSZ), a file would have gone beyond its file_size limit of 1kB");
    shut_down();
  }

  TEST_CASE("HOME, USER and LOGNAME follow the user, and `env` goes before") {
    ExecOptions options;
    const auto value = [&](const std::string& name) -> std::string {
      for (const std::string& entry : base_environment(options)) {
        if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
      }
      return "none";
    };
    const std::string home = value("HOME");
    CHECK(value("USER") == "none");
    options.limits.run_as = RunAs{1, 2, {}, "", ""};  // a group alone
    CHECK(value("HOME") == home);
    CHECK(value("LOGNAME") == "none");
    options.limits.run_as = RunAs{1, 2, {}, "daemon", "/usr/sbin"};
    CHECK(value("HOME") == "/usr/sbin");
    CHECK(value("USER") == "daemon");
    CHECK(value("LOGNAME") == "daemon");
    options.limits.run_as = RunAs{61234, 2, {}, "", "/"};
    CHECK(value("HOME") == "/");
    CHECK(value("USER") == "none");
    options.env = {{"HOME", "/srv"}};
    CHECK(value("HOME") == "/srv");
  }

  TEST_CASE_FIXTURE(Fixture, "a program that is not there: retry, with its path") {
    ExecOptions options;
    options.argv = {"/nowhere/report"};
    make(std::move(options));
    const RunEnded end = run();
    CHECK(end.outcome == Outcome::retry);
    CHECK(end.error == "cannot run \"/nowhere/report\": no such file or directory");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "runs go side by side") {
    Fifo gate;
    make("if [ $HOLDFAST_JOB_ID = 1 ]; then read -r go <" + gate.path() + "; else echo go >" +
         gate.path() + "; fi");
    runner->start(job(1));  // ends only once the other has run
    runner->start(job(2));
    CHECK(wait(1).outcome == Outcome::done);
    CHECK(wait(2).outcome == Outcome::done);
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "a stop ends the run for its reason, whatever the exit code") {
    Fifo ready;
    make("trap 'echo bye >&2; exit 0' TERM; echo >" + ready.path() +
         "; while :; do sleep 1000 & wait; done");
    runner->start(job(7));
    ready.line();
    RunEnded end;
    SUBCASE("timeout") {
      runner->stop(7, 2, StopReason::timeout);
      end = wait(7);
      CHECK(end.outcome == Outcome::retry);
      CHECK(end.error == "timed out after 5m: bye");
    }
    SUBCASE("cancel") {
      runner->stop(7, 2, StopReason::cancel);
      runner->stop(7, 2, StopReason::timeout);  // the first reason stands
      end = wait(7);
      CHECK(end.outcome == Outcome::cancelled);
      CHECK(end.error == "cancelled while it ran: bye");
    }
    SUBCASE("shutdown") {
      runner->stop(7, 2, StopReason::shutdown);
      end = wait(7);
      CHECK(end.outcome == Outcome::handed_back);
    }
    SUBCASE("another attempt is another run") {
      runner->stop(7, 1, StopReason::cancel);
      runner->stop(8, 2, StopReason::cancel);
      runner->stop(7, 2, StopReason::timeout);
      CHECK(wait(7).outcome == Outcome::retry);
    }
    CHECK(reports == 1);
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "a run that was handed back may end after the same attempt was started again") {
    Fifo ready, go;
    make("trap 'read line <" + go.path() + "; exit 0' TERM; read kind; echo >" + ready.path() +
         "; [ $kind = second ] && { echo fine; exit 0; }; while :; do sleep 1000 & wait; done");
    StartRun first = job(7, "first\n"), second = job(7, "second\n");
    first.jobs[0].run = 1;
    second.jobs[0].run = 2;
    runner->start(std::move(first));
    ready.line();
    runner->stop(7, 2, StopReason::shutdown);  // the engine hands it back, and claims it again
    runner->start(std::move(second));
    REQUIRE(loop.run_until([&] { return reports == 1; }));
    CHECK(ended[7].run == 2);
    CHECK(ended[7].outcome == Outcome::done);
    CHECK(ended[7].result == "fine\n");
    std::ofstream(go.path()) << "go\n";
    REQUIRE(loop.run_until([&] { return reports == 2; }));
    CHECK(ended[7].run == 1);
    CHECK(ended[7].outcome == Outcome::handed_back);
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "one that ignores SIGTERM is killed after the grace") {
    Fifo ready;
    ExecOptions options =
        shell("trap '' TERM; echo >" + ready.path() + "; while :; do sleep 1000; done");
    options.kill_grace_ms = 1;
    make(std::move(options));
    runner->start(job(7));
    ready.line();
    runner->stop(7, 2, StopReason::timeout);
    CHECK(wait(7).error == "timed out after 5m, killed with SIGKILL");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "what a program writes to stderr is its log, if its handler says so") {
    ExecOptions options = shell("echo one >&2; echo result; echo two >&2");
    options.log_stderr = true;
    make(std::move(options));
    StartRun start = job(7);
    start.jobs[0].run = 5;
    runner->start(std::move(start));
    CHECK(wait(7).outcome == Outcome::done);
    CHECK(ended[7].result == "result\n");
    REQUIRE(logs.size() == 1);
    CHECK(logs[0].text == "one\ntwo\n");
    CHECK((logs[0].id == 7 && logs[0].attempt == 2 && logs[0].run == 5));
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "of much on stderr the last lines are the log, and its end is the error as ever") {
    ExecOptions options = shell("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1");
    options.log_stderr = true;
    make(std::move(options));
    const RunEnded end = run();
    CHECK(end.error.size() <= HF_ERROR_TEXT_MAX);
    CHECK(end.error.starts_with("exit code 1: ..."));
    CHECK(end.error.ends_with("line 2999"));
    REQUIRE(logs.size() == 1);
    const std::string& log = logs[0].text;
    CHECK(log.size() <= HF_JOB_LOG_MAX);
    CHECK(log.size() > HF_JOB_LOG_MAX - 20);
    CHECK(log.starts_with("... lines before are gone\nline "));
    CHECK(log.ends_with("line 2998\nline 2999\n"));
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "no log without a word on stderr, nor where nobody asked for one") {
    ExecOptions options = shell("echo result");
    options.log_stderr = true;
    make(std::move(options));
    CHECK(run().outcome == Outcome::done);
    shut_down();
    ended.clear();
    make("echo noise >&2");
    CHECK(run().outcome == Outcome::done);
    CHECK(logs.empty());
    shut_down();
  }

  TEST_CASE("a log begins with a whole line, and one line alone with its end") {
    ProcessEnd end = exited(0, "iddle\nlast\n");
    CHECK(exec_log(end) == "iddle\nlast\n");
    end.error_tail_cut = true;
    CHECK(exec_log(end) == "... lines before are gone\nlast\n");
    end.error_tail = std::string(5000, 'a') + "z\n";
    CHECK(exec_log(end) == "..." + std::string(HF_LOG_LINE_MAX - 4, 'a') + "z");
    end.error_tail = "\xa9";
    CHECK(exec_log(end) == "...");
    end.error_tail = "";
    CHECK(exec_log(end) == "...");
  }

  TEST_CASE("the end by the SIGTERM of the soft timeout is told; no other end has to do with it") {
    ProcessEnd end = signalled(SIGTERM);
    CHECK(exec_outcome(end, 100, {}, {}, 30000).error == "timed out softly after 30s");
    CHECK(exec_outcome(end, 100, {}, {}, 30000).outcome == Outcome::retry);
    CHECK(exec_outcome(end, 100).error == "killed by signal 15 (SIGTERM)");
    end.error_tail = "file 4\n";
    CHECK(exec_outcome(end, 100, {}, {}, 30000).error == "timed out softly after 30s: file 4");
    CHECK(exec_outcome(signalled(SIGKILL), 100, {}, {}, 30000).error == "killed by signal 9 (SIGKILL)");
    CHECK(exec_outcome(exited(65), 100, {}, {}, 30000).outcome == Outcome::dead);
  }

  TEST_CASE_FIXTURE(Fixture, "at its soft timeout a program gets SIGTERM, and how it ends counts") {
    Fifo ready;
    ExecOptions options = shell("trap 'echo half; exit 0' TERM; echo >" + ready.path() + "; while :; do sleep 1000 & wait; done");
    options.soft_timeout_ms = 30000;
    make(std::move(options));
    runner->start(job(7));
    ready.line();
    runner->stop(7, 2, StopReason::soft_timeout);
    CHECK(wait(7).outcome == Outcome::done);
    CHECK(ended[7].result == "half\n");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "who knows nothing of the soft timeout ends by it") {
    Fifo ready;
    ExecOptions options = shell("echo >" + ready.path() + "; exec sleep 1000");
    options.soft_timeout_ms = 30000;
    make(std::move(options));
    runner->start(job(7));
    ready.line();
    runner->stop(7, 2, StopReason::soft_timeout);
    CHECK(wait(7).outcome == Outcome::retry);
    CHECK(ended[7].error == "timed out softly after 30s");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "who goes on after it is not killed for it, but at the timeout") {
    Fifo ready, go;
    ExecOptions options = shell("trap 'echo heard >" + ready.path() + "' TERM; echo >" + ready.path() + "; while :; do read x <" + go.path() + "; done");
    options.soft_timeout_ms = 30000;
    options.kill_grace_ms = 1;
    make(std::move(options));
    runner->start(job(7));
    ready.line();
    runner->stop(7, 2, StopReason::soft_timeout);
    CHECK(ready.line() == "heard");
    CHECK(reports == 0);
    runner->stop(7, 2, StopReason::timeout);
    CHECK(wait(7).error == "timed out after 5m, killed with SIGKILL");
    shut_down();
  }

  TEST_CASE_FIXTURE(Fixture, "shutdown ends what runs, reports it, then says that it is closed") {
    Fifo ready;
    make("echo >" + ready.path() + "; sleep 1000");
    runner->start(job(1));
    runner->start(job(2));
    ready.line();
    ready.line();
    shut_down();
    CHECK(reports == 2);
    CHECK(ended[1].outcome == Outcome::handed_back);
    CHECK(ended[2].outcome == Outcome::handed_back);
    CHECK(no_children());
  }
}
