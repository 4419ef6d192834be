// What is saved of a damaged file, for each kind of page that may be damaged.
#include "core/salvage.h"

#include <fstream>
#include <map>
#include <random>
#include <set>

#include "core/schema.h"
#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class SalvageFixture : public EngineFixture {
 public:
  SalvageFixture() {
    close_cleanly();
    vfs.clear();
    std::filesystem::remove(path);
    open();
  }
  // Jobs in every state, with bodies in the row, on overflow pages and apart; in several lanes.
  void fill(int jobs) {
    handler("done");
    handler("bad");
    handler("live");
    tick({SchedulePut{schedule("hourly")}, QueuePause{"slow", true}, QueueSet{"slow", {.concurrency = 3}}});
    for (int i = 0; i < jobs; ++i) {
      JobSpec s = spec(i % 3 == 0 ? "done" : i % 3 == 1 ? "wait" : "bad", std::string(static_cast<size_t>(i * 37 % 1400), 'p'));
      s.queue = i % 2 == 0 ? "default" : "slow";
      if (s.type == "wait") s.unique_key = "u" + std::to_string(i);
      if (s.type == "done") s.queue = "default";
      add(s);
      for (StartRun& run : std::exchange(started, {})) {
        for (RunJob& job : run.jobs) end(job, job.type == "bad" ? Outcome::dead : Outcome::done, std::string(100, 'r'));
      }
    }
    add(spec("live"));
    for (auto& row : RawCopy(*this).query("SELECT id,abs(state) FROM job")) before[std::stoll(row[0])] = std::stoi(row[1]);
  }
  static ScheduleSpec schedule(const std::string& name) {
    ScheduleSpec s;
    s.name = name;
    s.cron = "@hourly";
    s.job.type = "x";
    return s;
  }
  // The file and its log as they are now, as after a kill.
  struct RawCopy : RawDb {
    explicit RawCopy(SalvageFixture& f) : RawDb(f.copy()) {}
  };
  std::string copy() {
    std::string look = dir + "/look-" + std::to_string(++copies) + ".db";
    std::filesystem::copy_file(path, look);
    if (std::filesystem::exists(path + "-wal")) std::filesystem::copy_file(path + "-wal", look + "-wal");
    return look;
  }
  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

  struct Saved {
    Salvaged counts;
    std::map<JobId, int> jobs;  // id -> state
  };
  Saved salvage_file(const std::string& from) {
    Saved out;
    auto image = PageImage::open(from, "");
    REQUIRE(image.ok());
    CHECK((*image)->is_ours());
    to = dir + "/saved-" + std::to_string(++copies) + ".db";
    auto saved = salvage(**image, {from, to, "", 1024, 7});
    if (!saved) FAIL(saved.error().message);
    out.counts = *saved;
    RawDb raw(to);
    CHECK(raw.query("PRAGMA integrity_check")[0][0] == "ok");
    for (auto& row : raw.query("SELECT id,abs(state) FROM job")) out.jobs[std::stoll(row[0])] = std::stoi(row[1]);
    CHECK(raw.number("SELECT value FROM meta WHERE key='next_id'") > before.rbegin()->first + 100000);
    CHECK(raw.number("SELECT count(*) FROM job WHERE lane NOT IN (SELECT id FROM lane)") == 0);
    return out;
  }
  // Damages one page of a copy and salvages it.
  Saved without_page(int64_t page, const std::string& with) {
    std::string file = copy_closed();
    std::string bytes = read(file);
    bytes.replace(static_cast<size_t>((page - 1) * 1024), 1024, with);
    write(file, bytes);
    return salvage_file(file);
  }
  std::string copy_closed() {
    if (engine) {
      engine.reset();  // as a kill
      RawDb(path).query("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    return copy();
  }
  // The jobs of each leaf of the job table, by page.
  std::map<int64_t, std::set<JobId>> leaves() {
    std::map<int64_t, std::set<JobId>> out;
    auto image = PageImage::open(copy_closed(), "");
    REQUIRE(image.ok());
    (*image)->weigh();
    for (int64_t page = 2; page <= (*image)->pages(); ++page) {
      if ((*image)->tree_of(page) != kJobTree || !(*image)->table_leaf(page)) continue;
      int64_t damaged = 0;
      for (const PageRow& row : (*image)->rows(page, damaged)) out[page].insert(row.rowid);
    }
    return out;
  }

  std::map<JobId, int> before;
  std::string to;
  int copies = 0;
};

}  // namespace

TEST_CASE_FIXTURE(SalvageFixture, "the roots of the trees are where salvage looks for them, in a backup too") {
  std::string copy_path = dir + "/backup.db";
  ask<Done>(Backup{copy_path});
  for (const std::string& file : {copy(), copy_path}) {
    RawDb raw(file);
    std::string roots;
    for (auto& row : raw.query("SELECT name||' '||rootpage FROM sqlite_schema ORDER BY rootpage")) roots += row[0] + "\n";
    CHECK(roots == "meta 3\nlane 4\nqueue 5\nschedule 6\njob 7\nbody 8\nhf_brief 9\njob_pending 10\njob_running 11\njob_final 12\njob_at 13\njob_expires 14\njob_unique 15\n");
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "a sound file is saved whole, with its log") {
  fill(200);
  REQUIRE(std::filesystem::file_size(path + "-wal") > 0);
  std::string from = copy();
  Saved out = salvage_file(from);
  CHECK(out.jobs == before);
  CHECK(out.counts.saved == static_cast<int64_t>(before.size()));
  CHECK(out.counts.lost == 0);
  CHECK_FALSE(out.counts.lost_unknown);
  CHECK(out.counts.schedules == 1);
  const std::string bodies = "SELECT job.id, queue, type, key, due, ukey, opts, error, history, payload, result, b.data, c.data FROM job JOIN lane ON lane.id=lane"
                             " LEFT JOIN body b ON b.id=2*job.id LEFT JOIN body c ON c.id=2*job.id+1 ORDER BY 1";
  CHECK(RawDb(to).query(bodies) == RawDb(from).query(bodies));
  CHECK(RawDb(to).query("SELECT * FROM schedule") == RawDb(from).query("SELECT * FROM schedule"));
  CHECK(RawDb(to).query("SELECT * FROM queue") == RawDb(from).query("SELECT * FROM queue"));
  CHECK(RawDb(to).query("SELECT value FROM meta WHERE key='file_id'") == RawDb(from).query("SELECT value FROM meta WHERE key='file_id'"));
}

TEST_CASE_FIXTURE(SalvageFixture, "a damaged leaf costs its own jobs, and they are counted") {
  fill(200);
  JobId runs = 0;
  SUBCASE("of a file that was closed") {
    for (StartRun& run : std::exchange(started, {})) {
      for (RunJob& job : run.jobs) {
        end(job, Outcome::done);
        before[job.id] = static_cast<int>(State::completed);
      }
    }
    close_cleanly();
  }
  SUBCASE("in use: what runs is in no index, and nobody knows whether some of that is lost") { runs = started.back().jobs.back().id; }
  const auto pages = leaves();
  REQUIRE(pages.size() > 10);
  for (const std::string& with : {std::string(1024, '\0'), std::string(1024, '\xa5')}) {
    for (auto it = pages.begin(); it != pages.end(); std::advance(it, std::min<long>(5, std::distance(it, pages.end())))) {
      Saved out = without_page(it->first, with);
      for (auto [id, state] : before) {
        if (it->second.contains(id)) {
          CHECK_FALSE(out.jobs.contains(id));
        } else {
          CHECK(out.jobs[id] == state);
        }
      }
      CHECK(out.counts.lost == static_cast<int64_t>(it->second.size() - it->second.count(runs)));
      CHECK(out.counts.lost_unknown == (runs != 0));
    }
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "any page that holds no job's row can go without a job being lost") {
  fill(200);
  const auto pages = leaves();
  auto image = PageImage::open(copy_closed(), "");
  (*image)->weigh();
  const int64_t count = (*image)->pages();
  for (int64_t page = 1; page <= count; ++page) {
    if (pages.contains(page)) continue;
    const Tree tree = (*image)->tree_of(page);
    if (page > kUniqueTree && (page % 3 != 0 || tree == kNoTree)) continue;
    CAPTURE(page);
    Saved out = without_page(page, std::string(1024, '\0'));
    for (auto [id, state] : before) CHECK(out.jobs.contains(id));
    if (tree != kBodyTree && tree != kLaneTree && tree != kNoTree) {
      CHECK(out.jobs == before);
      CHECK(out.counts.lost == 0);
    }
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "a job whose payload is gone is a dead letter that says so") {
  JobId id = add(spec("wait", std::string(5000, 'p')));
  JobId other = add(spec("wait", "short"));
  before[id] = before[other] = 0;
  std::string file = copy_closed();
  std::string bytes = read(file);
  const size_t at = bytes.find(std::string(900, 'p'));
  bytes.replace(at / 1024 * 1024, 1024, std::string(1024, '\xff'));
  write(file, bytes);
  Saved out = salvage_file(file);
  CHECK(out.jobs[id] == static_cast<int>(State::dead));
  CHECK(out.jobs[other] == 0);
  CHECK(out.counts.saved == 1);
  CHECK(out.counts.lost == 1);
  CHECK(RawDb(to).query("SELECT error FROM job WHERE state=3")[0][0].find("payload is lost") != std::string::npos);
}

TEST_CASE_FIXTURE(SalvageFixture, "bodies that fill most of a file say nothing of its pages: it and its log are sound") {
  for (const size_t size : {520, 600, 700, 800, 900, 1000, 1500, 3000}) {
    CAPTURE(size);
    for (int i = 0; i < 80; ++i) before[add(spec("wait", std::string(size, 'p')))] = 0;
    const std::string file = copy();
    {
      const auto image = PageImage::open(file, "").value();
      CHECK(image->page_size() == 1024);
      CHECK(image->log().present);
      CHECK_FALSE(image->log().foreign);
    }
    CHECK(salvage_file(file).jobs == before);
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "each byte of the header may be wrong") {
  SUBCASE("jobs of every kind") { fill(30); }
  SUBCASE("mostly bodies of some 700 bytes") {
    for (int i = 0; i < 100; ++i) before[add(spec("wait", std::string(static_cast<size_t>(680 + i % 40), 'p')))] = 0;
  }
  const std::string file = copy_closed();
  const std::string bytes = read(file);
  for (size_t at = 0; at < 100; ++at) {
    CAPTURE(at);
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    write(file, damaged);
    Saved out = salvage_file(file);
    CHECK(out.jobs == before);
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "cut at the end of any page, it has what comes before") {
  fill(60);
  const std::string file = copy_closed();
  const std::string bytes = read(file);
  size_t least = SIZE_MAX;
  for (size_t size = bytes.size(); size > 100; size -= std::min<size_t>(size, 512)) {
    write(file, bytes.substr(0, size));
    Saved out = salvage_file(file);
    CHECK(out.jobs.size() <= std::max(least, before.size()));
    least = out.jobs.size();
    for (auto [id, state] : out.jobs) CHECK(before.contains(id));
    CHECK((out.counts.saved + out.counts.lost >= static_cast<int64_t>(before.size()) || out.counts.lost_unknown));
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "a removed job does not come back from a free page") {
  std::vector<JobId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(add(spec("wait", std::string(300, 'p'))));
  for (size_t i = 0; i < 90; ++i) ask<Done>(Remove{ids[i]});
  for (size_t i = 90; i < 100; ++i) before[ids[i]] = 0;
  std::string file = copy_closed();
  CHECK(salvage_file(file).jobs == before);
  // The map of pages, or the list of free pages, may be gone: the other one tells.
  std::string bytes = read(file);
  CHECK(without_page(2, std::string(1024, '\0')).jobs == before);
  bytes.replace(32, 8, std::string(8, '\x7f'));
  write(file, bytes);
  CHECK(salvage_file(file).jobs == before);
}

TEST_CASE_FIXTURE(SalvageFixture, "a unique key that two jobs have after the damage stays with one") {
  JobSpec s = spec("wait");
  s.unique_key = "same-a";
  JobId a = add(s);
  s.unique_key = "same-b";
  JobId b = add(s);
  before[a] = before[b] = 0;
  std::string file = copy_closed();
  std::string bytes = read(file);
  for (size_t at; (at = bytes.find("same-b")) != std::string::npos;) bytes[at + 5] = 'a';
  write(file, bytes);
  CHECK(salvage_file(file).jobs == before);
  CHECK(RawDb(to).number("SELECT count(*) FROM job WHERE ukey IS NOT NULL") == 1);
}

TEST_CASE_FIXTURE(SalvageFixture, "the log: a damaged header is no loss; a gap is noticed") {
  for (int i = 0; i < 20; ++i) before[add(spec("wait", std::string(200, 'p')))] = 0;
  const std::string file = copy();
  const std::string log = read(file + "-wal");
  std::string damaged = log;
  for (size_t i = 0; i < 32; ++i) damaged[i] = static_cast<char>(damaged[i] ^ 0x11);
  write(file + "-wal", damaged);
  {
    auto image = PageImage::open(file, "");
    CHECK((*image)->log().headless);
  }
  CHECK(salvage_file(file).jobs.size() + 1 >= before.size());
  const size_t middle = 32 + (log.size() - 32) / 1048 / 2 * 1048;
  damaged = log;
  damaged[middle + 500] = static_cast<char>(damaged[middle + 500] ^ 1);
  write(file + "-wal", damaged);
  auto image = PageImage::open(file, "");
  CHECK((*image)->log().cut_off > 0);
  CHECK_FALSE((*image)->log().headless);
}

TEST_CASE_FIXTURE(SalvageFixture, "a log of another database is not laid over the file") {
  before[add(spec("wait"))] = 0;
  const std::string file = copy_closed();
  EngineOptions o = options();
  o.path = dir + "/other.db";
  o.new_file_id = 0x1234;
  auto other = Engine::open(o);
  REQUIRE(other.ok());
  std::filesystem::copy_file(o.path + "-wal", file + "-wal");
  {
    auto image = PageImage::open(file, "");
    CHECK((*image)->log().foreign);
  }
  CHECK(salvage_file(file).jobs == before);
}

TEST_CASE_FIXTURE(SalvageFixture, "what is not ours shows no sign of it") {
  RawDb(dir + "/other.db").query("CREATE TABLE lane(id)");
  write(dir + "/text", std::string(5000, 'x'));
  write(dir + "/short", "root:x:0:0");
  for (const char* name : {"/other.db", "/text", "/short"}) {
    auto image = PageImage::open(dir + name, "");
    REQUIRE(image.ok());
    CHECK_FALSE((*image)->is_ours());
    CHECK_FALSE((*image)->is_blank());
  }
}

TEST_CASE_FIXTURE(SalvageFixture, "after an unclean end a damaged file is named as such; after a clean one nothing is read") {
  fill(100);
  const std::string whole = read(copy_closed());
  std::string bytes = whole;
  const size_t at = static_cast<size_t>((leaves().rbegin()->first - 1) * 1024);
  bytes.replace(at, 1024, std::string(1024, '\0'));
  write(path, bytes);
  auto opened = Engine::open(options());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == HF_E_CORRUPT);
}

TEST_CASE("a job's row has all columns, or ends with the last one that is not NULL") {
  using Kind = Value::Kind;
  auto row = [](std::initializer_list<Kind> kinds) {
    std::vector<Value> out;
    for (Kind kind : kinds) out.push_back({kind, 1, {}});
    return out;
  };
  const auto n = Kind::number, null = Kind::null, blob = Kind::blob, text = Kind::text, lost = Kind::lost;
  for (std::vector<Value> v : {row({null, n, n, n, n, n, n}),                                                            // its payload is in body
                               row({null, n, n, n, n, n, n, null, n}),                                                   // with a time
                               row({null, n, n, n, n, n, n, null, null, null, text, blob, null, null, blob}),            // with a payload
                               row({null, n, n, n, n, n, n, null, null, null, null, null, null, null, blob, null}),      // of an older file
                               row({null, n, n, n, n, n, n, n, null, null, null, null, text, blob, blob, blob}), row({null, n, lost, n, n, n, n, lost})}) {
    CAPTURE(v.size());
    CHECK(whole_job_row(v));
    REQUIRE(v.size() == 16);
  }
  for (std::vector<Value> v : {row({}), row({null}), row({null, n, n, n, n, n}), row({n, n, n, n, n, n, n}), row({null, n, n, null, n, n, n}),
                               row({null, n, n, n, n, n, n, null}),                    // NULL at the end is left out, or all are there
                               row({null, n, n, n, n, n, n, text}), row({null, n, n, n, n, n, n, null, null, null, n}),
                               row({null, n, n, n, n, n, n, null, null, null, null, null, null, null, blob, null, null})}) {
    CAPTURE(v.size());
    CHECK_FALSE(whole_job_row(v));
  }
}
