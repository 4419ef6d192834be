#include "handlers/process.h"

#include <signal.h>
#include <sys/resource.h>

#include "tests/handlers/child_fixture.h"
#include "tests/platform/net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

ProcessSpec shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script};
  spec.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spec.output_max = 1 << 20;
  return spec;
}

struct Fixture {
  TestLoop loop;
  int ends = 0;
  ProcessEnd end;

  Process* start(ProcessSpec spec, ExitWatch::How how = ExitWatch::How::pidfd) {
    return Process::start(
        loop.uv(), std::move(spec),
        [this](ProcessEnd e) {
          ++ends;
          end = std::move(e);
        },
        how);
  }
  const ProcessEnd& wait() {
    REQUIRE(loop.run_until([this] { return ends == 1; }));
    return end;
  }
  const ProcessEnd& run(ProcessSpec spec, ExitWatch::How how = ExitWatch::How::pidfd) {
    start(std::move(spec), how);
    return wait();
  }
};

std::string error_of(const ProcessEnd& end) {
  return end.not_started ? end.not_started->message : "";
}

}  // namespace

TEST_SUITE("process") {
  TEST_CASE_FIXTURE(Fixture, "stdout and the exit code come back") {
    run(shell("echo out; echo err >&2; exit 7"));
    CHECK(end.exit_code == 7);
    CHECK(end.signal == 0);
    CHECK(end.output == "out\n");
    CHECK(end.error_tail == "err\n");
    CHECK_FALSE(end.not_started.has_value());
    CHECK(no_children());
  }

  TEST_CASE_FIXTURE(Fixture, "the input is read whole, bytes and all") {
    std::string bytes(300'000, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
    ProcessSpec spec = shell("exec cat");
    spec.input = bytes;
    run(std::move(spec));
    CHECK(end.output == bytes);
  }

  TEST_CASE_FIXTURE(Fixture, "the input can be opened again by name") {
    ProcessSpec spec = shell("cat /dev/stdin /dev/stdin");
    spec.input = "twice ";
    run(std::move(spec));
    CHECK(end.output == "twice twice ");
  }

  TEST_CASE_FIXTURE(Fixture, "without input stdin is at its end") {
    run(shell("cat; echo end"));
    CHECK(end.output == "end\n");
  }

  TEST_CASE_FIXTURE(Fixture, "a child that does not read its input is no error") {
    ProcessSpec spec = shell("exit 0");
    spec.input.assign(256 * 1024, 'x');
    run(std::move(spec));
    CHECK(end.exit_code == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a signal that ends it is told") {
    run(shell("kill -SEGV $$"));
    CHECK(end.signal == SIGSEGV);
    CHECK(end.exit_code == -1);
    CHECK_FALSE(end.killed);
  }

  TEST_CASE_FIXTURE(Fixture, "64 MiB of output cost no memory, and the rest is dropped") {
    rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    ProcessSpec spec =
        shell("head -c 67108864 /dev/zero; head -c 67108864 /dev/zero >&2; echo last >&2");
    spec.output_max = 1000;
    run(std::move(spec));
    getrusage(RUSAGE_SELF, &after);
    CHECK(end.exit_code == 0);
    CHECK(end.output.size() == 1000);
    CHECK(end.output_over);
    CHECK(end.error_tail.size() == 2048);
    CHECK(end.error_tail.ends_with("last\n"));
    CHECK(end.error_tail_cut);
    CHECK(after.ru_maxrss - before.ru_maxrss < 16 * 1024);
  }

  TEST_CASE_FIXTURE(Fixture, "output of exactly the limit is not over it") {
    ProcessSpec spec = shell("printf 12345");
    spec.output_max = 5;
    run(std::move(spec));
    CHECK(end.output == "12345");
    CHECK_FALSE(end.output_over);
  }

  TEST_CASE_FIXTURE(Fixture, "a program is looked up in the PATH it gets") {
    ProcessSpec spec;
    spec.argv = {"printf", "%s", "found"};
    spec.env = {"PATH=relative:/nowhere:/usr/bin"};
    spec.output_max = 100;
    run(std::move(spec));
    CHECK(end.output == "found");
  }

  TEST_CASE_FIXTURE(Fixture, "what cannot be run says so, with its name") {
    ProcessSpec spec;
    SUBCASE("no such file") {
      spec.argv = {"/nowhere/program"};
      CHECK(error_of(run(spec)) == "cannot run \"/nowhere/program\": no such file or directory");
    }
    SUBCASE("not in PATH") {
      spec.argv = {"hf-no-such-program"};
      spec.env = {"PATH=/usr/bin"};
      CHECK(error_of(run(spec)) == "cannot run \"hf-no-such-program\": not found in PATH");
    }
    SUBCASE("not executable") {
      spec.argv = {"/etc/passwd"};
      CHECK(error_of(run(spec)) == "cannot run \"/etc/passwd\": permission denied");
    }
    SUBCASE("no such folder") {
      spec = shell("true");
      spec.cwd = "/nowhere";
      CHECK(error_of(run(spec)) == "cannot enter \"/nowhere\": no such file or directory");
    }
    CHECK(end.not_started->code == HF_E_NOT_FOUND);
    CHECK(no_children());
  }

  TEST_CASE_FIXTURE(Fixture, "no descriptors left: HF_E_FULL, and nothing stays behind") {
    const int before = open_descriptors();
    rlimit limit, low;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t room = 0; room < 8; ++room) {
      low = limit;
      low.rlim_cur = static_cast<rlim_t>(before) + room;
      setrlimit(RLIMIT_NOFILE, &low);
      ends = 0;
      start(shell("true"));
      setrlimit(RLIMIT_NOFILE, &limit);
      wait();
      if (end.not_started) CHECK(end.not_started->code == HF_E_FULL);
    }
    CHECK(open_descriptors() == before);
    CHECK(no_children());
  }

  TEST_CASE_FIXTURE(Fixture, "it has its folder and its environment, and nothing else") {
    ProcessSpec spec;
    spec.argv = {"sh", "-c",
                 "pwd; tr '\\0' '\\n' </proc/$$/environ; exit 0"};  // as the kernel was given it
    spec.cwd = "/usr";
    spec.env = {"PATH=/usr/bin", "A=1 2"};
    spec.output_max = 1000;
    run(std::move(spec));
    CHECK(end.output == "/usr\nPATH=/usr/bin\nA=1 2\n");
  }

  TEST_CASE_FIXTURE(Fixture, "it inherits no descriptor") {
    const int leaky = open("/dev/null", O_RDONLY);
    run(shell("exec ls -1 /proc/self/fd"));
    close(leaky);
    CHECK(end.output == "0\n1\n2\n3\n");  // 3 is the folder that ls reads
  }

  TEST_CASE_FIXTURE(Fixture, "it leads a session of its own") {
    run(
        shell("read -r pid name state ppid group session rest < /proc/self/stat; echo $pid $group "
              "$session"));
    const std::string& out = end.output;
    const std::string pid = out.substr(0, out.find(' '));
    CHECK(out == pid + " " + pid + " " + pid + "\n");
  }

  TEST_CASE_FIXTURE(Fixture, "it starts with no signal blocked or ignored") {
    sigset_t some, before;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &some, &before);
    const auto handler = signal(SIGPIPE, SIG_IGN);
    start(shell("exec grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    signal(SIGPIPE, handler);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    wait();
    // 32 and 33 are the C library's own: posix_spawn leaves them ignored in what it starts (make starts
    // ctest so), and an emulator cannot undo it.
    constexpr unsigned long long kLibrarySignals = 0x180000000;
    const auto signals = [this](const std::string& name) {
      const size_t at = end.output.find(name);
      REQUIRE(at != std::string::npos);
      return std::stoull(end.output.substr(at + name.size()), nullptr, 16) & ~kLibrarySignals;
    };
    CHECK(signals("SigBlk:") == 0);
    CHECK(signals("SigIgn:") == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "SIGTERM ends one that obeys it, long before the grace is over") {
    Fifo ready;
    Process* process = start(shell("trap 'echo bye; exit 0' TERM; echo >" + ready.path() +
                                   "; while :; do sleep 1000 & wait; done"));
    ready.line();
    process->terminate(3'600'000);
    wait();
    CHECK(end.exit_code == 0);
    CHECK(end.output == "bye\n");
    CHECK_FALSE(end.killed);
  }

  TEST_CASE_FIXTURE(Fixture, "a group that ignores SIGTERM is killed, all of it") {
    Fifo ready;
    Process* process =
        start(shell("trap '' TERM; sleep 1000 & echo $! >" + ready.path() + "; wait"));
    const pid_t grandchild = std::stoi(ready.line());
    process->terminate(1);
    process->terminate(3'600'000);  // too late to change the mind
    wait();
    CHECK(end.signal == SIGKILL);
    CHECK(end.killed);
    CHECK(gone(grandchild));
    CHECK(no_children());
  }

  TEST_CASE_FIXTURE(Fixture, "a stopped one ends too") {
    Fifo ready;
    Process* process = start(shell("echo >" + ready.path() + "; kill -STOP $$; sleep 1000"));
    ready.line();
    process->terminate(3'600'000);
    CHECK(wait().signal == SIGTERM);
  }

  TEST_CASE_FIXTURE(Fixture, "what it leaves running in its group is killed when it ends") {
    Fifo ready;
    start(shell("sleep 1000 & echo $! >" + ready.path() + "; echo result"));
    const pid_t grandchild = std::stoi(ready.line());
    wait();
    CHECK(end.exit_code == 0);
    CHECK(end.output == "result\n");
    CHECK(gone(grandchild));
  }

  TEST_CASE_FIXTURE(Fixture, "a grandchild in a session of its own does not keep the run open") {
    Fifo ready;
    std::string work = "sleep 1000";
    SUBCASE("one that only holds the pipe") {}
    SUBCASE("one that never stops writing") {
      work = "sh -c \"while :; do echo more; done\"";
    }
    // It says its pid itself, from its new session.
    start(shell("setsid sh -c 'echo $$ >" + ready.path() + "; exec " + work + "' & read -r go <" +
                ready.path() + "; echo $go >" + ready.path() + "; echo result; exit 3"));
    wait();
    const pid_t grandchild = std::stoi(ready.line());
    CHECK(end.exit_code == 3);
    CHECK(end.output.find("result\n") != std::string::npos);
    kill(grandchild, SIGKILL);
    CHECK(gone(grandchild));
  }

  TEST_CASE_FIXTURE(Fixture, "without pidfd a thread waits, to the same end") {
    run(shell("echo out; exit 9"), ExitWatch::How::thread);
    CHECK(end.exit_code == 9);
    CHECK(end.output == "out\n");
    CHECK(no_children());
  }

  TEST_CASE_FIXTURE(Fixture, "in a host that ignores SIGCHLD the end is seen, but not how it was") {
    const auto handler = signal(SIGCHLD, SIG_IGN);
    SUBCASE("pidfd") {
      run(shell("exit 3"));
    }
    SUBCASE("thread") {
      run(shell("exit 3"), ExitWatch::How::thread);
    }
    signal(SIGCHLD, handler);
    CHECK(end.unknown);
  }

  TEST_CASE_FIXTURE(Fixture, "200 runs leave no descriptor and no zombie") {
    run(shell("true"));
    const int before = open_descriptors();
    for (int i = 0; i < 200; ++i) {
      ends = 0;
      start(shell("exit 0"), i % 10 == 0 ? ExitWatch::How::thread : ExitWatch::How::pidfd);
      wait();
      CHECK(end.exit_code == 0);
    }
    CHECK(open_descriptors() == before);
    CHECK(no_children());
  }

  TEST_CASE("a child dies with the process that started it") {
    Fifo ready;
    const pid_t host = fork();
    if (host == 0) {
      uv_loop_t loop;
      uv_loop_init(&loop);
      Process::start(&loop, shell("echo $$ >" + ready.path() + "; exec sleep 1000"),
                     [](ProcessEnd) {});
      uv_run(&loop, UV_RUN_DEFAULT);
      _exit(1);
    }
    const pid_t child = std::stoi(ready.line());
    kill(host, SIGKILL);
    CHECK(waitpid(host, nullptr, 0) == host);
    CHECK(gone(child));
  }
}
