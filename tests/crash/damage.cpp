// Damages queue files at random, opens each, and looks whether what was in it is there or is told to be lost:
// damage [--files N] [--seed N] [--only N] [--keep]
//
// A trial is a process of its own. It must open (but for another application's file, which stays as it is), name no job
// that never was, tell of every job that is missing, run what is left, take a new job under a number that was never used,
// and be quiet and sound when it is opened again. Exit status 0 if all of that holds for each file. What is damaged, and
// how, comes from the seed; how the log is divided does not, as threads write it: --keep keeps what failed, as it was.
#include <holdfast.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/crash/bad_sectors.h"
#include "tests/crash/damaged.h"
#include "tests/crash/integrity.h"

namespace fs = std::filesystem;
using hf::crash::BadSectors;
using hf::crash::Damage;
using hf::crash::Image;
using hf::crash::Random;

namespace {

constexpr unsigned kTrialSeconds = 120;  // the process is killed then: it hangs
constexpr int kReopeningsMax = 20;       // that one question may need

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "damage: %s\n", why.c_str());
  std::exit(1);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

struct Job {
  int state = 0;
  std::string type, queue, payload, result, error;
  bool operator==(const Job&) const = default;
};
using Jobs = std::map<hf_job_id, Job>;

class Queue {
 public:
  explicit Queue(std::string file) : path(std::move(file)) {}
  ~Queue() {
    if (engine != nullptr) hf_close(engine);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  int open(int page_size = 0, int64_t keep_completed_ms = 0) {
    hf_options o = HF_OPTIONS_INIT;
    o.device = "damage";
    o.workers = 1;
    o.crash_loop = -1;
    o.page_size = page_size;
    o.keep_completed_ms = keep_completed_ms;
    o.vfs = BadSectors::kName;
    o.log_user = this;
    o.log = [](int level, const char* line, void* user) {
      auto* self = static_cast<Queue*>(user);
      std::lock_guard lock(self->mutex_);
      if (level <= HF_LOG_WARN) self->loud_.push_back(line);
      // What the engine could not do while it was away it can now.
      if (std::strncmp(line, "engine_failed", 13) == 0) self->away_ = true;
      if (std::strncmp(line, "engine_reopened", 15) == 0) self->away_ = false;
      self->changed_.notify_all();
    };
    return hf_open(path.c_str(), &o, &engine);
  }
  int close() {
    const int code = hf_close(engine);
    engine = nullptr;
    return code;
  }
  bool told(const std::string& event) {
    std::lock_guard lock(mutex_);
    for (const std::string& line : loud_) {
      if (line.compare(0, event.size(), event) == 0) return true;
    }
    return false;
  }
  bool told_anything() {
    std::lock_guard lock(mutex_);
    return !loud_.empty();
  }
  std::string all_told() {
    std::lock_guard lock(mutex_);
    std::string text;
    for (const std::string& line : loud_) text += "    " + line + "\n";
    return text;
  }

  int add(hf_job_id& id, const char* type, const std::string& payload, const char* queue = nullptr, int64_t delay_ms = 0, const char* unique = nullptr) {
    hf_job_spec s = HF_JOB_SPEC_INIT;
    s.type = type;
    s.payload = payload.data();
    s.payload_len = payload.size();
    s.queue = queue;
    s.delay_ms = delay_ms;
    s.unique_key = unique;
    return hf_enqueue(engine, &s, &id);
  }
  // Damage that a turn meets is answered with an error, and healed at once: whoever asks again is served.
  template <class F>
  int patiently(F ask) {
    int code = HF_OK;
    for (int i = 0; i < kReopeningsMax; ++i) {
      code = ask();
      if (code != HF_E_CORRUPT && code != HF_E_IO) return code;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !away_; });
    }
    return code;
  }
  int all(Jobs& jobs, int state = -1) {
    return patiently([&] {
      jobs.clear();
      std::vector<hf_job_id> ids;
      hf_list_query query = HF_LIST_QUERY_INIT;
      query.limit = 1000;
      query.state = state;
      do {
        const int code = hf_list(engine, &query, [](const hf_job_info* info, void* user) {
          static_cast<std::vector<hf_job_id>*>(user)->push_back(info->id);
          return 0;
        }, &ids, &query.after);
        if (code != HF_OK) return code;
      } while (query.after != 0);
      for (hf_job_id id : ids) {
        hf_job_info info = HF_JOB_INFO_INIT;
        const int code = hf_get(engine, id, &info);
        if (code != HF_OK && code != HF_E_NOT_FOUND) return code;  // not found: pruned meanwhile
        if (code != HF_OK) continue;
        jobs[id] = {info.state, info.type, info.queue, {static_cast<const char*>(info.payload), info.payload_len}, {static_cast<const char*>(info.result), info.result_len}, info.error};
        hf_job_info_free(&info);
      }
      return static_cast<int>(HF_OK);
    });
  }
  std::string figures() {
    char* text = nullptr;
    if (patiently([&] { return hf_stats_json(engine, &text); }) != HF_OK) return "";
    const std::string json = text;
    hf_free(text);
    return json;
  }
  static int64_t figure(const std::string& json, const std::string& name) {
    const size_t at = json.find("\"" + name + "\":");
    if (at == std::string::npos) return -1;
    const char* value = json.c_str() + at + name.size() + 3;
    return std::strncmp(value, "true", 4) == 0 ? 1 : std::strtoll(value, nullptr, 10);
  }
  int64_t figure(const std::string& name) { return figure(figures(), name); }

  // Until all that can end has, but for `runs` that never do. A turn claims what is due after it has counted.
  void wait_idle(int64_t runs) {
    std::string before, now = figures();
    do {
      before = std::exchange(now, figures());
    } while (figure(before, "running") > runs || figure(now, "running") > runs || figure(now, "started_total") != figure(before, "started_total"));
  }

  const std::string path;
  hf_engine* engine = nullptr;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> loud_;
  bool away_ = false;
};

// ---- the files that are damaged ---------------------------------------------------------------------

int done(hf_job* job, void*) {
  size_t size = 0;
  const void* payload = hf_job_payload(job, &size);
  (void)hf_job_result(job, payload, size / 2);
  return HF_OK;
}
int bad(hf_job* job, void*) {
  (void)hf_job_error(job, "it never works");
  return HF_DEAD;
}
std::vector<hf_job*> endless;
int never_ends(hf_job* job, void*) {  // on the one worker
  endless.push_back(job);
  return HF_ASYNC;
}

struct Source {
  Image image, before;
  Jobs jobs;
  std::set<hf_job_id> removed;  // were there once
  bool killed = false;
};

struct Shape {
  int jobs, page_size;
  bool killed, holes;
};
constexpr Shape kShapes[] = {{12, 1024, true, false}, {300, 1024, false, false}, {300, 1024, true, false},
                             {900, 512, true, true},  {900, 1024, false, true},  {1500, 4096, true, false}};

Image image_of(const std::string& path) {
  Image image{read_file(path), "", fs::exists(path + "-wal")};
  if (image.has_log) image.log = read_file(path + "-wal");
  return image;
}

Source make(const std::string& path, const Shape& shape, unsigned seed) {
  Random random(seed);
  Source source;
  Queue queue(path);
  if (queue.open(shape.page_size, shape.holes ? -1 : 0) != HF_OK) give_up(std::string("hf_open: ") + hf_errmsg(nullptr));
  hf_engine* engine = queue.engine;
  hf_handler_options patient = HF_HANDLER_OPTIONS_INIT;
  patient.timeout_ms = -1;
  hf_register(engine, "done", done, nullptr, nullptr);
  hf_register(engine, "bad", bad, nullptr, nullptr);
  hf_register(engine, "runs", never_ends, nullptr, &patient);
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  schedule.name = "nightly";
  schedule.cron = "0 3 1 1 *";
  schedule.job.type = "wait";
  if (hf_schedule_put(engine, &schedule) != HF_OK || hf_pause(engine, "paused") != HF_OK) give_up(hf_errmsg(engine));
  int64_t runs = 0;  // that do not end
  for (int i = 0; i < shape.jobs; ++i) {
    if (i == shape.jobs / 2) source.before = image_of(path);
    static constexpr const char* kTypes[] = {"done", "wait", "wait", "bad", "done", "wait"};
    const char* type = i % 50 == 7 ? "runs" : kTypes[i % 6];
    if (type == std::string_view("runs") && i % 5 != 0 && i % 11 != 0) ++runs;
    const std::string payload = std::to_string(i) + " " + std::string(i % 10 == 0 ? random() % 6000 : random() % 200, static_cast<char>('a' + i % 26));
    const std::string unique = "key " + std::to_string(i);
    hf_job_id id = 0;
    if (queue.add(id, type, payload, i % 5 == 0 ? "paused" : i % 7 == 0 ? "other" : nullptr, i % 11 == 0 ? 3600000 : 0, i % 3 == 0 ? unique.c_str() : nullptr) != HF_OK) give_up(hf_errmsg(engine));
    source.removed.insert(id);
    if (i == 2) hf_start(engine);
  }
  queue.wait_idle(runs);
  if (!shape.killed) {
    hf_stop(engine, 0);
    if (queue.close() != HF_OK || queue.open(0, shape.holes ? -1 : 0) != HF_OK) give_up("closing and opening a sound file");
  }
  if (queue.all(source.jobs) != HF_OK) give_up("a sound file is not read");
  if (!shape.killed) queue.close();
  source.image = image_of(path);
  if (shape.killed) queue.close();
  for (hf_job* job : std::exchange(endless, {})) (void)hf_job_finish(job, HF_OK);
  for (const auto& [id, job] : source.jobs) source.removed.erase(id);
  source.killed = shape.killed;
  return source;
}

// ---- a trial ------------------------------------------------------------------------------------------

struct Counts {
  int64_t files = 0, healed = 0, jobs = 0, found = 0, altered = 0, refused = 0, empty = 0, untold = 0, back = 0;
  void add(const Counts& c) {
    files += c.files, healed += c.healed, jobs += c.jobs, found += c.found, altered += c.altered, refused += c.refused, empty += c.empty, untold += c.untold, back += c.back;
  }
};

class Trial {
 public:
  Trial(const Source& source, const Damage& damage, std::string path) : source_(source), damage_(damage), path_(std::move(path)) {}
  const Counts& counts() const { return counts_; }
  const std::string& violations() const { return violations_; }

  void run() {
    for (const std::string& copy : {path_, path_ + "-as-damaged"}) {
      write_file(copy, damage_.image.db);
      if (damage_.image.has_log) write_file(copy + "-wal", damage_.image.log);
    }
    for (int64_t sector : damage_.unreadable_db) BadSectors::spoil(path_, sector);
    for (int64_t sector : damage_.unreadable_log) BadSectors::spoil(path_ + "-wal", sector);
    counts_.files = 1;
    Queue queue(path_);
    const int code = queue.open();
    // Of a very small file nothing may be left that says whose it was.
    const bool traceless = damage_.image.db.size() <= 1024 && !damage_.image.has_log;
    if (damage_.foreign || (traceless && code == HF_E_FOREIGN)) return refused(code);
    if (code != HF_OK) return wrong(std::string("it does not open: ") + hf_errname(code) + ": " + hf_errmsg(nullptr) + "\n" + queue.all_told());
    look(queue);
    work(queue);
    const int64_t salvages = queue.figure("salvages_total");
    if (salvages > 0) ++counts_.healed;
    if (const int closed = queue.close(); closed != HF_OK) wrong(std::string("closing: ") + hf_errname(closed));
    if (!violations_.empty()) violations_ += queue.all_told();
    sound_at_the_end();
    if (salvages > 0 && !fs::exists(path_ + ".bad-1") && !fs::exists(path_ + ".bad-1-wal")) wrong("the damaged file is not kept");
    const std::vector<std::string> kept = files();
    Queue again(path_);
    if (again.open() != HF_OK) return wrong(std::string("it does not open again: ") + hf_errmsg(nullptr));
    // What a list did not see because of damage that was found later may be there again.
    Jobs jobs;
    again.all(jobs);
    const int64_t missing = std::count_if(source_.jobs.begin(), source_.jobs.end(), [&](const auto& was) { return !jobs.contains(was.first) || damaged(jobs.at(was.first)); });
    if (!told(again, missing) && !queue.told("database_empty")) {
      ++counts_.untold;
      if (!damage_.log_end) wrong(std::to_string(missing) + " of " + std::to_string(counts_.jobs) + " jobs are missing, and " + std::to_string(again.figure("salvage_lost_jobs")) + " are told to be lost");
    }
    if (again.told("database_salvaged") || files() != kept) wrong("it is healed again");
  }

 private:
  void wrong(const std::string& text) { violations_ += "  " + text + "\n"; }

  // A file that was closed cleanly is not read through when it is opened: what no job met is still there, and is found
  // by the check after the next unclean end.
  void sound_at_the_end() {
    const std::string found = hf::crash::integrity_of(path_);
    if (waits_ != 0 && (found == "ok" || source_.killed)) wrong("job " + std::to_string(waits_) + " is due and does not run");
    if (found == "ok") return;
    if (source_.killed) return wrong("at the end: " + found);
    sqlite3* db = nullptr;
    sqlite3_open(path_.c_str(), &db);
    sqlite3_exec(db, "UPDATE meta SET value=2 WHERE key='clean'", nullptr, nullptr, nullptr);
    sqlite3_close(db);
    Queue again(path_);
    if (again.open() != HF_OK || again.close() != HF_OK) return wrong(std::string("damage that nobody met: it does not open: ") + hf_errmsg(nullptr));
    if (const std::string still = hf::crash::integrity_of(path_); still != "ok") wrong("damage that nobody met is not healed: " + still);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(fs::path(path_).parent_path())) names.push_back(entry.path().filename());
    std::erase_if(names, [](const std::string& name) { return name.ends_with("-wal"); });
    std::sort(names.begin(), names.end());
    return names;
  }

  void refused(int code) {
    ++counts_.refused;
    if (code != HF_E_FOREIGN) wrong(std::string("another application's file: ") + hf_errname(code));
    if (read_file(path_) != damage_.image.db) wrong("another application's file was written to");
    if (damage_.image.has_log && read_file(path_ + "-wal") != damage_.image.log) wrong("the log beside another application's file was written to");
  }

  void look(Queue& queue) {
    Jobs jobs;
    if (const int code = queue.all(jobs); code != HF_OK) return wrong(std::string("it is not listed: ") + hf_errname(code) + ": " + hf_errmsg(queue.engine));
    int64_t missing = 0;  // or told to be damaged
    counts_.jobs = static_cast<int64_t>(source_.jobs.size());
    for (const auto& [id, was] : source_.jobs) {
      auto it = jobs.find(id);
      if (it == jobs.end()) {
        ++missing;
        continue;
      }
      const Job& is = it->second;
      const bool known = damaged(is);
      if (known) ++missing;
      else ++counts_.found;
      // A bit of a payload may have changed and nobody can tell; the job that it belongs to is still that job.
      const bool ran = is.state != was.state && was.state == HF_STATE_RUNNING;
      if (!known && !ran && !(is == was)) ++counts_.altered;
    }
    const bool log_lost = damage_.log_end || queue.figure("log_losses_total") > 0;
    for (const auto& [id, is] : jobs) {
      if (source_.jobs.contains(id)) continue;
      // The log knew of its removal; or both the map of pages and the list of free ones are gone.
      ++counts_.back;
      if (!source_.removed.contains(id)) wrong("job " + std::to_string(id) + " never was");
      else if (!log_lost && damage_.pieces == 1) wrong("job " + std::to_string(id) + " was removed, and is back");
    }
    if (jobs.empty() && !source_.jobs.empty()) ++counts_.empty;
    untold_ = !told(queue, missing);
  }
  static bool damaged(const Job& job) { return job.error.find("the file was damaged") != std::string::npos; }
  static bool told(Queue& queue, int64_t missing) {
    return missing <= queue.figure("salvage_lost_jobs") || queue.figure("salvage_lost_unknown") != 0 || queue.figure("log_losses_total") > 0 || queue.told("database_empty");
  }

  void work(Queue& queue) {
    for (const char* type : {"done", "wait", "bad", "runs"}) {
      if (queue.patiently([&] { return hf_register(queue.engine, type, done, nullptr, nullptr); }) != HF_OK) wrong("a handler is refused");
    }
    if (queue.patiently([&] { return hf_start(queue.engine); }) != HF_OK) wrong("it does not start");
    hf_job_id id = 0;
    const int code = queue.patiently([&] { return queue.add(id, "done", "new"); });
    if (code != HF_OK) return wrong(std::string("a new job is refused: ") + hf_errmsg(queue.engine));
    // Of a queue that begins anew numbers do too; its keys are others.
    if (source_.jobs.contains(id) && !untold_ && !queue.told("database_empty")) wrong("the number " + std::to_string(id) + " is used twice");
    queue.wait_idle(0);
    Jobs pending;
    if (queue.all(pending, HF_STATE_PENDING) != HF_OK) return wrong("what is pending is not listed");
    for (const auto& [job, is] : pending) {
      const bool due = job == id || (is.type == "wait" && is.queue == "default" && source_.jobs.contains(job) && source_.jobs.at(job) == is && !late(is));
      if (due) waits_ = job;
    }
  }
  // Every eleventh is due in an hour.
  static bool late(const Job& job) { return std::atoi(job.payload.c_str()) % 11 == 0; }

  const Source& source_;
  const Damage& damage_;
  const std::string path_;
  Counts counts_;
  bool untold_ = false;
  hf_job_id waits_ = 0;  // though it is due
  std::string violations_;
};

// ---- all of them ---------------------------------------------------------------------------------------

struct Settings {
  int files = 100, only = -1;
  unsigned seed = 1;
  bool keep = false;
};

Settings settings_of(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    auto number = [&] { return i + 1 < argc ? static_cast<int>(std::strtol(argv[++i], nullptr, 10)) : 0; };
    if (arg == "--files") s.files = number();
    else if (arg == "--only") s.only = number();
    else if (arg == "--seed") s.seed = static_cast<unsigned>(number());
    else if (arg == "--keep") s.keep = true;
    else give_up("usage: damage [--files N] [--seed N] [--only N] [--keep]");
  }
  return s;
}

// In a process of its own, so that a crash is that trial's. False if it did not do as it must.
bool run_trial(const Source& source, const Damage& damage, const std::string& path, Counts& counts, std::string& report) {
  int pipe[2];
  if (::pipe(pipe) != 0) give_up("no pipe");
  const pid_t child = fork();
  if (child < 0) give_up("no process");
  if (child == 0) {
    alarm(kTrialSeconds);
    Trial trial(source, damage, path);
    trial.run();
    std::string text(sizeof(Counts), 0);
    std::memcpy(text.data(), &trial.counts(), sizeof(Counts));
    text += trial.violations();
    const ssize_t written = write(pipe[1], text.data(), std::min<size_t>(text.size(), 60000));
    std::exit(written > 0 ? 0 : 3);  // with a look for leaks
  }
  ::close(pipe[1]);
  std::string text;
  char part[4096];
  for (ssize_t n; (n = read(pipe[0], part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(n));
  ::close(pipe[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (text.size() >= sizeof(Counts)) std::memcpy(&counts, text.data(), sizeof(Counts));
  report = text.size() > sizeof(Counts) ? text.substr(sizeof(Counts)) : "";
  if (WIFSIGNALED(status)) report += std::string("  it ended by signal ") + std::to_string(WTERMSIG(status)) + "\n";
  else if (WEXITSTATUS(status) != 0) report += "  its exit status is " + std::to_string(WEXITSTATUS(status)) + "\n";
  return report.empty();
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = settings_of(argc, argv);
  char name[] = "/tmp/hf-damage-XXXXXX";
  if (mkdtemp(name) == nullptr) give_up("no folder");
  const std::string dir = name;
  BadSectors::install();
  std::vector<Source> sources;
  for (const Shape& shape : kShapes) sources.push_back(make(dir + "/source-" + std::to_string(sources.size()) + ".db", shape, settings.seed));

  const std::string foreign = dir + "/foreign.db";
  sqlite3* db = nullptr;
  sqlite3_open(foreign.c_str(), &db);
  sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE account(id, name); INSERT INTO account VALUES(1, 'me')", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  const Image foreign_image = image_of(foreign);

  Counts total;
  int failures = 0;
  for (int i = 0; i < settings.files; ++i) {
    if (settings.only >= 0 && i != settings.only) continue;
    Random random(settings.seed * 1000003ull + static_cast<unsigned>(i));
    const Source& source = sources[static_cast<size_t>(i) % sources.size()];
    const Source& other = sources[(static_cast<size_t>(i) + 1) % sources.size()];
    const Damage damage = hf::crash::damage(source.image, {other.image, source.before, foreign_image}, i / static_cast<int>(sources.size()) % hf::crash::kDamageKinds, random);
    const std::string folder = dir + "/" + std::to_string(i);
    fs::create_directory(folder);
    Counts counts;
    std::string report;
    const bool good = run_trial(source, damage, folder + "/queue.db", counts, report);
    total.add(counts);
    if (!good) {
      ++failures;
      std::printf("file %d (%s): damage --seed %u --files %d --only %d\n%s", i, damage.what.c_str(), settings.seed, i + 1, i, report.c_str());
      std::fflush(stdout);
    }
    if (good || !settings.keep) fs::remove_all(folder);
  }
  if (settings.keep) std::printf("kept in %s\n", dir.c_str());
  else fs::remove_all(dir);
  auto n = [](int64_t v) { return static_cast<long long>(v); };
  std::printf("%lld files damaged: %lld healed, %lld replaced by another application's and refused\n"
              "%lld of their %lld jobs are there (%.1f %%), %lld of these changed, %lld removed ones are back; %lld files without a job left\n"
              "%lld files lost the end of their log, which cannot be told from a shorter one\n%d violations\n",
              n(total.files), n(total.healed), n(total.refused), n(total.found), n(total.jobs),
              total.jobs > 0 ? 100.0 * static_cast<double>(total.found) / static_cast<double>(total.jobs) : 100.0, n(total.altered), n(total.back), n(total.empty), n(total.untold), failures);
  return failures == 0 ? 0 : 1;
}
