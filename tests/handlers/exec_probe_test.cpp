// A program as a probe: its exit code, its last line, and what becomes of one that hangs.
#include "handlers/exec_probe.h"

#include <filesystem>

#include "tests/handlers/child_fixture.h"
#include "tests/platform/probe_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kNotReachedMs = 60'000;

struct Fixture : ProbeFixture<ExecProbe> {
  void make(std::vector<std::string> argv, int64_t timeout_ms = kNotReachedMs) {
    probe = std::make_unique<ExecProbe>(loop.uv(), std::move(argv), std::vector<std::string>{"PATH=/usr/bin:/bin", "WHERE=gw-0042"}, timeout_ms);
  }
  void make_shell(const std::string& script, int64_t timeout_ms = kNotReachedMs) { make({"/bin/sh", "-c", script}, timeout_ms); }
  std::string asked() {
    ProbeFixture::asked();
    return text();
  }
  std::string text() const { return (answers.back().open ? "open: " : "closed: ") + answers.back().why; }
  std::string said_by(const std::string& script) {
    if (probe) shut();
    make_shell(script);
    return asked();
  }
};

}  // namespace

TEST_SUITE("exec probe") {
  TEST_CASE_FIXTURE(Fixture, "exit code 0 is open; its last line says why") {
    CHECK(said_by("exit 0") == "open: ");
    CHECK(said_by("exit 3") == "closed: exit code 3");
    CHECK(said_by("kill -9 $$") == "closed: killed by signal 9");
    CHECK(said_by("echo one; echo \"  two  \"; echo") == "open: two");
    CHECK(said_by("echo one; exit 1") == "closed: one");
    CHECK(said_by("echo one; echo two >&2; exit 1") == "closed: two");
    CHECK(said_by("printf 'progress 1\\rprogress 2'; exit 1") == "closed: progress 2");
    CHECK(said_by("echo at $WHERE") == "open: at gw-0042");
    CHECK(said_by("read x || echo no input") == "open: no input");
  }

  TEST_CASE_FIXTURE(Fixture, "much of it: the end of stderr, the start of stdout") {
    CHECK(said_by("i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1") == "closed: line 4999");
    said_by("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done");
    CHECK(answers.back().open);
    CHECK(answers.back().why.size() <= 4096);
  }

  TEST_CASE_FIXTURE(Fixture, "what cannot be started is closed, and says so; later it may be there") {
    const TempFolder folder;
    make({folder / "none"});
    const std::string said = asked();
    CHECK(said.starts_with("closed: "));
    CHECK(said.find("/none") != std::string::npos);
    std::filesystem::create_symlink("/bin/true", folder / "none");
    CHECK(asked() == "open: ");
  }

  TEST_CASE_FIXTURE(Fixture, "one that hangs is late, and is killed with its group, whatever it does with signals") {
    Fifo fifo;
    make_shell("trap '' TERM; (trap '' TERM; echo $$ > " + fifo.path() + "; exec /bin/sleep 1000) & wait; sleep 1000", 300);
    ask();
    const pid_t pid = static_cast<pid_t>(std::stol(fifo.line()));  // the loop does not run yet: it has begun before it is late
    REQUIRE(loop.run_until([&] { return !answers.empty(); }));
    CHECK(text() == "closed: no answer within 300ms");
    REQUIRE(loop.run_until([] { return no_children(); }));
    CHECK(gone(pid));
    CHECK(answers.size() == 1);  // its end counts for nothing
  }

  TEST_CASE_FIXTURE(Fixture, "while one that was late is there still no other is started") {
    make_shell("trap '' TERM; while :; do sleep 1000; done", 50);
    probe->ask([this](ProbeAnswer late) {
      answers.push_back(std::move(late));
      ask();  // it has not ended yet: it could be one that hangs in the kernel
    });
    REQUIRE(loop.run_until([&] { return !answers.empty(); }));
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].why == "no answer within 50ms");
    CHECK(text().starts_with("closed: its last look has not ended for "));
    REQUIRE(loop.run_until([] { return no_children(); }));
  }

  TEST_CASE_FIXTURE(Fixture, "a shutdown kills it, and who waits for it is told") {
    Fifo fifo;
    make_shell("echo $$ > " + fifo.path() + "; exec /bin/sleep 1000");
    ask();
    const pid_t pid = static_cast<pid_t>(std::stol(fifo.line()));
    shut();
    CHECK(gone(pid));
    REQUIRE(answers.size() == 1);
    CHECK(text() == "closed: replaced");
  }

  TEST_CASE_FIXTURE(Fixture, "a shutdown of what was never asked") {
    make_shell("exit 0");
    shut();
  }

  TEST_CASE("how it ended is unknown") {
    ProcessEnd end;
    end.unknown = true;
    const ProbeAnswer said = exec_answer(end);
    CHECK_FALSE(said.open);
    CHECK(said.why == "how it ended is unknown: this process ignores SIGCHLD, or waits for all children");
  }
}
