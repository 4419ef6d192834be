// Kills a program under load at random moments (--allocations: one allocation of the library fails in each life), starts it again on the same file, and looks at the end whether
// anything was lost: killer VICTIM [--kills N] [--seconds N] [--seed N] [--keep] [--allocations]
//
// When to kill is drawn from the seed: after so many acknowledgements, and then so many looks at the clock more;
// none at all now and then, so that opening and recovery are hit. Exit status 0 if all that ledger.h asks for holds.
#include <fcntl.h>
#include <holdfast.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/crash/integrity.h"
#include "tests/crash/ledger.h"

namespace fs = std::filesystem;
using hf::crash::integrity_of;
using hf::crash::Ledger;

namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "killer: %s\n", why.c_str());
  std::exit(1);
}

// The program, under the emulator where there is one; its stdout is ours to read.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command) {
    std::vector<std::string> all;
    const char* emulator = std::getenv("HOLDFAST_EMULATOR");
    std::istringstream words(emulator != nullptr ? emulator : "");
    for (std::string word; words >> word;) all.push_back(word);
    all.insert(all.end(), command.begin(), command.end());
    std::vector<char*> argv;
    for (std::string& word : all) argv.push_back(word.data());
    argv.push_back(nullptr);
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) != 0) give_up("no pipe");
    pid_ = fork();
    if (pid_ < 0) give_up("no process");
    if (pid_ == 0) {
      dup2(pipe[1], STDOUT_FILENO);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(pipe[1]);
    out_ = pipe[0];
  }
  ~Child() {
    if (out_ >= 0) close(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Hands each line to `line` until that says stop (false) or there are no more.
  template <class F>
  void lines(F line) {
    while (true) {
      for (size_t end; (end = buffer_.find('\n')) != std::string::npos;) {
        std::string text = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        if (!line(text)) return;
      }
      char bytes[4096];
      ssize_t n = read(out_, bytes, sizeof bytes);
      if (n <= 0) return;
      buffer_.append(bytes, static_cast<size_t>(n));
    }
  }
  void kill_now() const { ::kill(pid_, SIGKILL); }
  int wait() const {
    int status = 0;
    waitpid(pid_, &status, 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::string buffer_;
};

struct Settings {
  std::string victim;
  int kills = 20;
  long seconds = 0;  // 0: no limit
  unsigned seed = 1;
  bool keep = false, allocations = false;
};

Settings settings_of(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    auto number = [&] { return i + 1 < argc ? std::strtol(argv[++i], nullptr, 10) : 0; };
    if (arg == "--kills") s.kills = static_cast<int>(number());
    else if (arg == "--seconds") s.seconds = number();
    else if (arg == "--seed") s.seed = static_cast<unsigned>(number());
    else if (arg == "--keep") s.keep = true;
    else if (arg == "--allocations") s.allocations = true;
    else s.victim = arg;
  }
  if (s.victim.empty()) give_up("usage: killer VICTIM [--kills N] [--seconds N] [--seed N] [--keep] [--allocations]");
  return s;
}

// As the kill left it, log included; a copy, so that the recovery under test is the victim's own.
void check_copy(const std::string& path) {
  std::string copy = path + ".copy";
  fs::copy_file(path, copy, fs::copy_options::overwrite_existing);
  fs::remove(copy + "-wal");
  if (fs::exists(path + "-wal")) fs::copy_file(path + "-wal", copy + "-wal");
  std::string found = integrity_of(copy);
  if (found != "ok") give_up("after a kill: " + found);
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(copy + end);
}

hf_engine* open_file(const std::string& path) {
  hf_engine* engine = nullptr;
  hf_options options = HF_OPTIONS_INIT;
  options.device = "victim";
  // As the victim has it: with the defaults, opening the file would delete what is over 100,000 finished jobs.
  options.keep_completed_count = 100000000;
  options.crash_loop = -1;
  options.keep_dead_count = 100000000;
  if (hf_open(path.c_str(), &options, &engine) != HF_OK) give_up(std::string("the file at the end: ") + hf_errmsg(nullptr));
  return engine;
}

// Jobs that ran at three kills in a row are taken out of the way, rightly: none of them is to blame, but the engine
// cannot know. Retries them, and says so in the journal. True if there were any.
bool retry_quarantined(const std::string& path, const std::string& journal) {
  hf_engine* engine = open_file(path);
  hf_list_query query = HF_LIST_QUERY_INIT;
  query.limit = 1000;
  query.state = HF_STATE_DEAD;
  std::vector<std::pair<hf_job_id, int>> jobs;  // and their attempts
  do {
    int code = hf_list(engine, &query, [](const hf_job_info* info, void* user) {
      if (std::string(info->error).rfind("quarantined:", 0) != 0) return 0;
      static_cast<std::vector<std::pair<hf_job_id, int>>*>(user)->emplace_back(info->id, info->attempts);
      return 0;
    }, &jobs, &query.after);
    if (code != HF_OK) give_up(std::string("hf_list: ") + hf_errmsg(engine));
  } while (query.after != 0);
  std::ofstream lines(journal, std::ios::app);
  for (auto [id, attempts] : jobs) {
    if (hf_retry(engine, id) != HF_OK) give_up(std::string("hf_retry: ") + hf_errmsg(engine));
    lines << "retry " << id << " " << attempts << "\n";
  }
  if (hf_close(engine) != HF_OK) give_up("hf_close");
  return !jobs.empty();
}

void check_file(const std::string& path, Ledger& ledger) {
  hf_engine* engine = open_file(path);
  hf_list_query query = HF_LIST_QUERY_INIT;
  query.limit = 1000;
  do {
    std::vector<hf_job_id> ids;
    int code = hf_list(engine, &query, [](const hf_job_info* info, void* user) {
      static_cast<std::vector<hf_job_id>*>(user)->push_back(info->id);
      return 0;
    }, &ids, &query.after);
    if (code != HF_OK) give_up(std::string("hf_list: ") + hf_errmsg(engine));
    for (hf_job_id id : ids) {
      hf_job_info info = HF_JOB_INFO_INIT;
      if (hf_get(engine, id, &info) != HF_OK) give_up("a job that is listed is not there");
      std::string payload(static_cast<const char*>(info.payload), info.payload_len);
      std::string result(static_cast<const char*>(info.result), info.result_len);
      ledger.found(id, info.state, payload.substr(0, payload.find(' ')), result == payload);
      hf_job_info_free(&info);
    }
  } while (query.after != 0);
  if (hf_close(engine) != HF_OK) give_up("hf_close");
  if (std::string found = integrity_of(path); found != "ok") give_up("at the end: " + found);
  if (fs::exists(path + ".bad-1") || fs::exists(path + ".bad-1-wal") || fs::exists(path + ".cut-wal")) give_up("what a kill left was taken for damage");
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings = settings_of(argc, argv);
  char folder[] = "/tmp/hf-crash-XXXXXX";
  if (mkdtemp(folder) == nullptr) give_up("no temporary folder");
  std::string path = std::string(folder) + "/queue.db", journal = std::string(folder) + "/journal";
  std::mt19937 random(settings.seed);
  Ledger ledger;
  time_t until = settings.seconds > 0 ? time(nullptr) + settings.seconds : 0;
  int kills = 0, ended = 0;
  for (; kills < settings.kills && (until == 0 || time(nullptr) < until); ++kills) {
    // Half of them while it opens and starts; some thousand more are made in the time that it has.
    if (settings.allocations) setenv("VICTIM_ALLOCATION", std::to_string(random() % (random() % 2 == 0 ? 1500 : 40000)).c_str(), 1);
    Child child({settings.victim, path, journal, "load", std::to_string(settings.seed * 100000 + static_cast<unsigned>(kills))});
    int acknowledgements = random() % 8 == 0 ? 0 : static_cast<int>(random() % 300);
    // Up to a millisecond behind an acknowledgement; some ten while it opens.
    unsigned looks = random() % (acknowledgements == 0 ? 500000 : 30000);
    auto take = [&](const std::string& line) {
      ledger.acknowledged(line);
      return --acknowledgements > 0;
    };
    if (acknowledgements > 0) child.lines(take);
    timespec ignored;
    for (; looks > 0; --looks) clock_gettime(CLOCK_MONOTONIC, &ignored);
    child.kill_now();
    int status = child.wait();
    const bool by_itself = settings.allocations && ((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) || (WIFEXITED(status) && WEXITSTATUS(status) == 3));
    if (by_itself) ++ended;
    else if (!WIFSIGNALED(status) || (settings.allocations && WTERMSIG(status) != SIGKILL)) give_up("the victim ended by itself, seed " + std::to_string(settings.seed) + ", kill " + std::to_string(kills));
    child.lines([&](const std::string& line) { return ledger.acknowledged(line), true; });
    if (kills % 10 == 9 && fs::exists(path)) check_copy(path);
  }
  unsetenv("VICTIM_ALLOCATION");
  do {
    Child drain({settings.victim, path, journal, "drain", "0"});
    if (int status = drain.wait(); status != 0) give_up("draining: status " + std::to_string(status));
  } while (retry_quarantined(path, journal));
  ledger.read_journal(journal);
  check_file(path, ledger);
  ledger.judge();
  for (const std::string& text : ledger.violations()) std::fprintf(stderr, "VIOLATION: %s\n", text.c_str());
  bool ok = ledger.violations().empty();
  if (settings.allocations) std::printf("an allocation failed in each life: %d of %d ended by it, the others went on; ", ended, kills);
  std::printf("%d kills, seed %u: %s. %s\n", kills, settings.seed, ledger.figures().c_str(), ok ? "Nothing lost." : "FAILED");
  if (ok && !settings.keep) fs::remove_all(folder);
  else std::printf("the files are in %s\n", folder);
  return ok ? 0 : 1;
}
