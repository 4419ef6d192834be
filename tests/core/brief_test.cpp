// Jobs that lie in hf_brief while they run: nobody can tell.
#include <fstream>
#include <map>

#include "core/page_image.h"
#include "core/random.h"
#include "core/salvage.h"
#include "core/schema.h"
#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class BriefFixture : public EngineFixture {
 public:
  BriefFixture() {
    limits.keep_completed_ms = -1;
    crash();
    handler("runs");
  }
  RawDb raw() {
    const std::string copy = dir + "/look-" + std::to_string(++looks) + ".db";
    std::filesystem::copy_file(path, copy);
    std::filesystem::copy_file(path + "-wal", copy + "-wal");
    return RawDb(copy);
  }
  // The ids in it, and in `job`.
  std::string brief() { return list("hf_brief"); }
  std::string rest() { return list("job"); }
  std::string list(const std::string& table) {
    std::string ids;
    for (const auto& row : raw().query("SELECT id FROM " + table + " ORDER BY id")) ids += row[0] + " ";
    return ids;
  }
  std::vector<JobId> listed(std::optional<State> state = {}, JobId before = 0, int limit = 100) {
    ListQuery q;
    q.state = state;
    q.before = before;
    q.limit = limit;
    std::vector<JobId> ids;
    for (const JobInfo& job : ask<JobPage>(List{q}).jobs) ids.push_back(job.id);
    return ids;
  }
  // What a kill leaves, and the log moved into the file.
  std::string closed_bytes() {
    engine.reset();
    RawDb(path).query("PRAGMA wal_checkpoint(TRUNCATE)");
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Salvaged salvage_file(const std::string& from) {
    auto image = PageImage::open(from, "");
    REQUIRE(image.ok());
    to = dir + "/saved-" + std::to_string(++looks) + ".db";
    auto saved = salvage(**image, {from, to, "", 1024, 7});
    if (!saved) FAIL(saved.error().message);
    CHECK(RawDb(to).query("PRAGMA integrity_check")[0][0] == "ok");
    return *saved;
  }
  static int64_t list_of(const std::string& file) { return RawDb(file).number("SELECT count(*) FROM job"); }
  std::string to;
  int looks = 0;
};

}  // namespace

TEST_CASE_FIXTURE(BriefFixture, "brief: a job that begins in its turn, and of which nothing is kept") {
  const JobId a = add(spec("runs", "one")), waits = add(spec("waits")), b = add(spec("runs", "two"));
  CHECK(brief() == "1 3 ");
  CHECK(rest() == "2 ");
  CHECK(listed() == std::vector<JobId>{b, waits, a});
  CHECK(listed(State::running) == std::vector<JobId>{b, a});
  CHECK(listed({}, b) == std::vector<JobId>{waits, a});
  CHECK(listed({}, 0, 1) == std::vector<JobId>{b});
  CHECK(listed(State::running, b) == std::vector<JobId>{a});
  CHECK(get(a).state == State::running);
  CHECK(get(a).attempts == 1);
  CHECK(get(b).payload == "two");
  CHECK(stats().by_state[1] == 2);
  end(take_started(), Outcome::done);
  CHECK(brief() == "3 ");
  CHECK(refused(Get{a}).code == HF_E_NOT_FOUND);
  end(take_started(), Outcome::done);
  CHECK(brief().empty());
  CHECK(rest() == "2 ");
  CHECK(stats().by_state[1] == 0);
  CHECK(stats().completed == 2);
}

TEST_CASE_FIXTURE(BriefFixture, "brief: not one of which something is kept, has a sink, or waits first") {
  limits.keep_completed_ms = 1000;
  ask<Done>(SetLimits{limits});
  add(spec("runs"));
  limits.keep_completed_ms = -1;
  ask<Done>(SetLimits{limits});
  JobSpec keyed = spec("runs");
  keyed.unique_key = "k";
  add(keyed);
  JobSpec sent = spec("runs");
  sent.sink = "s";
  add(sent);
  add(spec("runs", std::string(kBodyInlineMax + 1, 'x')));
  JobSpec later = spec("runs");
  later.delay_ms = 5;
  add(later);
  pass(5);
  CHECK(brief().empty());
  CHECK(rest() == "1 2 3 4 5 ");
  add(spec("runs", std::string(kBodyInlineMax, 'x')));
  CHECK(brief() == "6 ");
}

TEST_CASE_FIXTURE(BriefFixture, "brief: one that fails, is held up, reports, or is to stop has a row as others") {
  const JobId id = add(spec("runs", "payload"));
  RunJob run = take_started();
  CHECK(brief() == "1 ");
  int attempts = 1;
  bool cancelled = false;
  SUBCASE("fails") { end(run, Outcome::retry, "why"); }
  SUBCASE("is put off") {
    end(run, Outcome::defer);
    attempts = 0;
  }
  SUBCASE("is dead") { end(run, Outcome::dead, "why"); }
  SUBCASE("is to be cancelled") {
    ask<Done>(Cancel{id});
    cancelled = true;
  }
  SUBCASE("leaves a memo") { ask<Done>(Remember{id, run.attempt, run.run, "memo"}); }
  SUBCASE("is edited") {
    Edit edit;
    edit.id = id;
    edit.priority = 3;
    refused(edit);
    ask<Done>(Cancel{id});
    cancelled = true;
  }
  CHECK(brief().empty());
  CHECK(rest() == "1 ");
  const JobInfo info = get(id);
  CHECK(info.payload == "payload");
  CHECK(info.attempts == attempts);
  if (cancelled) return;  // it is gone then
  crash();
  CHECK(get(id).payload == "payload");
}

TEST_CASE_FIXTURE(BriefFixture, "brief: those that ran at a kill are found, and run again with the same key") {
  std::vector<JobId> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(add(spec("runs", std::to_string(i))));
  std::map<JobId, std::string> keys;
  for (const StartRun& start : std::exchange(started, {})) {
    for (const RunJob& job : start.jobs) keys[job.id] = job.key.text();
  }
  REQUIRE(keys.size() == 40);
  crash();
  CHECK(stats().recovered == 40);
  CHECK(brief().empty());
  handler("runs");
  size_t again = 0;
  for (const StartRun& start : std::exchange(started, {})) {
    for (const RunJob& job : start.jobs) {
      CHECK(job.key.text() == keys[job.id]);
      CHECK(job.bytes == std::to_string(job.id - ids[0]));
      CHECK(job.attempt == 2);
      ++again;
    }
  }
  CHECK(again == 40);
}

TEST_CASE_FIXTURE(BriefFixture, "brief: a close hands back what runs") {
  const JobId id = add(spec("runs", "p"));
  close_cleanly();
  started.clear();
  open();
  CHECK(brief().empty());
  CHECK(get(id).state == State::pending);
  CHECK(get(id).attempts == 0);
  CHECK(get(id).payload == "p");
}

TEST_CASE_FIXTURE(BriefFixture, "brief: a turn that failed leaves what was there, and the runs go on") {
  const JobId a = add(spec("runs")), b = add(spec("runs"));
  const RunJob first = take_started();
  disk.fail_writes = true;
  CHECK_FALSE(try_tick({ended(first, Outcome::done), Enqueue{{spec("runs")}}}).ok());
  disk.fail_writes = false;
  handover = engine->handover();
  engine.reset();
  open();
  handover = {};
  CHECK(brief() == "1 2 ");
  CHECK(listed(State::running) == std::vector<JobId>{b, a});
  end(first, Outcome::done);
  CHECK(brief() == "2 ");
}

TEST_CASE_FIXTURE(BriefFixture, "brief: those behind the last 2048 ids move as they are") {
  const JobId a = add(spec("runs", "p"));
  const RunJob run = take_started();
  ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(5000, spec("waits"))});
  CHECK(brief() == "1 ");
  ask<Done>(Cancel{a});
  CHECK(raw().number("SELECT state FROM job WHERE id=1") == 1);  // in the index of those that run
  CHECK(raw().query("PRAGMA integrity_check")[0][0] == "ok");
  end(run, Outcome::done);
  CHECK(brief().empty());
}

// ---- the store alone, against a model -----------------------------------------------------------------------

namespace {

struct Model {
  std::map<JobId, std::string> payloads;  // of the rows, by id
  bool operator==(const Model&) const = default;
};

Model read_all(Store& store) {
  Model m;
  for (const JobId id : store.ids(0, 100000)) {
    const FullRow row = store.read(id, true);
    CHECK(row.found);
    m.payloads[id] = row.payload + (row.error.empty() ? "" : " " + row.error);
  }
  return m;
}

}  // namespace

TEST_CASE("brief: rows come, go, change and are taken back in any order") {
  const TempFolder home;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::string path = home.path() + "/" + std::to_string(seed) + ".db";
    auto open = [&] { return Store::open({.path = path, .vfs = "", .page_size = seed % 2 == 0 ? 512 : 1024, .new_file_id = 1}).value(); };
    std::unique_ptr<Store> store = open();
    Model now, committed;
    JobId next = 1;
    store->begin(false);
    store->reserve_ids(100000);
    REQUIRE(store->commit());
    store->begin(false);
    auto some = [&] {
      auto it = now.payloads.lower_bound(static_cast<JobId>(random.below(static_cast<uint64_t>(next) + 1)));
      return it != now.payloads.end() ? it->first : now.payloads.empty() ? 0 : now.payloads.begin()->first;
    };
    for (int step = 0; step < 400; ++step) {
      switch (random.below(12)) {
        case 0: case 1: case 2: case 3: {
          for (uint64_t n = random.below(20) + 1; n > 0; --n) {
            JobRow row;
            row.id = next++;
            row.lane = 1;
            row.state = State::running;
            row.attempts = 1;
            row.created_ms = 5;
            row.due_ms = static_cast<int64_t>(random.below(2));
            const std::string payload(random.below(random.below(4) == 0 ? 600 : 30), static_cast<char>('a' + random.below(26)));
            store->insert(row, payload, random.below(8) != 0);
            now.payloads[row.id] = payload;
          }
          break;
        }
        case 4: case 5: {
          for (uint64_t n = random.below(30) + 1; n > 0 && !now.payloads.empty(); --n) {
            const JobId id = some();
            store->remove(id, now.payloads[id].size() <= kBodyInlineMax);
            now.payloads.erase(id);
          }
          break;
        }
        case 6: {  // all of them
          for (const auto& [id, payload] : now.payloads) store->remove(id);
          now.payloads.clear();
          break;
        }
        case 7: {
          if (const JobId id = some(); id != 0 && now.payloads[id].find(' ') == std::string::npos) {
            store->set_error(id, "e");
            now.payloads[id] += " e";
          }
          break;
        }
        case 8: case 9:
          REQUIRE(store->commit());
          committed = now;
          store->begin(false);
          break;
        case 10:
          store->rollback();
          now = committed;
          store->begin(false);
          break;
        default:
          if (random.below(3) == 0) {
            REQUIRE(store->commit());
            committed = now;
            if (random.below(2) == 0) {
              store.reset();  // as after a kill
              store = open();
            } else {
              store->resume();
            }
            store->begin(false);
          } else {
            CHECK(read_all(*store) == now);
          }
      }
      REQUIRE(store->ok());
    }
    CHECK(store->count(State::running) == static_cast<int64_t>(now.payloads.size()));
    REQUIRE(store->commit());
    CHECK(read_all(*store) == now);
    CHECK(store->check().empty());
  }
}

// ---- files of format 1 -----------------------------------------------------------------------------------------

namespace {

class OldFixture : public BriefFixture {
 public:
  // As it was made before there was hf_brief.
  OldFixture() {
    path = dir + "/old.db";
    std::string schema = kSchema;
    const size_t at = schema.find("CREATE TABLE hf_brief(");
    schema.erase(at, schema.find(";\n", at) + 2 - at);
    RawDb db(path);
    db.query("PRAGMA auto_vacuum=INCREMENTAL");
    db.query("PRAGMA page_size=1024");
    db.query("PRAGMA journal_mode=WAL");
    db.run(schema);
    db.run("PRAGMA application_id=" + std::to_string(kApplicationId) + "; PRAGMA user_version=1;"
           "INSERT INTO meta VALUES('min_reader',1),('file_id',7),('next_id',1025),('clean',0);"
           "INSERT INTO lane VALUES(1,'default','runs','',0),(2,'default','waits','',0);"
           "INSERT INTO job(id,lane,state,nprio,due,attempts,created,payload) VALUES(1,1,-1,0,1,1,1,x'6f6e65'),(2,2,0,0,1,0,1,x'74776f'),(3,2,4,0,1,0,1,x'')");
  }
};

}  // namespace

TEST_CASE_FIXTURE(OldFixture, "a file of format 1 becomes one of format 2, with all that it has") {
  SUBCASE("with a table of the program") { RawDb(path).run("CREATE TABLE mine(a); INSERT INTO mine VALUES(5)"); }
  SUBCASE("alone") {}
  open();
  CHECK(raw().number("PRAGMA user_version") == 2);
  CHECK(raw().number("SELECT value FROM meta WHERE key='min_reader'") == 2);
  CHECK(stats().recovered == 1);
  CHECK(get(1).payload == "one");
  CHECK(get(2).state == State::pending);
  CHECK(get(3).state == State::cancelled);
  handler("runs");
  CHECK(started.size() == 1);
  add(spec("runs", "new"));
  CHECK(brief() == "1025 ");
  crash();
  CHECK(get(1025).payload == "new");
  CHECK(raw().query("PRAGMA integrity_check")[0][0] == "ok");
}

TEST_CASE_FIXTURE(BriefFixture, "a file that says format 1, and has what came with 2, goes on as it is") {
  add(spec("runs", "p"));
  closed_bytes();
  RawDb(path).query("PRAGMA user_version=1");
  open();
  CHECK(raw().number("PRAGMA user_version") == 2);
  CHECK(stats().recovered == 1);
  CHECK(get(1).payload == "p");
}

TEST_CASE_FIXTURE(BriefFixture, "a file of format 2 that has no hf_brief any more is damaged") {
  add(spec("runs", "p"));
  closed_bytes();
  RawDb(path).run("PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name='hf_brief'");
  auto opened = Engine::open(options());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == HF_E_CORRUPT);
  const Salvaged saved = salvage_file(path);
  CHECK((saved.saved == 1 || saved.lost_unknown));
}

TEST_CASE_FIXTURE(OldFixture, "a file of format 1 that is damaged is refused as one, and salvaged") {
  RawDb(path).run("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=replace(sql,'nprio','nprix') WHERE name='job_pending'");
  auto opened = Engine::open(options());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == HF_E_CORRUPT);
  const Salvaged saved = salvage_file(path);
  CHECK(saved.saved == 3);
  CHECK(saved.lost == 0);
  CHECK_FALSE(saved.lost_unknown);
}

TEST_CASE_FIXTURE(OldFixture, "a file that was of format 1, and whose schema is gone: what is in hf_brief may be a table of the program") {
  open();
  handler("runs");
  for (int i = 0; i < 30; ++i) add(spec("runs", std::string(100, 'p')));
  std::string bytes = closed_bytes();
  REQUIRE(bytes.size() > 20 * 1024);
  bytes.replace(0, 1024, std::string(1024, '\xff'));
  const std::string damaged = dir + "/damaged.db";
  std::ofstream(damaged, std::ios::binary) << bytes;
  const Salvaged saved = salvage_file(damaged);
  CHECK(saved.saved == 3);
  CHECK(list_of(to) == 3);
  CHECK(saved.lost_unknown);
}

TEST_CASE_FIXTURE(OldFixture, "a table of the program in a file of format 1 whose schema is gone is not taken for jobs") {
  RawDb(path).run("CREATE TABLE mine(id INTEGER PRIMARY KEY, data BLOB); INSERT INTO mine VALUES(4,x'00'); INSERT INTO body VALUES(4,x'01')");
  std::string bytes = closed_bytes();
  bytes.replace(0, 1024, std::string(1024, '\xff'));
  const std::string damaged = dir + "/damaged.db";
  std::ofstream(damaged, std::ios::binary) << bytes;
  CHECK(salvage_file(damaged).saved == 3);
  CHECK(RawDb(to).query("SELECT hex(data) FROM body WHERE id=4") == RawDb::Rows{{"01"}});
}

TEST_CASE_FIXTURE(BriefFixture, "brief: a job in both tables is damage, and the one in `job` is right") {
  const JobId a = add(spec("runs", "p")), b = add(spec("runs", "q"));
  CHECK(b == a + 1);
  closed_bytes();
  RawDb(path).run("INSERT INTO job SELECT *,NULL FROM hf_brief WHERE id=1; UPDATE job SET state=4, finished=1 WHERE id=1");
  auto opened = Engine::open(options());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == HF_E_CORRUPT);
  CHECK(opened.error().message.find("job 1 is in two tables") != std::string::npos);
  CHECK(salvage_file(path).saved == 2);
  CHECK(RawDb(to).query("SELECT state FROM job ORDER BY id") == RawDb::Rows{{"4"}, {"1"}});
}

TEST_CASE_FIXTURE(BriefFixture, "brief: of a damaged file what runs is saved, and a page costs its own rows") {
  for (int i = 0; i < 60; ++i) add(spec("runs", std::string(100, static_cast<char>('a' + i % 26)))), add(spec("waits", "w"));
  const std::string whole = closed_bytes();
  REQUIRE(list_of(path) == 60);
  for (size_t page = 0; page < whole.size() / 1024; ++page) {
    CAPTURE(page);
    std::string bytes = whole;
    bytes.replace(page * 1024, 1024, std::string(1024, '\xff'));
    const std::string damaged = dir + "/damaged.db";
    std::ofstream(damaged, std::ios::binary) << bytes;
    const Salvaged saved = salvage_file(damaged);
    CHECK(list_of(to) >= 120 - 50);  // of the small ones so many are on a page
    CHECK((saved.saved + saved.lost >= 120 || saved.lost_unknown));
  }
}
