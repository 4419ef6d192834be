// hf_open: what is refused, why, and that a refused file is left as it was.
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class Opening : public ApiFixture {
 public:
  int open_code(const std::string& file, const hf_options* opts = nullptr) {
    hf_engine* other = reinterpret_cast<hf_engine*>(1);
    int code = hf_open(file.c_str(), opts, &other);
    if (code != HF_OK) {
      CHECK(other == nullptr);
      CHECK(*hf_errmsg(nullptr) != 0);
    } else {
      hf_close(other);
    }
    return code;
  }
  // Overwrites bytes of a file that no engine has open.
  void patch(const std::string& file, std::streamoff at, const std::string& with) {
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(at);
    f << with;
  }
  void sql(const std::string& file, const char* text) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, text, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Opening, "a path that is none") {
  CHECK(open_code("") == HF_E_INVALID);
  CHECK(open_code(dir + "/no/folder.db") == HF_E_IO);
  CHECK(open_code(dir) == HF_E_IO);
  CHECK(open_code(std::string(2000, 'x')) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(Opening, "a file of another application is left untouched") {
  std::ofstream(dir + "/text.db") << std::string(5000, 'x');
  CHECK(open_code(dir + "/text.db") == HF_E_FOREIGN);
  CHECK(std::filesystem::file_size(dir + "/text.db") == 5000);
  sql(dir + "/other.db", "CREATE TABLE t(x)");
  CHECK(open_code(dir + "/other.db") == HF_E_FOREIGN);
  sql(dir + "/empty.db", "PRAGMA application_id=7");
  CHECK(open_code(dir + "/empty.db") == HF_E_FOREIGN);
  std::ofstream(dir + "/new.db") << "";
  CHECK(open_code(dir + "/new.db") == HF_OK);  // an empty file is made into one
}

TEST_CASE_FIXTURE(Opening, "a file that a newer version wrote, and does not let this one read") {
  hf_job_id id = add("x");
  close();
  sql(path, "PRAGMA user_version=99");
  CHECK(open_code(path) == HF_OK);  // newer, but this one may read it
  sql(path, "UPDATE meta SET value=99 WHERE key='min_reader'");
  CHECK(open_code(path) == HF_E_VERSION);
  sql(path, "UPDATE meta SET value=1 WHERE key='min_reader'");
  open();
  CHECK(get(id).state == HF_STATE_PENDING);
}

TEST_CASE_FIXTURE(Opening, "a damaged file") {
  for (int i = 0; i < 20; ++i) add("x", std::string(2000, 'p'));
  close();
  auto size = std::filesystem::file_size(path);
  patch(path, 1024, std::string(static_cast<size_t>(size) - 1024, '\xff'));
  CHECK(open_code(path) == HF_OK);  // healed: heal_test
  CHECK(std::filesystem::file_size(path + ".bad-1") == size);
  open();
}

TEST_CASE_FIXTURE(Opening, "a file or folder that cannot be written") {
#if defined(__SANITIZE_THREAD__)
  return;  // fork() beside threads
#endif
  if (geteuid() != 0) return;  // the test goes from root to nobody
  close();
  chmod(dir.c_str(), 0755);
  chmod(path.c_str(), 0644);
  pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(9);
    hf_engine* other = nullptr;
    int file = hf_open(path.c_str(), nullptr, &other);
    int folder = hf_open((dir + "/new.db").c_str(), nullptr, &other);
    _exit(file == HF_E_READ_ONLY && folder == HF_E_READ_ONLY ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  open();
}

TEST_CASE_FIXTURE(Opening, "each option has its bounds") {
  auto with = [&](const std::function<void(hf_options&)>& set) {
    hf_options options = HF_OPTIONS_INIT;
    set(options);
    return open_code(dir + "/other.db", &options);
  };
  CHECK(with([](hf_options& o) { o.struct_size = 0; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.struct_size = 1 << 20; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.device = "a b"; }) == HF_E_INVALID);
  std::string long_name(HF_NAME_MAX + 1, 'x');
  CHECK(with([&](hf_options& o) { o.device = long_name.c_str(); }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.workers = -2; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.workers = 257; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.concurrency = 10001; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.max_payload = (16 << 20) + 1; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.max_bytes = 1000; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.max_jobs = -1; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.keep_dead_ms = -2; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.page_size = 1000; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.page_size = 131072; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.vfs = "no-such-vfs"; }) != HF_OK);
  CHECK(with([](hf_options& o) { o.when_full = -1; }) == HF_E_INVALID);
  CHECK(with([](hf_options& o) { o.when_full = HF_FULL_COALESCE + 1; }) == HF_E_INVALID);
  CHECK(std::string(hf_errmsg(nullptr)).find("when_full") != std::string::npos);
  hf_clock_options clock = HF_CLOCK_OPTIONS_INIT;
  auto with_clock = [&](const std::function<void(hf_clock_options&)>& set) {
    clock = HF_CLOCK_OPTIONS_INIT;
    set(clock);
    return with([&](hf_options& o) { o.clock = &clock; });
  };
  CHECK(with_clock([](hf_clock_options& c) { c.struct_size = 0; }) == HF_E_INVALID);
  CHECK(with_clock([](hf_clock_options& c) { c.sync_file = "synchronized"; }) == HF_E_INVALID);
  CHECK(std::string(hf_errmsg(nullptr)).find("not an absolute path") != std::string::npos);
  CHECK(with_clock([](hf_clock_options& c) { c.holdover_ms = -2; }) == HF_E_INVALID);
  CHECK(with_clock([](hf_clock_options& c) { c.holdover_ms = 366LL * 86400000 + 1; }) == HF_E_INVALID);
  CHECK(with_clock([](hf_clock_options& c) { c.floor_unix_ms = -1; }) == HF_E_INVALID);
  CHECK(with_clock([](hf_clock_options& c) { c.floor_unix_ms = 2, c.ceiling_unix_ms = 1; }) == HF_E_INVALID);
  CHECK(with_clock([](hf_clock_options& c) { c.confirmed_only = c.ignore_kernel = 1, c.sync_file = "/none", c.holdover_ms = -1; }) == HF_OK);
  CHECK(with([](hf_options& o) { o.workers = HF_NO_WORKERS; }) == HF_OK);
  CHECK(with([](hf_options& o) { o.page_size = 4096, o.workers = 256, o.seed = 1; }) == HF_OK);
}

TEST_CASE_FIXTURE(Opening, "a full file, and a full queue: the oldest job gives way, if they say so") {
  close();
  hf_options options = HF_OPTIONS_INIT;
  options.max_jobs = 2;
  options.when_full = HF_FULL_DROP_OLDEST;
  open(&options);
  const auto gone = [&](hf_job_id id) {
    hf_job_info info = HF_JOB_INFO_INIT;
    const int code = hf_get(engine, id, &info);
    hf_job_info_free(&info);
    return code == HF_E_NOT_FOUND;
  };
  const hf_job_id first = add("nobody"), second = add("nobody"), third = add("nobody");
  CHECK(gone(first));
  CHECK_FALSE(gone(second));
  hf_queue_settings one = HF_QUEUE_SETTINGS_INIT;
  one.max_pending = 2;
  REQUIRE(hf_queue_set(engine, "default", &one) == HF_OK);
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "nobody";
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_E_FULL);
  CHECK(std::string(hf_errmsg(engine)) == "queue default holds 2 jobs that wait; the limit is 2 (max_pending)");
  one.when_full = HF_FULL_DROP_LOWEST;
  REQUIRE(hf_queue_set(engine, "default", &one) == HF_OK);
  add("nobody");
  CHECK(gone(second));
  CHECK_FALSE(gone(third));
  one.when_full = HF_FULL_COALESCE;
  REQUIRE(hf_queue_set(engine, "default", &one) == HF_OK);
  add("nobody");
  CHECK(gone(third));
  spec.type = "other";
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_E_FULL);
  CHECK(std::string(hf_errmsg(engine)) == "queue default holds 2 jobs that wait; the limit is 2 (max_pending), and none of type other with no concurrency_key "
                                          "in queue default may give way (when_full)");
}
