// What a limit does to a program, shown by one. What the configuration says of them: limits_fields_test.cpp.
#include "handlers/process_limits.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <fstream>
#include <sstream>

#include "core/names.h"
#include "handlers/process.h"
#include "handlers/spawn.h"
#include "tests/handlers/child_fixture.h"
#include "tests/platform/net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr uid_t kNobodyElses = 61234;  // has no processes but those of these tests

ProcessSpec shell(const std::string& script, ProcessLimits limits = {}) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script};
  spec.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spec.output_max = 1 << 20;
  spec.limits = std::move(limits);
  return spec;
}

struct Fixture {
  TestLoop loop;
  int ends = 0;
  ProcessEnd end;

  Process* start(ProcessSpec spec) {
    return Process::start(loop.uv(), std::move(spec), [this](ProcessEnd e) {
      ++ends;
      end = std::move(e);
    });
  }
  const ProcessEnd& run(ProcessSpec spec) {
    ends = 0;
    start(std::move(spec));
    REQUIRE(loop.run_until([this] { return ends == 1; }));
    CAPTURE(end.error_tail);
    return end;
  }
  std::string output(const std::string& script, ProcessLimits limits = {}) {
    run(shell(script, std::move(limits)));
    CHECK_MESSAGE(!end.not_started, (end.not_started ? end.not_started->message : ""));
    return end.output;
  }
  // "" if it was started.
  std::string refusal(ProcessSpec spec) {
    run(std::move(spec));
    return end.not_started ? end.not_started->message : "";
  }
};

bool root() {
  if (geteuid() == 0) return true;
  MESSAGE("skipped: only root may");
  return false;
}
// An emulator leaves its own address space as it is.
bool emulated() {
  const char* emulator = getenv("HOLDFAST_EMULATOR");
  return emulator != nullptr && *emulator != '\0';
}

ProcessLimits as_user(uid_t uid, std::vector<gid_t> groups = {}) {
  ProcessLimits limits;
  limits.run_as = RunAs{uid, uid, std::move(groups), "", "/"};
  return limits;
}
ProcessLimits as_nobody() {
  ProcessLimits limits;
  limits.run_as = *find_user("nobody", {});
  return limits;
}

// What spawn() says in a process that may do nothing particular and has a hard limit.
std::string said_without_rights(const ProcessLimits& limits, int resource, rlim_t hard) {
  int said[2];
  REQUIRE(pipe(said) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit low{hard, hard};
    if (setrlimit(resource, &low) != 0) _exit(1);
    if (geteuid() == 0 && (setgid(kNobodyElses) != 0 || setuid(kNobodyElses) != 0)) _exit(1);
    const int null = open("/dev/null", O_RDWR);
    const auto pid = spawn({{"/bin/true"}, {}, "", null, null, null, limits});
    const std::string text = pid ? "started" : pid.error().message;
    _exit(write(said[1], text.data(), text.size()) < 0);
  }
  close(said[1]);
  std::string text(1000, '\0');
  const ssize_t size = read(said[0], text.data(), text.size());
  close(said[0]);
  CHECK(waitpid(child, nullptr, 0) == child);
  return text.substr(0, static_cast<size_t>(std::max<ssize_t>(size, 0)));
}

// A folder below the mounted cgroup2 that goes with the test; "": there is none that we may write to.
struct RealCgroup {
  RealCgroup() {
    std::ifstream mounts("/proc/self/mounts");
    for (std::string device, folder, type, rest; mounts >> device >> folder >> type && std::getline(mounts, rest);) {
      const std::string made = folder + "/hf-test-" + std::to_string(getpid());
      if (type == "cgroup2" && mkdir(made.c_str(), 0755) == 0) {
        path = made;
        return;
      }
    }
  }
  ~RealCgroup() {
    if (!path.empty()) rmdir(path.c_str());
  }
  std::string path;
};

std::string content(const std::string& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

TEST_SUITE("process limits") {
  TEST_CASE("what is not set is not touched") {
    CHECK(resource_limits({}).empty());
    CHECK(limit_behind({}, SIGXCPU) == "");
    CHECK(limit_behind({}, SIGXFSZ) == "");
  }

  TEST_CASE("memory is set last, and CPU time has its grace") {
    ProcessLimits limits;
    limits.memory = 64 << 20;
    limits.cpu_time_ms = 10'000;
    limits.files = 32;
    const auto all = resource_limits(limits);
    REQUIRE(all.size() == 3);
    CHECK(all[0].resource == RLIMIT_CPU);
    CHECK(all[0].value.soft == 10);
    CHECK(all[0].value.hard == 12);
    CHECK(all[1].resource == RLIMIT_NOFILE);
    CHECK(all[2].resource == RLIMIT_AS);
    CHECK(all[2].value.soft == 64 << 20);
    CHECK(all[2].value.hard == 64 << 20);
    CHECK(limit_text(limits, RLIMIT_AS) == "memory limit of 64MiB");
    CHECK(limit_text(limits, RLIMIT_NOFILE) == "files limit of 32");
    CHECK(limit_behind(limits, SIGXCPU) == "its cpu_time limit of 10s was used up");
    CHECK(limit_behind(limits, SIGXFSZ) == "");
    CHECK(limit_behind(limits, SIGKILL) == "");
    limits.file_size = 1000;
    CHECK(limit_behind(limits, SIGXFSZ) == "a file would have gone beyond its file_size limit of 1kB");
  }

  TEST_CASE_FIXTURE(Fixture, "the program has them, and the daemon has not") {
    rlimit before, after;
    getrlimit(RLIMIT_NOFILE, &before);
    ProcessLimits limits;
    limits.cpu_time_ms = 7'000;
    limits.files = 33;
    limits.file_size = 1 << 20;
    limits.processes = 4000;
    limits.core = 0;
    if (!emulated()) limits.memory = 512 << 20;
    const std::string all = output("cat /proc/self/limits", limits);
    const auto line = [&](const std::string& name) {
      std::istringstream words(all.substr(std::min(all.size(), all.find(name) + name.size())));
      std::string soft, hard;
      words >> soft >> hard;
      return soft + " " + hard;
    };
    CHECK(line("Max cpu time") == "7 9");
    CHECK(line("Max open files") == "33 33");
    CHECK(line("Max file size") == "1048576 1048576");
    CHECK(line("Max processes") == "4000 4000");
    CHECK(line("Max core file size") == "0 0");
    if (!emulated()) CHECK(line("Max address space") == "536870912 536870912");
    getrlimit(RLIMIT_NOFILE, &after);
    CHECK(before.rlim_cur == after.rlim_cur);
    CHECK(before.rlim_max == after.rlim_max);
  }

  TEST_CASE_FIXTURE(Fixture, "memory: what goes beyond is refused") {
    if (emulated()) return;
    const std::string script = "dd if=/dev/zero of=/dev/null bs=64M count=1";
    ProcessLimits limits;
    limits.memory = 256 << 20;
    CHECK(run(shell(script, limits)).exit_code == 0);
    limits.memory = 48 << 20;
    CHECK(run(shell(script, limits)).exit_code == 1);
    CHECK(end.error_tail.find("memory exhausted") != std::string::npos);
    limits.memory = kMemoryLimitMin;  // nothing that is linked dynamically fits: it begins, and fails
    run(shell("true", limits));
    CHECK_FALSE(end.not_started);
    CHECK(end.exit_code != 0);
  }

  TEST_CASE_FIXTURE(Fixture, "CPU time: SIGXCPU, and SIGKILL for one that ignores it") {
    ProcessLimits limits;
    limits.cpu_time_ms = kCpuLimitMinMs;
    CHECK(run(shell("while :; do :; done", limits)).signal == SIGXCPU);
    CHECK(run(shell("trap 'echo beyond' XCPU; while :; do :; done", limits)).signal == SIGKILL);
    CHECK(end.output.starts_with("beyond\n"));
  }

  TEST_CASE_FIXTURE(Fixture, "files: with four a program can be loaded, and no fifth is open") {
    ProcessLimits limits;
    limits.files = kFilesLimitMin;
    CHECK(output("cat /dev/null; exec 3</dev/null; echo fine", limits) == "fine\n");
    CHECK(output("exec 3</dev/null 4</dev/null; echo fine", limits) == "");
    CHECK(end.exit_code > 0);
  }

  TEST_CASE_FIXTURE(Fixture, "the size of a file: SIGXFSZ at the first byte too many") {
    const TempFolder folder;
    ProcessLimits limits;
    limits.file_size = 1000;
    const std::string file = folder / "file";
    CHECK(run(shell("exec head -c 1000 /dev/zero >" + file, limits)).exit_code == 0);
    CHECK(run(shell("exec head -c 1001 /dev/zero >" + file, limits)).signal == SIGXFSZ);
    CHECK(content(file).size() == 1000);
    limits.file_size = 0;
    CHECK(run(shell("exec head -c 1 /dev/zero >" + file, limits)).signal == SIGXFSZ);
    CHECK(output("echo out is no file", limits) == "out is no file\n");
  }

  TEST_CASE_FIXTURE(Fixture, "processes: those of the user") {
    if (!root()) return;
    ProcessLimits limits = as_user(kNobodyElses);
    limits.processes = 1;
    CHECK(output("echo alone; (echo two)", limits) == "alone\n");
    CHECK(end.error_tail.find("fork") != std::string::npos);
    limits.processes = 2;
    CHECK(output("echo alone; (echo two)", limits) == "alone\ntwo\n");
    limits = {};
    limits.processes = 1;  // root has no such limit
    CHECK(output("echo alone; (echo two)", limits) == "alone\ntwo\n");
  }

  TEST_CASE_FIXTURE(Fixture, "processes: more than that already, and it is a matter of room") {
    if (!root()) return;
    std::vector<Process*> others;
    for (int i = 0; i < 2; ++i) others.push_back(start(shell("exec sleep 1000", as_user(kNobodyElses + 1))));
    ProcessLimits limits = as_user(kNobodyElses + 1);
    limits.processes = 1;
    start(shell("true", limits));
    REQUIRE(loop.run_until([this] { return ends == 1; }));
    REQUIRE(end.not_started);
    CHECK(end.not_started->code == HF_E_FULL);
    CHECK(end.not_started->message == "cannot run \"/bin/sh\": resource temporarily unavailable");
    for (Process* other : others) other->terminate(1000);
    REQUIRE(loop.run_until([this] { return ends == 3; }));
  }

  TEST_CASE_FIXTURE(Fixture, "nice, io_class and oom_score_adj") {
    const int nice_before = getpriority(PRIO_PROCESS, 0);
    const std::string oom_before = content("/proc/self/oom_score_adj");
    ProcessLimits limits;
    limits.nice = kNiceMax;
    limits.io_class = IoClass::idle;
    limits.oom_score_adj = kOomScoreMax;
    const std::string script = "nice; ionice -p $$; cat /proc/self/oom_score_adj";
    CHECK(output(script, limits) == "19\nidle\n1000\n");
    if (root()) {
      limits.nice = kNiceMin;
      limits.io_class = IoClass::best_effort;
      // In some containers root may raise it alone.
      limits.oom_score_adj = prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1 ? -kOomScoreMax : 1;
      const std::string said = "-20\nbest-effort: prio 4\n" + std::to_string(*limits.oom_score_adj) + "\n";
      CHECK(output(script, limits) == said);
      // ... which its own user could not ask for any more.
      limits.run_as = as_nobody().run_as;
      CHECK(output("id -un; " + script, limits) == "nobody\n" + said);
    }
    CHECK(getpriority(PRIO_PROCESS, 0) == nice_before);
    CHECK(content("/proc/self/oom_score_adj") == oom_before);
  }

  TEST_CASE_FIXTURE(Fixture, "a user and its groups, for good") {
    if (!root()) return;
    const std::string ids = "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status | tr '\\t' ' ' | sed 's/ *$//'";
    CHECK(output(ids, as_user(kNobodyElses, {7, 70'000})) ==
          "Uid: 61234 61234 61234 61234\nGid: 61234 61234 61234 61234\nGroups: 7 70000\nCapEff: 0000000000000000\n");
    gid_t before[64];
    const int count = getgroups(64, before);
    const gid_t ours = 7;
    REQUIRE(setgroups(1, &ours) == 0);
    CHECK(output(ids, as_user(kNobodyElses)) ==
          "Uid: 61234 61234 61234 61234\nGid: 61234 61234 61234 61234\nGroups:\nCapEff: 0000000000000000\n");
    ProcessLimits stay = as_user(kNobodyElses);
    stay.run_as->groups.reset();
    CHECK(output("id -G", stay) == "61234 7\n");
    REQUIRE(setgroups(static_cast<size_t>(count), before) == 0);
    const passwd* nobody = getpwnam("nobody");
    REQUIRE(nobody != nullptr);
    CHECK(output("id -u; id -g", as_nobody()) == std::to_string(nobody->pw_uid) + "\n" + std::to_string(nobody->pw_gid) + "\n");
    // A group alone.
    ProcessLimits limits;
    limits.run_as = RunAs{geteuid(), 12345, {}, "", ""};
    CHECK(output("id -u; id -g", limits) == "0\n12345\n");
    CHECK(geteuid() == 0);
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "its own standard descriptors are its user's, by name, too") {
    if (!root()) return;
    ProcessSpec spec = shell("cat /dev/stdin >/dev/stdout; echo err >/dev/stderr", as_nobody());
    spec.input = "input";
    run(std::move(spec));
    CHECK(end.exit_code == 0);
    CHECK(end.output == "input");
    CHECK(end.error_tail == "err\n");
  }

  TEST_CASE_FIXTURE(Fixture, "cwd and the program have to be open to the user") {
    if (!root()) return;
    const TempFolder folder;  // 0700
    ProcessSpec spec = shell("pwd", as_nobody());
    spec.cwd = folder.path();
    CHECK(refusal(spec) == "cannot enter \"" + folder.path() + "\": permission denied");
    REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
    CHECK(refusal(spec) == "");
    CHECK(end.output == folder.path() + "\n");
    const std::string program = folder / "program";
    std::ofstream(program) << "#!/bin/sh\n";
    REQUIRE(chmod(program.c_str(), 0700) == 0);
    spec.argv = {program};
    CHECK(refusal(spec) == "cannot run \"" + program + "\": permission denied");
    CHECK(no_children());
  }

  TEST_CASE("one that has another user dies with the process that started it, too") {
    if (!root()) return;
    Fifo ready;
    REQUIRE(chmod(ready.path().substr(0, ready.path().rfind('/')).c_str(), 0755) == 0);
    REQUIRE(chmod(ready.path().c_str(), 0666) == 0);
    const pid_t host = fork();
    if (host == 0) {
      uv_loop_t loop;
      uv_loop_init(&loop);
      Process::start(&loop, shell("echo $$ >" + ready.path() + "; exec sleep 1000", as_nobody()), [](ProcessEnd) {});
      uv_run(&loop, UV_RUN_DEFAULT);
      _exit(1);
    }
    const pid_t child = std::stoi(ready.line());
    kill(host, SIGKILL);
    CHECK(waitpid(host, nullptr, 0) == host);
    CHECK(gone(child));
  }

  TEST_CASE_FIXTURE(Fixture, "a limit above the hard one names itself") {
    struct {
      std::optional<int64_t> ProcessLimits::*limit;
      int resource;
      int64_t low, high;
      const char* text;
    } const table[] = {
        {&ProcessLimits::cpu_time_ms, RLIMIT_CPU, 3600, 3'600'000, "cpu_time limit of 1h"},  // its grace is above
        {&ProcessLimits::files, RLIMIT_NOFILE, 100, 101, "files limit of 101"},
        {&ProcessLimits::file_size, RLIMIT_FSIZE, 1 << 20, 1 << 21, "file_size limit of 2MiB"},
        {&ProcessLimits::processes, RLIMIT_NPROC, 1000, 1001, "processes limit of 1001"},
        {&ProcessLimits::core, RLIMIT_CORE, 0, 1, "core limit of 1B"},
        {&ProcessLimits::memory, RLIMIT_AS, kBytesLimitMax - 4096, kBytesLimitMax, "memory limit of 64TiB"},
    };
    for (const auto& row : table) {
      if (row.resource == RLIMIT_AS && (emulated() || sizeof(rlim_t) < 8 || sizeof(long) < 8)) continue;
      ProcessLimits limits;
      limits.*row.limit = row.high;
      CHECK(said_without_rights(limits, row.resource, static_cast<rlim_t>(row.low)) ==
            "cannot set the " + std::string(row.text) + " for \"/bin/true\": operation not permitted (it is more than the daemon itself may have, or more than the kernel gives anybody)");
      limits.*row.limit = row.low - (row.resource == RLIMIT_CPU ? 2 : 0);
      if (row.resource == RLIMIT_CPU) *(limits.*row.limit) *= 1000;
      CHECK(said_without_rights(limits, row.resource, static_cast<rlim_t>(row.low)) == "started");
    }
  }

  TEST_CASE("what only root may, and what it is that another may not") {
    const auto said = [](const ProcessLimits& limits) { return said_without_rights(limits, RLIMIT_CORE, 0); };
    ProcessLimits limits;
    limits.nice = -1;
    CHECK(said(limits) == "cannot set the nice value of -1 for \"/bin/true\": permission denied");
    limits = {};
    limits.oom_score_adj = -1000;
    CHECK(said(limits) == "cannot set the oom_score_adj of -1000 for \"/bin/true\": permission denied");
    limits = as_user(0);
    CHECK(said(limits) == "cannot take the groups of user 0 for \"/bin/true\": operation not permitted");
    limits.run_as->groups.reset();
    CHECK(said(limits) == "cannot take group 0 for \"/bin/true\": operation not permitted");
    if (geteuid() != 0) return;
    limits.run_as->gid = kNobodyElses;
    CHECK(said(limits) == "cannot become user 0 for \"/bin/true\": operation not permitted");
    limits.run_as->uid = kNobodyElses;  // what it is already
    CHECK(said(limits) == "started");
  }

  TEST_CASE_FIXTURE(Fixture, "a cgroup is entered before the user is changed, and by no descriptor that stays") {
    const TempFolder folder;
    std::ofstream(folder / "cgroup.procs").close();
    ProcessLimits limits;
    if (geteuid() == 0) limits = as_nobody();
    limits.cgroup = folder.path();
    limits.file_size = 0;
    CHECK(output("exec ls -1 /proc/self/fd", limits) == "0\n1\n2\n3\n");
    CHECK(content(folder / "cgroup.procs") == "0");
  }

  TEST_CASE_FIXTURE(Fixture, "a cgroup that is gone, and one that takes nobody") {
    const int before = open_descriptors();
    const TempFolder folder;
    ProcessLimits limits;
    limits.cgroup = folder.path();
    CHECK(refusal(shell("true", limits)) == "cannot enter the cgroup \"" + folder.path() + "\" for \"/bin/sh\": no such file or directory");
    REQUIRE(symlink("/dev/full", (folder / "cgroup.procs").c_str()) == 0);
    CHECK(refusal(shell("true", limits)) == "cannot enter the cgroup \"" + folder.path() + "\" for \"/bin/sh\": no space left on device");
    CHECK(end.not_started->code == HF_E_NOT_FOUND);
    CHECK(open_descriptors() == before);
    CHECK(no_children());
  }

  TEST_CASE_FIXTURE(Fixture, "a cgroup of the kernel's own") {
    const RealCgroup cgroup;
    if (cgroup.path.empty()) {
      MESSAGE("skipped: no cgroup2 that may be written to");
      return;
    }
    ProcessLimits limits;
    if (geteuid() == 0) limits = as_nobody();
    limits.cgroup = cgroup.path;
    const std::string groups = output("cat /proc/self/cgroup", limits);
    const std::string name = cgroup.path.substr(cgroup.path.rfind('/'));
    CHECK(groups.find(name + "\n") != std::string::npos);
    CHECK(content("/proc/self/cgroup").find(name) == std::string::npos);
  }
}
