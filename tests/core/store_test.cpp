// The file: made, taken for one engine alone, or refused untouched.
#include "core/store.h"

#include <fstream>

#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class StoreFixture : public EngineFixture {
 public:
  StoreFixture() {
    close_cleanly();
    vfs.clear();  // the system's
  }
  Error refuses_to_open() {
    auto opened = Engine::open(options());
    REQUIRE_FALSE(opened.ok());
    return opened.error();
  }
  std::string bytes() {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

}  // namespace

TEST_CASE_FIXTURE(StoreFixture, "a second engine is refused while the first one has the file") {
  open();
  CHECK(refuses_to_open().code == HF_E_LOCKED);
  add(spec("x"));
  engine.reset();
  open();
  CHECK(stats().by_state[0] == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "a database of another application is refused and left as it is") {
  path = dir + "/other.db";
  RawDb(path).query("CREATE TABLE t(x)");
  std::string before = bytes();
  Error e = refuses_to_open();
  CHECK(e.code == HF_E_FOREIGN);
  CHECK(e.message.find("another application") != std::string::npos);
  CHECK(bytes() == before);
}

TEST_CASE_FIXTURE(StoreFixture, "a file that is no database is refused and left as it is") {
  path = dir + "/text";
  std::ofstream(path) << std::string(5000, 'x');
  std::string before = bytes();
  CHECK(refuses_to_open().code == HF_E_FOREIGN);
  CHECK(bytes() == before);
}

TEST_CASE_FIXTURE(StoreFixture, "an empty file becomes a queue") {
  path = dir + "/empty";
  std::ofstream(path).flush();
  open();
  add(spec("x"));
}

TEST_CASE_FIXTURE(StoreFixture, "a newer format is refused, unless it says that this version may read it") {
  RawDb(path).query("PRAGMA user_version=" + std::to_string(kSchemaVersion + 1));
  RawDb(path).query("UPDATE meta SET value=" + std::to_string(kSchemaVersion + 1) + " WHERE key='min_reader'");
  Error e = refuses_to_open();
  CHECK(e.code == HF_E_VERSION);
  CHECK(e.message.find(std::to_string(kSchemaVersion + 1)) != std::string::npos);
  RawDb(path).query("UPDATE meta SET value=" + std::to_string(kSchemaVersion) + " WHERE key='min_reader'");
  open();
}

TEST_CASE_FIXTURE(StoreFixture, "a folder that cannot be written, and one that is not there") {
  path = "/proc/sys/holdfast-queue.db";
  CHECK(refuses_to_open().code == HF_E_READ_ONLY);
  path = dir + "/no/such/folder/queue.db";
  CHECK(refuses_to_open().code == HF_E_IO);
}

TEST_CASE_FIXTURE(StoreFixture, "a damaged file is named as such") {
  open();
  for (int i = 0; i < 200; ++i) add(spec("x", std::string(400, 'p')));
  close_cleanly();
  std::string all = bytes();
  std::ofstream(path, std::ios::binary) << all.substr(0, 1024) << std::string(all.size() - 1024, 'z');
  CHECK(refuses_to_open().code == HF_E_CORRUPT);
}

TEST_CASE_FIXTURE(StoreFixture, "the page size is chosen when the file is made; a bad one is refused") {
  EngineOptions o = options();
  o.path = dir + "/pages.db";
  o.page_size = 4096;
  REQUIRE(Engine::open(o).ok());
  CHECK(RawDb(o.path).number("PRAGMA page_size") == 4096);
  for (int bad : {0, 256, 1000, 131072}) {
    o.page_size = bad;
    auto opened = Engine::open(o);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == HF_E_INVALID);
  }
}

TEST_CASE_FIXTURE(StoreFixture, "who makes the file counts its bytes as who opens it later") {
  for (const int size : {512, 1024, 4096, 65536}) {
    CAPTURE(size);
    path = dir + "/of " + std::to_string(size);
    EngineOptions o = options();
    o.page_size = size;
    open_with(o);
    for (int i = 0; i < 100; ++i) add(spec("x", std::string(1000, 'p')));
    const int64_t said = stats().file_bytes;
    close_cleanly();
    CHECK(said == RawDb(path).number("PRAGMA page_count") * size);
    open();
    CHECK(stats().file_bytes == said);
    close_cleanly();
  }
  open();
}

TEST_CASE_FIXTURE(StoreFixture, "what the file says of itself: application, version, vacuum, log") {
  open();
  add(spec("x"));
  CHECK(std::filesystem::exists(path + "-wal"));
  CHECK_FALSE(std::filesystem::exists(path + "-shm"));
  close_cleanly();
  CHECK_FALSE(std::filesystem::exists(path + "-wal"));
  RawDb raw(path);
  CHECK(raw.number("PRAGMA application_id") == kApplicationId);
  CHECK(raw.number("PRAGMA user_version") == kSchemaVersion);
  CHECK(raw.number("PRAGMA auto_vacuum") == 2);
}

TEST_CASE_FIXTURE(StoreFixture, "a clean end keeps the counts; figures go on without counting anew") {
  open();
  handler("x");
  add(spec("x"));
  end(take_started(), Outcome::done);
  add(spec("y"));
  JobSpec s = spec("z");
  s.queue = "q";
  add(s);
  close_cleanly();
  open();
  CHECK(stats().by_state[0] == 2);
  CHECK(stats().by_state[2] == 1);
  CHECK(ask<std::vector<QueueInfo>>(QueueList{"q"}).at(0).pending == 1);
  handler("z");
  handler("y");
  CHECK(started_ids().size() == 2);
}

TEST_CASE_FIXTURE(StoreFixture, "a removed job leaves nothing behind") {
  open();
  handler("x");
  JobId a = add(spec("x", std::string(3000, 'p')));
  end(take_started(), Outcome::done, std::string(3000, 'r'));
  ask<Done>(Remove{a});
  close_cleanly();
  RawDb raw(path);
  CHECK(raw.number("SELECT count(*) FROM job") == 0);
  CHECK(raw.number("SELECT count(*) FROM body") == 0);
}

TEST_CASE_FIXTURE(StoreFixture, "every query of the hot path uses an index") {
  open();
  close_cleanly();
  RawDb raw(path);
  auto plan = [&](const std::string& sql) {
    std::string text;
    for (auto& row : raw.query("EXPLAIN QUERY PLAN " + sql)) text += row.back() + "\n";
    return text;
  };
  for (const char* sql : {"SELECT due,id FROM job WHERE state=0 AND lane=1 AND nprio=0 AND due<=5 ORDER BY due,id LIMIT 64",
                          "SELECT nprio FROM job WHERE state=0 AND lane=1 AND nprio>0 ORDER BY nprio LIMIT 1",
                          "SELECT id FROM job WHERE at<=1 AND at IS NOT NULL AND state=0 ORDER BY at,id LIMIT 5",
                          "SELECT id FROM job WHERE expires<=1 AND expires IS NOT NULL AND state=0 ORDER BY expires,id LIMIT 5",
                          "SELECT id,finished FROM job WHERE state>=2 AND state=2 AND (finished,id)>(1,1) AND finished<=5 ORDER BY finished,id LIMIT 5",
                          "SELECT id FROM job WHERE ukey='k'", "SELECT id FROM job WHERE state=1 AND id<9 ORDER BY id DESC LIMIT 5",
                          "SELECT id FROM job WHERE id>=5 AND id<9 AND state=-1 ORDER BY id DESC LIMIT 5", "UPDATE job SET state=1 WHERE id>=5 AND id<9 AND state=-1"}) {
    std::string p = plan(sql);
    CHECK_MESSAGE(p.find("SEARCH") != std::string::npos, sql, "\n", p);
    CHECK_MESSAGE(p.find("TEMP B-TREE") == std::string::npos, sql, "\n", p);
  }
}
