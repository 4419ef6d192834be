// A job whose handler kills its process, beside twenty that do not: the program is started again each time, the job
// is quarantined by the third death, the others finish, and the program goes on.
#include <holdfast.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "ends.h"

namespace {

constexpr int kInnocent = 20;
constexpr int kDeaths = 3;

void require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "culprit: %s\n", what.c_str());
  _exit(1);
}

Ends ends;  // of runs

int run(hf_job* job, void*) {
  size_t size = 0;
  const void* payload = hf_job_payload(job, &size);
  if (std::string(static_cast<const char*>(payload), size) == "culprit") {
    // Deep in its run: the others of the process are running too, and the claims are in the file.
    kill(getpid(), SIGKILL);
  }
  ends.add();
  return HF_OK;
}

hf_engine* open_engine(const std::string& path) {
  hf_engine* engine = nullptr;
  hf_options options = HF_OPTIONS_INIT;
  options.device = "culprit";
  require(hf_open(path.c_str(), &options, &engine) == HF_OK, hf_errmsg(nullptr));
  return engine;
}

void enqueue(hf_engine* engine, const std::string& payload, hf_job_id* id) {
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "work";
  spec.payload = payload.data();
  spec.payload_len = payload.size();
  spec.max_attempts = 50;
  require(hf_enqueue(engine, &spec, id) == HF_OK, hf_errmsg(engine));
}

// What the program does each time it is started: runs all there is to run.
void live(const std::string& path) {
  hf_engine* engine = open_engine(path);
  require(hf_register(engine, "work", run, nullptr, nullptr) == HF_OK, hf_errmsg(engine));
  require(hf_start(engine) == HF_OK, hf_errmsg(engine));
  while (true) {
    int seen = ends.count();
    hf_stats_info stats = HF_STATS_INFO_INIT;
    require(hf_stats(engine, &stats) == HF_OK, hf_errmsg(engine));
    if (stats.pending + stats.running == 0) break;
    if (stats.running == 0 && stats.pending > 0) ends.wait_beyond(seen);
  }
  require(hf_close(engine) == HF_OK, "hf_close");
}

// How often the process died before it came to its end.
int deaths_until_done(const std::string& path) {
  for (int deaths = 0;; ++deaths) {
    require(deaths < 2 * kDeaths, "the program does not come to its end");
    pid_t child = fork();
    require(child >= 0, "no process");
    if (child == 0) {
      live(path);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return deaths;
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the program failed by itself: status " + std::to_string(status));
  }
}

void check(const std::string& path, hf_job_id culprit) {
  hf_engine* engine = open_engine(path);
  hf_stats_info stats = HF_STATS_INFO_INIT;
  require(hf_stats(engine, &stats) == HF_OK, hf_errmsg(engine));
  require(stats.completed == kInnocent && stats.dead == 1, "completed " + std::to_string(stats.completed) + ", dead " + std::to_string(stats.dead));
  hf_job_info info = HF_JOB_INFO_INIT;
  require(hf_get(engine, culprit, &info) == HF_OK, hf_errmsg(engine));
  require(std::string(info.error).rfind("quarantined: the process ended 3 times in a row", 0) == 0, info.error);
  require(info.attempts == kDeaths, "attempts: " + std::to_string(info.attempts));
  hf_job_info_free(&info);
  require(hf_close(engine) == HF_OK, "hf_close");
}

}  // namespace

int main() {
  char folder[] = "/tmp/hf-culprit-XXXXXX";
  require(mkdtemp(folder) != nullptr, "no temporary folder");
  const std::string path = std::string(folder) + "/queue.db";
  hf_job_id culprit = 0;
  hf_engine* engine = open_engine(path);
  for (int i = 0; i < kInnocent; ++i) {
    if (i == kInnocent / 2) enqueue(engine, "culprit", &culprit);
    enqueue(engine, "innocent", nullptr);
  }
  require(hf_close(engine) == HF_OK, "hf_close");
  int deaths = deaths_until_done(path);
  require(deaths == kDeaths, "the process died " + std::to_string(deaths) + " times");
  check(path, culprit);
  std::filesystem::remove_all(folder);
  std::puts("quarantined by the third death; all others finished");
  return 0;
}
