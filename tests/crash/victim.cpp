// A program under load that is killed at any moment: victim FILE JOURNAL load|drain SEED
//
// load: four threads enqueue for ever; each job that was acknowledged is a line on stdout, "ack ID TOKEN", written
// after the call returned. drain: nothing is enqueued; exit 0 once nothing is pending or running.
// The journal has a line for what each handler saw, each by one write() to a file opened with O_APPEND:
//
//   boot                        this process began
//   start ID ATTEMPT TOKEN      a run begins
//   end ID ATTEMPT ok|retry|defer|dead
//
// $VICTIM_ALLOCATION=N: the N-th allocation of the library fails. What says HF_E_NO_MEMORY then was not taken, and it goes
// on; exit 3 if it could not be opened or started.
//
// A token is the first word of a job's payload; the result of a run is the payload. Its first letter says how the
// job behaves (kinds below).
#include <fcntl.h>
#include <holdfast.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ends.h"
#include "../faults/fault.h"

namespace {

// o: done. r: fails twice. d: deferred at times. a: finished later, by the run of another job.
// c: enqueues a job (k<id>) with its success. p: bad for good.
constexpr char kKinds[] = "oooorrdaacp";
constexpr size_t kHeldMax = 6;  // jobs of kind `a` that run and wait

int journal = -1;
bool draining = false;

void check(int code, const char* what, hf_engine* engine) {
  if (code == HF_OK) return;
  if (code == HF_E_NO_MEMORY) _exit(3);
  std::fprintf(stderr, "victim: %s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  _exit(1);
}

void put_line(int fd, const std::string& line) {
  std::string text = line + "\n";
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(0);  // the killer is gone
}

Ends ends;

std::string ids_of(hf_job* job) { return std::to_string(hf_job_get_id(job)) + " " + std::to_string(hf_job_attempt(job)); }
void journal_end(hf_job* job, const char* how) { put_line(journal, "end " + ids_of(job) + " " + how); }

class Held {  // runs of kind `a`
 public:
  // Keeps this one; ends the oldest when there are too many.
  void keep(hf_job* job) {
    hf_job* oldest = nullptr;
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(job);
      if (jobs_.size() > kHeldMax || draining) {
        oldest = jobs_.front();
        jobs_.pop_front();
      }
    }
    if (oldest == nullptr) return;
    journal_end(oldest, "ok");
    (void)hf_job_finish(oldest, HF_OK);
    ends.add();
  }

 private:
  std::mutex mutex_;
  std::deque<hf_job*> jobs_;
} held;

int run(hf_job* job, void*) {
  fault::Spare mine(true);
  size_t size = 0;
  const void* payload = hf_job_payload(job, &size);
  std::string token(static_cast<const char*>(payload), size);
  token = token.substr(0, token.find(' '));
  put_line(journal, "start " + ids_of(job) + " " + token);
  (void)hf_job_result(job, payload, size);
  hf_job_id id = hf_job_get_id(job);
  int outcome = 0;
  switch (token[0]) {
    case 'a':
      held.keep(job);
      return HF_ASYNC;
    case 'r':
      if (hf_job_attempt(job) <= 2) outcome = HF_RETRY;
      break;
    case 'd': {
      static std::atomic<unsigned> turns{0};
      if (turns.fetch_add(1) % 2 == 0) outcome = HF_DEFER;
      (void)hf_job_retry_after(job, id % 20);
      break;
    }
    case 'c': {
      std::string child = "k" + std::to_string(id);
      hf_job_spec spec = HF_JOB_SPEC_INIT;
      spec.type = "work";
      spec.payload = child.data();
      spec.payload_len = child.size();
      spec.max_attempts = HF_ATTEMPTS_MAX;
      if (hf_job_enqueue(job, &spec, nullptr) != HF_OK) outcome = HF_RETRY;
      break;
    }
    case 'p': outcome = HF_DEAD; break;
    default: break;
  }
  journal_end(job, outcome == HF_OK ? "ok" : outcome == HF_RETRY ? "retry" : outcome == HF_DEFER ? "defer" : "dead");
  ends.add();
  return outcome;
}

void enqueue_for_ever(hf_engine* engine, unsigned seed, int thread) {
  fault::Spare mine(true);
  std::mt19937 random(seed * 4 + static_cast<unsigned>(thread));
  for (int n = 0;; ++n) {
    size_t count = random() % 8 == 0 ? 1 + random() % 20 : 1;
    std::vector<std::string> tokens, payloads;
    for (size_t i = 0; i < count; ++i) {
      tokens.push_back(kKinds[random() % (sizeof kKinds - 1)] + std::to_string(seed) + "-" + std::to_string(thread) + "-" + std::to_string(n) + "-" + std::to_string(i));
      // Some are longer than their row keeps, so that they have a row of their own.
      payloads.push_back(tokens.back() + " " + std::string(random() % 16 == 0 ? random() % 5000 : random() % 100, 'x'));
    }
    std::vector<hf_job_spec> specs(count, hf_job_spec HF_JOB_SPEC_INIT);
    for (size_t i = 0; i < count; ++i) {
      hf_job_spec& s = specs[i];
      s.type = "work";
      s.payload = payloads[i].data();
      s.payload_len = payloads[i].size();
      s.tags = tokens[i].c_str();  // for people
      s.priority = static_cast<int>(random() % 3);
      s.delay_ms = random() % 4 == 0 ? static_cast<int64_t>(random() % 50) : 0;
      s.max_attempts = HF_ATTEMPTS_MAX;
      s.backoff.base_ms = 1 + static_cast<int64_t>(random() % 20);
      s.concurrency_key = random() % 8 == 0 ? "one at a time" : nullptr;
      s.durability = random() % 8 == 0 ? HF_DURABLE_GROUPED : HF_DURABLE_SYNC;  // a kill takes neither
    }
    std::vector<hf_job_id> ids(count);
    const int code = fault::library([&] { return hf_enqueue_many(engine, specs.data(), count, ids.data()); });
    if (code == HF_E_NO_MEMORY) continue;
    check(code, "hf_enqueue_many", engine);
    for (size_t i = 0; i < count; ++i) put_line(STDOUT_FILENO, "ack " + std::to_string(ids[i]) + " " + tokens[i]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  journal = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) return 2;
  put_line(journal, "boot");
  draining = std::strcmp(argv[3], "drain") == 0;
  unsigned seed = static_cast<unsigned>(std::strtoul(argv[4], nullptr, 10));
  if (const char* n = std::getenv("VICTIM_ALLOCATION")) {
    std::set_terminate(std::abort);  // without words: it is expected
    fault::left = std::strtoll(n, nullptr, 10);
  }
  hf_engine* engine = nullptr;
  hf_options options = HF_OPTIONS_INIT;
  options.device = "victim";
  options.keep_completed_count = 100000000;
  options.keep_dead_count = 100000000;
  options.crash_loop = -1;  // it is killed often
  options.max_jobs = 100000000;
  options.max_bytes = int64_t{8} << 30;
  check(hf_open(argv[1], &options, &engine), "hf_open", nullptr);
  hf_handler_options limits = HF_HANDLER_OPTIONS_INIT;
  limits.timeout_ms = -1;
  check(hf_register(engine, "work", run, nullptr, &limits), "hf_register", engine);
  check(hf_start(engine), "hf_start", engine);
  if (!draining) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(enqueue_for_ever, engine, seed, i);
    for (std::thread& t : threads) t.join();
  }
  while (true) {
    int seen = ends.count();
    hf_stats_info stats = HF_STATS_INFO_INIT;
    check(hf_stats(engine, &stats), "hf_stats", engine);
    if (stats.pending + stats.running == 0) break;
    if (stats.running == 0) ends.wait_beyond(seen);  // all that is left is due later
  }
  check(hf_close(engine), "hf_close", nullptr);
  return 0;
}
