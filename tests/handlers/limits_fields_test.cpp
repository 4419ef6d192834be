#include "handlers/limits_fields.h"

#include <doctest/doctest.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "handlers/config.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

std::string document(const std::string& members) { return "{\"handlers\": {\n\"x\": {\"exec\": [\"/bin/sh\"],\n" + members + "}}}"; }
std::string failure_of(const std::string& text, ConfigOf of = ConfigOf::this_device) {
  const auto config = parse_config(text, "h.json", of);
  return config ? "" : config.error().message;
}
// What is said of the key, without its place.
std::string failure_at(const std::string& path, const std::string& members) {
  const std::string said = failure_of(document(members)), place = "h.json:3: handlers.x." + path + ": ";
  if (said.empty()) return "";
  CHECK_MESSAGE(said.starts_with(place), said);
  return said.substr(std::min(said.size(), place.size()));
}
std::string failure(const std::string& key, const std::string& value) { return failure_at(key, "\"" + key + "\": " + value); }
std::string limit_failure(const std::string& key, const std::string& value) {
  return failure_at("limits." + key, "\"limits\": {\"" + key + "\": " + value + "}");
}

Config parsed(const std::string& members) {
  const auto config = parse_config(document(members), "h.json");
  CAPTURE(config ? std::string() : config.error().message);
  REQUIRE(config);
  return *config;
}
ProcessLimits limits(const std::string& members) { return parsed(members).handlers[0].limits; }

}  // namespace

TEST_SUITE("limits fields") {
  TEST_CASE("all of them") {
    const ProcessLimits all = limits(R"("limits": {"memory": "64MiB", "cpu_time": "10s", "files": 64, "file_size": "1MB", "processes": 8, "core": "0B"},
      "nice": -5, "io_class": "idle", "oom_score_adj": 300)");
    CHECK(all.memory == 64 << 20);
    CHECK(all.cpu_time_ms == 10'000);
    CHECK(all.files == 64);
    CHECK(all.file_size == 1'000'000);
    CHECK(all.processes == 8);
    CHECK(all.core == 0);
    CHECK(all.nice == -5);
    CHECK(all.io_class == IoClass::idle);
    CHECK(all.oom_score_adj == 300);
    CHECK_FALSE(all.run_as);
    CHECK(limits("\"limits\": {}") == ProcessLimits());
    CHECK(limits("\"io_class\": \"best_effort\"").io_class == IoClass::best_effort);
    CHECK(limits("\"nice\": 1") != limits("\"nice\": 2"));
    HandlerConfig other = parsed("\"nice\": 1").handlers[0];
    other.limits.nice = 2;
    CHECK(other != parsed("\"nice\": 1").handlers[0]);  // which makes a new runner
  }

  TEST_CASE("the edges of each") {
    for (const char* good : {"\"1MiB\"", "\"64TiB\""}) CHECK(limit_failure("memory", good) == "");
    CHECK(limit_failure("memory", "\"1048575B\"") == "\"1048575B\" is out of range: allowed are 1MiB to 64TiB");
    CHECK(limit_failure("memory", "\"65537GiB\"") == "\"65537GiB\" is out of range: allowed are 1MiB to 64TiB");
    for (const char* good : {"\"1s\"", "\"366d\"", "\"2000ms\""}) CHECK(limit_failure("cpu_time", good) == "");
    CHECK(limit_failure("cpu_time", "\"999ms\"") == "999ms is out of range: allowed are 1s to 366d");
    CHECK(limit_failure("cpu_time", "\"367d\"") == "367d is out of range: allowed are 1s to 366d");
    CHECK(limit_failure("cpu_time", "\"1500ms\"") == "\"1500ms\" is not a whole number of seconds, in which the kernel counts CPU time");
    for (const char* good : {"4", "1048576"}) CHECK(limit_failure("files", good) == "");
    CHECK(limit_failure("files", "3") == "found 3, expected a whole number from 4 to 1048576");
    CHECK(limit_failure("files", "1048577") == "found 1048577, expected a whole number from 4 to 1048576");
    for (const char* key : {"file_size", "core"}) {
      for (const char* good : {"\"0B\"", "\"64TiB\""}) CHECK(limit_failure(key, good) == "");
      CHECK(limit_failure(key, "\"65537GiB\"") == "\"65537GiB\" is out of range: allowed are 0B to 64TiB");
    }
    for (const char* good : {"1", "4194304"}) CHECK(limit_failure("processes", good) == "");
    CHECK(limit_failure("processes", "0") == "found 0, expected a whole number from 1 to 4194304");
    CHECK(limit_failure("processes", "4194305") == "found 4194305, expected a whole number from 1 to 4194304");
    for (const char* good : {"-20", "0", "19"}) CHECK(failure("nice", good) == "");
    CHECK(failure("nice", "-21") == "found -21, expected a whole number from -20 to 19");
    CHECK(failure("nice", "20") == "found 20, expected a whole number from -20 to 19");
    for (const char* good : {"-1000", "0", "1000"}) CHECK(failure("oom_score_adj", good) == "");
    CHECK(failure("oom_score_adj", "-1001") == "found -1001, expected a whole number from -1000 to 1000");
    CHECK(failure("oom_score_adj", "1001") == "found 1001, expected a whole number from -1000 to 1000");
  }

  TEST_CASE("values of another kind") {
    CHECK(failure("limits", "7") == "found 7, expected an object");
    CHECK(limit_failure("memry", "\"1MiB\"") ==
          "unknown key; did you mean \"memory\"? (known here: memory, cpu_time, files, file_size, processes and core)");
    CHECK(limit_failure("memory", "67108864") == "found 67108864, expected a size in quotes, such as \"64KiB\"");
    CHECK(limit_failure("memory", "\"64 MB\"").starts_with("\"64 MB\" is not a size"));
    CHECK(limit_failure("cpu_time", "10") == "found 10, expected a duration in quotes, such as \"30s\"");
    CHECK(limit_failure("files", "\"64\"") == "found \"64\", expected a whole number from 4 to 1048576");
    CHECK(limit_failure("core", "0") == "found 0, expected a size in quotes, such as \"64KiB\"");
    CHECK(failure("nice", "1.5") == "found 1.5, expected a whole number from -20 to 19");
    CHECK(failure("io_class", "\"real_time\"") == "found \"real_time\", expected \"idle\" or \"best_effort\"");
    CHECK(failure("user", "0") == "found 0, expected a string");
    CHECK(failure("user", "\"\"") == "the string is empty");
    CHECK(failure("group", "\"" + std::string(257, 'g') + "\"") == "the string has 257 bytes: at most 256 are allowed");
  }

  TEST_CASE("they are for programs") {
    for (const char* member : {"\"limits\": {}", "\"nice\": 1", "\"io_class\": \"idle\"", "\"oom_score_adj\": 1", "\"user\": \"root\"", "\"group\": \"root\"",
                               "\"cgroup\": \"/sys/fs/cgroup\""}) {
      const std::string key = std::string(member).substr(0, std::string(member).find(':'));
      CHECK(failure_of("{\"handlers\": {\"x\": {\"http\": {\"url\": \"https://a.example/\"}, " + std::string(member) + "}}}") ==
            "h.json:1: handlers.x: " + key + " is for \"exec\" only");
    }
  }

  TEST_CASE("a user that there is not, and one of another device") {
    CHECK(failure("user", "\"no-such-user\"") == "there is no user 'no-such-user'");
    CHECK(failure("group", "\"no-such-group\"") == "there is no group 'no-such-group'");
    CHECK(failure("user", "\"61234\"") == "nothing is known of user 61234: \"group\" has to say its group");
    for (const char* none : {"\"4294967295\"", "\"4294967296\"", "\"-1\"", "\"+5\"", "\"0x1\"", "\"1 \""}) {  // the first is "unchanged" to the kernel
      CAPTURE(none);
      const std::string name(none + 1, std::string(none).size() - 2);
      CHECK(failure("user", none) == "there is no user '" + name + "'");
      CHECK(failure("group", none) == "there is no group '" + name + "'");
    }
    CHECK(failure_of(document("\"user\": \"no-such-user\", \"group\": \"no-such-group\", \"cgroup\": \"/no/such/cgroup\""), ConfigOf::another) == "");
    CHECK(failure_of(document("\"cgroup\": \"such/cgroup\""), ConfigOf::another) ==
          "h.json:3: handlers.x.cgroup: the full path of the cgroup's folder is meant, with a / in front");
  }

  TEST_CASE("users and groups, by name and by number") {
    if (geteuid() != 0) {
      MESSAGE("skipped: only root may");
      return;
    }
    const passwd* entry = getpwnam("nobody");
    REQUIRE(entry != nullptr);
    const passwd nobody = *entry;
    const RunAs user = *limits("\"user\": \"nobody\"").run_as;
    CHECK(user.uid == nobody.pw_uid);
    CHECK(user.gid == nobody.pw_gid);
    CHECK(user.name == "nobody");
    CHECK(user.home == nobody.pw_dir);
    REQUIRE(user.groups);
    CHECK(std::count(user.groups->begin(), user.groups->end(), nobody.pw_gid) == 1);
    CHECK(*limits("\"user\": \"" + std::to_string(nobody.pw_uid) + "\"").run_as == user);
    const RunAs both = *limits("\"user\": \"nobody\", \"group\": \"60001\"").run_as;
    CHECK(both.uid == nobody.pw_uid);
    CHECK(both.gid == 60001);
    CHECK(std::count(both.groups->begin(), both.groups->end(), nobody.pw_gid) == 0);
    const RunAs group = *limits("\"group\": \"root\"").run_as;
    CHECK(group == RunAs{0, 0, {}, "", ""});
    const RunAs number = *limits("\"user\": \"61234\", \"group\": \"4294967294\"").run_as;
    CHECK(number == RunAs{61234, 4294967294, std::vector<gid_t>(), "", "/"});
  }

  TEST_CASE("a user's supplementary groups are those that name it") {
    const passwd* entry = nullptr;
    gid_t extra = 0;
    // Whoever is a member of one on this machine.
    setgrent();
    for (const group* one = getgrent(); one != nullptr && entry == nullptr; one = getgrent()) {
      if (one->gr_mem[0] == nullptr) continue;
      extra = one->gr_gid;
      entry = getpwnam(one->gr_mem[0]);
    }
    endgrent();
    if (entry == nullptr) {
      MESSAGE("skipped: no user here is in a further group");
      return;
    }
    const auto user = find_user(entry->pw_name, {});
    REQUIRE(user);
    CHECK(std::count(user->groups->begin(), user->groups->end(), extra) == 1);
  }

  TEST_CASE("who is not root may name himself alone") {
    int said[2];
    REQUIRE(pipe(said) == 0);
    const pid_t child = fork();
    if (child == 0) {
      if (geteuid() == 0 && (setgid(61234) != 0 || setuid(61234) != 0)) _exit(1);
      const std::string me = std::to_string(geteuid()), my_group = std::to_string(getegid());
      std::string text;
      for (const char* members : {"\"user\": \"root\"", "\"group\": \"60001\""}) text += failure_of(document(members)) + "\n";
      text += failure_of(document("\"user\": \"" + me + "\", \"group\": \"60001\"")) + "\n";
      text += failure_of(document("\"user\": \"" + me + "\", \"group\": \"" + my_group + "\"")) + "\n";
      text += me + " " + my_group;
      _exit(write(said[1], text.data(), text.size()) < 0);
    }
    close(said[1]);
    std::string text(4000, '\0');
    text.resize(static_cast<size_t>(std::max<ssize_t>(read(said[0], text.data(), text.size()), 0)));
    close(said[0]);
    CHECK(waitpid(child, nullptr, 0) == child);
    const std::string me = text.substr(text.rfind('\n') + 1, text.rfind(' ') - text.rfind('\n') - 1), my_group = text.substr(text.rfind(' ') + 1);
    const std::string group = "only root may run programs in another group: this is group " + my_group + "\n";
    CHECK(text == "h.json:3: handlers.x.user: only root may run programs as another user: this is user " + me + "\nh.json:3: handlers.x.group: " + group +
                      "h.json:3: handlers.x.group: " + group + "\n" + me + " " + my_group);
  }

  TEST_CASE("root is told that a limit of processes is none for it") {
    const auto warned = [](const std::string& members) { return parsed("\"limits\": {\"processes\": 8}" + members).warnings; };
    if (geteuid() != 0) return;
    const std::vector<std::string> told = {"h.json:3: handlers.x.limits.processes: root has as many processes as it likes: \"user\" has to be another one"};
    CHECK(warned("") == told);
    CHECK(warned(", \"user\": \"root\"") == told);
    CHECK(warned(", \"user\": \"nobody\"").empty());
  }

  TEST_CASE("a cgroup is a folder with a cgroup.procs") {
    const TempFolder folder;
    const std::string none = "there is no file cgroup.procs in \"" + folder.path() + "\": the folder of a cgroup (version 2) is meant";
    CHECK(failure("cgroup", "\"" + folder.path() + "\"") == none);
    REQUIRE(mkdir((folder / "cgroup.procs").c_str(), 0700) == 0);
    CHECK(failure("cgroup", "\"" + folder.path() + "\"") == none);
    REQUIRE(rmdir((folder / "cgroup.procs").c_str()) == 0);
    std::ofstream(folder / "cgroup.procs").close();
    CHECK(limits("\"cgroup\": \"" + folder.path() + "\"").cgroup == folder.path());
    CHECK(failure("cgroup", "\"sys/fs/cgroup\"") == "the full path of the cgroup's folder is meant, with a / in front");
  }
}
