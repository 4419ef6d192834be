// Tables of the program in the queue's file: the store leaves them alone, and a salvage saves them apart from ours.
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "core/salvage.h"
#include "core/schema.h"
#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class HostFixture : public EngineFixture {
 public:
  HostFixture() {
    close_cleanly();
    vfs.clear();
    std::filesystem::remove(path);
    open();
  }
  // Jobs whose bytes all say that they are ours; every third has a body.
  void fill(int jobs) {
    for (int i = 0; i < jobs; ++i) {
      JobSpec s = spec("wait", "ours " + std::to_string(i) + std::string(i % 3 == 0 ? 700 : 30, 'o'));
      s.concurrency_key = "ours-" + std::to_string(i % 7);
      ours[add(s)] = s.payload;
    }
  }
  // What the program does to the file, while no engine has it.
  void make(const std::string& sql) {
    if (engine) close_cleanly();
    RawDb(path).run(sql);
  }
  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }
  static std::string replaced(std::string bytes, const std::string& from, const std::string& to) {
    for (size_t at; (at = bytes.find(from)) != std::string::npos;) bytes.replace(at, to.size(), to);
    return bytes;
  }

  Salvaged salvage_file(const std::string& from) {
    auto image = PageImage::open(from, "");
    REQUIRE(image.ok());
    to = dir + "/saved-" + std::to_string(++copies) + ".db";
    auto saved = salvage(**image, {from, to, "", 1024, 7});
    if (!saved) FAIL(saved.error().message);
    RawDb raw(to);
    CHECK(raw.query("PRAGMA integrity_check")[0][0] == "ok");
    check_ours(raw);
    EngineOptions o = options();
    o.path = dir + "/opened-" + std::to_string(copies) + ".db";
    std::filesystem::copy_file(to, o.path);
    auto opened = Engine::open(o);
    if (!opened) FAIL_CHECK(opened.error().message);
    return *saved;
  }
  Salvaged salvage_bytes(const std::string& bytes) {
    const std::string file = dir + "/damaged.db";
    write(file, bytes);
    return salvage_file(file);
  }
  // Nothing of theirs in ours.
  void check_ours(RawDb& raw) {
    found = 0;
    for (auto& row : raw.query("SELECT job.id, coalesce(payload, data), state, queue, key FROM job JOIN lane ON lane.id=lane LEFT JOIN body ON body.id=2*job.id")) {
      const JobId id = std::stoll(row[0]);
      REQUIRE(ours.contains(id));
      CHECK((row[1] == ours[id] || row[2] == "3"));
      CHECK((row[3] == "lost" || row[4].starts_with("ours-")));
      ++found;
    }
    CHECK(raw.number("SELECT count(*) FROM lane WHERE queue NOT IN ('lost','default') OR (key NOT LIKE 'ours-%' AND key<>'')") == 0);
    CHECK(raw.number("SELECT count(*) FROM body WHERE CAST(data AS TEXT) NOT LIKE 'ours%'") == 0);
  }
  // Each row with every bit of it.
  static std::set<std::string> rows(const std::string& file, const std::string& table) {
    RawDb raw(file);
    std::string all = "_rowid_";
    for (auto& column : raw.query("SELECT name FROM pragma_table_info('" + table + "')")) {
      const std::string c = "\"" + column[0] + "\"";
      all += "||'|'||typeof(" + c + ")||CASE typeof(" + c + ") WHEN 'real' THEN printf('%!.26g'," + c + ") ELSE quote(" + c + ") END";
    }
    std::set<std::string> out;
    for (auto& row : raw.query("SELECT " + all + " FROM [" + table + "]")) out.insert(row[0]);
    return out;
  }
  static std::set<std::string> tables(const std::string& file) {
    std::set<std::string> out;
    for (auto& row : RawDb(file).query("SELECT name FROM sqlite_schema WHERE type='table' AND rootpage>8 AND name<>'hf_brief' AND name NOT LIKE 'sqlite_%'")) out.insert(row[0]);
    return out;
  }
  static std::string schema(const std::string& file) {
    std::string out;
    for (auto& row : RawDb(file).query("SELECT type||' '||name||' '||tbl_name||' '||coalesce(sql,'') FROM sqlite_schema ORDER BY 1")) out += row[0] + "\n";
    return out;
  }
  void same_tables(const std::string& a, const std::string& b) {
    CHECK(schema(a) == schema(b));
    REQUIRE(tables(a) == tables(b));
    for (const std::string& name : tables(a)) CHECK(rows(a, name) == rows(b, name));
  }

  std::map<JobId, std::string> ours;
  std::string to;
  int copies = 0, found = 0;
};

// Of each kind that there may be.
constexpr const char* kTables = R"sql(
CREATE TABLE reading(at INTEGER PRIMARY KEY, value REAL, unit TEXT NOT NULL DEFAULT 'C', raw BLOB);
INSERT INTO reading(at, value) VALUES(1, 0.1), (2, -0.0), (3, 5e-324), (4, 1.7976931348623157e308), (5, 3.0), (-6, 1e-7);
INSERT INTO reading(at, value, raw) VALUES(7, NULL, randomblob(9000)), (9223372036854775807, 2, zeroblob(3000));
ALTER TABLE reading ADD COLUMN site TEXT DEFAULT 'here';
ALTER TABLE reading ADD COLUMN note;
INSERT INTO reading VALUES(10, 1.5, 'F', x'00ff', 'there', 'a''b');
CREATE TABLE "odd ""name"(rowid TEXT, "a b" UNIQUE, c INT CHECK(c <> 3), UNIQUE(c, rowid));
INSERT INTO "odd ""name" VALUES('x', 1, 2), ('y', 1.5, 4), (NULL, NULL, NULL), ('z', 'text', 'text');
CREATE TABLE strict(a INTEGER, b REAL, c TEXT) STRICT;
INSERT INTO strict VALUES(1, 2, '3');
CREATE TABLE word(w TEXT PRIMARY KEY, n);
WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM i WHERE n<2500) INSERT INTO word(rowid, w, n) SELECT 3*n, 'word '||n, n/7.0 FROM i;
CREATE INDEX word_n ON word(n) WHERE n > 10;
CREATE UNIQUE INDEX reading_at ON reading(at, abs(value));
CREATE VIEW warm AS SELECT at FROM reading WHERE value > 1;
CREATE TABLE seen(at INTEGER);
CREATE TRIGGER seen_new AFTER INSERT ON reading BEGIN INSERT INTO seen VALUES(new.at); END;
CREATE TRIGGER warm_gone INSTEAD OF DELETE ON warm BEGIN DELETE FROM reading WHERE at=old.at; END;
CREATE TABLE empty(x);
)sql";

// Rows that would do as ours.
constexpr const char* kLookalikes = R"sql(
CREATE TABLE files(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE people(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, n INTEGER);
CREATE TABLE work(id INTEGER PRIMARY KEY, lane, state, nprio, due, attempts, created, finished, at, expires, ukey, opts, error, history, payload, result);
WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM i WHERE n<260) INSERT INTO files SELECT n, CAST('theirs '||n||printf('%.*c', 600, 't') AS BLOB) FROM i;
WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM i WHERE n<200) INSERT INTO people SELECT n, 'theirs', 'theirs', 'theirs', 0 FROM i;
WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM i WHERE n<300) INSERT INTO work
  SELECT n, 1+n%9, 0, 0, 1000, 0, 1000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, CAST('theirs '||n AS BLOB), NULL FROM i;
)sql";

}  // namespace

TEST_CASE_FIXTURE(HostFixture, "tables of the program lie beside ours: the file opens, and a backup has them") {
  fill(60);
  make(kTables);
  open();
  CHECK(get(1).state == State::pending);
  engine.reset();  // as a kill: it is checked
  open();
  const std::string backup = dir + "/backup.db";
  ask<Done>(Backup{backup});
  close_cleanly();
  same_tables(path, backup);
  RawDb(backup).run("DROP TABLE word; DROP VIEW warm");
  EngineOptions o = options();
  o.path = backup;
  CHECK(Engine::open(o).ok());
}

TEST_CASE_FIXTURE(HostFixture, "what the schema says of ours is compared, of others it is not") {
  make("CREATE TABLE account(id)");
  const std::string whole = read(path);
  for (const char* change : {"UPDATE sqlite_schema SET name='joc' WHERE name='job'", "UPDATE sqlite_schema SET name='Body' WHERE name='body'",
                             "UPDATE sqlite_schema SET sql=replace(sql,'state>=2','state>=3') WHERE name='job_final'", "DELETE FROM sqlite_schema WHERE name='job_at'"}) {
    CAPTURE(change);
    write(path, whole);
    RawDb(path).run("PRAGMA writable_schema=ON; " + std::string(change));
    auto opened = Engine::open(options());
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == HF_E_CORRUPT);
  }
  write(path, whole);
  RawDb(path).run("ANALYZE");
  CHECK(Engine::open(options()).ok());
}

TEST_CASE_FIXTURE(HostFixture, "a sound file is salvaged with all that is the program's") {
  fill(60);
  make(kTables);
  std::string from = path;
  SUBCASE("the file") {}
  SUBCASE("a backup, whose roots are in other places") {
    open();
    from = dir + "/backup.db";
    ask<Done>(Backup{from});
    close_cleanly();
    RawDb(from).run("CREATE TABLE late(x); INSERT INTO late VALUES(1); DROP TABLE reading; DROP TABLE word");
  }
  SUBCASE("a second time") {
    salvage_file(path);
    from = to;
  }
  const Salvaged out = salvage_file(from);
  same_tables(from, to);
  CHECK(found == 60);
  CHECK(out.lost == 0);
  CHECK_FALSE(out.lost_unknown);
  CHECK(out.host_lost == 0);
  CHECK_FALSE(out.host_lost_unknown);
  CHECK(out.host_not_made == "");
  int64_t count = 0;
  for (const std::string& name : tables(from)) count += static_cast<int64_t>(rows(from, name).size());
  CHECK(out.host_rows == count);
}

TEST_CASE_FIXTURE(HostFixture, "rows that break the rules of their table are left out and counted") {
  make("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT CHECK(b <> 'wrong'), c TEXT NOT NULL);"
       "CREATE TABLE u(a TEXT); CREATE UNIQUE INDEX u_a ON u(a); CREATE INDEX u_b ON u(a, a);"
       "INSERT INTO t VALUES(1, 'same-a', 'x', ''), (2, 'same-b', 'x', ''), (3, 'other', 'wrung', ''), (4, 'good', 'x', '');"
       "INSERT INTO u VALUES('twin-a'), ('twin-b'), ('else')");
  const Salvaged out = salvage_bytes(replaced(replaced(replaced(read(path), "same-b", "same-a"), "wrung", "wrong"), "twin-b", "twin-a"));
  CHECK(rows(to, "t") == std::set<std::string>{"1|integer1|text'same-a'|text'x'|text''", "4|integer4|text'good'|text'x'|text''"});
  CHECK(RawDb(to).number("SELECT count(*) FROM u WHERE a='twin-a'") == 2);
  CHECK(out.host_rows == 5);
  CHECK(out.host_lost == 2);
  CHECK_FALSE(out.host_lost_unknown);
  CHECK(out.host_not_made == "index u_a");
  CHECK(RawDb(to).number("SELECT value FROM meta WHERE key='salvage_host_lost'") == 2);
  CHECK(RawDb(to).number("SELECT value FROM meta WHERE key='salvage_host_unknown'") == 1);
}

TEST_CASE_FIXTURE(HostFixture, "a row with a value that is lost is left out and counted") {
  make("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB); INSERT INTO t VALUES(1, CAST(printf('%.*c', 5000, 'q') AS BLOB)), (2, 'short')");
  std::string bytes = read(path);
  const size_t at = bytes.rfind(std::string(900, 'q'));  // not in the page of the row
  bytes.replace(at / 1024 * 1024, 1024, std::string(1024, '\xff'));
  const Salvaged out = salvage_bytes(bytes);
  CHECK(rows(to, "t") == std::set<std::string>{"2|integer2|text'short'"});
  CHECK(out.host_rows == 1);
  CHECK(out.host_lost == 1);
}

TEST_CASE_FIXTURE(HostFixture, "text of a schema that is not what it should be does no harm") {
  fill(10);
  make("CREATE TABLE good(a); INSERT INTO good VALUES(1);"
       "CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 2), (3, 4); CREATE INDEX i ON good(a); CREATE VIEW v AS SELECT 1; CREATE TRIGGER g AFTER INSERT ON good BEGIN SELECT 1; END");
  const std::string whole = read(path);
  for (const std::string name : {"t", "i", "v", "g"}) {
    for (const std::string sql : {"DROP TABLE job", "CREATE TABLE t(a); DROP TABLE job", "CREATE TABLE t AS SELECT * FROM job", "CREATE TABLE other(a)", "CREATE TABLE job(a)", "CREATE TABLE t(a", "",
                            "CREATE TABLE t(a PRIMARY KEY, b) WITHOUT ROWID", "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b)", "CREATE TABLE t(a, b AS (a+1))", "CREATE VIRTUAL TABLE t USING fts5(a)",
                            "CREATE TEMP TABLE t(a, b)", "CREATE TABLE t(a CHECK(nobody_has_it(a)), b)", "CREATE INDEX i ON job(state)", "CREATE UNIQUE INDEX j ON good(a)", "CREATE TRIGGER g AFTER INSERT ON job BEGIN SELECT 1; END",
                            "CREATE TRIGGER g AFTER INSERT ON good BEGIN SELECT 1; END; DELETE FROM job", "CREATE VIEW job AS SELECT 1", "PRAGMA writable_schema=ON"}) {
      CAPTURE(name);
      CAPTURE(sql);
      write(path, whole);
      RawDb(path).run("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='" + sql + "' WHERE name='" + name + "'");
      const Salvaged out = salvage_file(path);
      CHECK(found == 10);
      CHECK(out.host_not_made.find(" " + name) != std::string::npos);
      CHECK(rows(to, "good") == std::set<std::string>{"1|integer1"});
      CHECK(RawDb(to).number("SELECT count(*) FROM sqlite_schema") == static_cast<int64_t>(kOurNames.size()) + 4);
      CHECK(out.host_rows == (name == "t" ? 1 : 3));
      CHECK(out.host_lost == (name == "t" ? 2 : 0));
    }
  }
}

TEST_CASE_FIXTURE(HostFixture, "a table that the schema does not tell any more is said to be lost") {
  fill(10);
  make("CREATE TABLE t(a); INSERT INTO t VALUES(1), (2); CREATE TABLE u(a); INSERT INTO u VALUES(1)");
  RawDb(path).run("PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name='t'");
  const Salvaged out = salvage_file(path);
  CHECK(found == 10);
  CHECK(tables(to) == std::set<std::string>{"u"});
  CHECK(out.host_rows == 1);
  CHECK(out.host_lost == 2);
}

TEST_CASE_FIXTURE(HostFixture, "whichever pages are damaged, no row is another one, and none is in the wrong place") {
  fill(120);
  make(kLookalikes);
  make(kTables);
  const std::string whole = read(path);
  const int64_t pages = static_cast<int64_t>(whole.size() / 1024);
  std::map<std::string, std::set<std::string>> before;
  for (const std::string& name : tables(path)) before[name] = rows(path, name);
  std::vector<bool> of_tree;
  {
    auto image = PageImage::open(path, "").value();
    image->weigh();
    for (int64_t page = 0; page <= pages; ++page) of_tree.push_back(page > 0 && image->tree_of(page) != kNoTree);
  }
  for (unsigned round = 0; round < 60; ++round) {
    CAPTURE(round);
    std::mt19937 random(round);
    std::set<int64_t> damaged;
    for (int64_t first : {1, 2, 7, 8}) {
      if (random() % 3 == 0) damaged.insert(first);
    }
    for (unsigned n = random() % 40; n > 0; --n) damaged.insert(1 + static_cast<int64_t>(random()) % pages);
    std::string bytes = whole;
    for (int64_t page : damaged) {
      // Zeros in an overflow page are as good as any bytes: they cannot be told from what was there.
      const unsigned kind = random() % 3;
      for (size_t i = 0; i < 1024; ++i) {
        bytes[static_cast<size_t>(page - 1) * 1024 + i] = static_cast<char>(kind == 0 && of_tree[static_cast<size_t>(page)] ? 0 : kind == 1 ? 0xa5 : random());
      }
    }
    const Salvaged out = salvage_bytes(bytes);
    CHECK((static_cast<size_t>(found) == ours.size() || out.lost > 0 || out.lost_unknown));
    int64_t missing = 0;
    for (const auto& [name, all] : before) {
      const bool there = tables(to).contains(name);
      const std::set<std::string> saved = there ? rows(to, name) : std::set<std::string>();
      missing += static_cast<int64_t>(all.size() - saved.size());
      for (const std::string& row : saved) CHECK(all.contains(row));
    }
    CHECK((missing <= out.host_lost || out.host_lost_unknown));
  }
}

TEST_CASE_FIXTURE(HostFixture, "a link that was led astray brings no row of theirs") {
  fill(120);
  make(kLookalikes);
  const std::string whole = read(path);
  // Each pointer of the inner pages of ours, to a leaf of theirs.
  auto image = PageImage::open(path, "").value();
  image->weigh();
  std::map<Tree, std::vector<int64_t>> leaves;
  for (int64_t page = 2; page <= image->pages(); ++page) {
    if (image->in_use(page) && image->table_leaf(page)) leaves[image->tree_of(page)].push_back(page);
  }
  int tried = 0;
  for (const auto& [tree, theirs] : leaves) {
    if (tree < kFirstHostTree) continue;
    for (const Tree our : {kLaneTree, kJobTree, kBodyTree}) {
      const size_t right = static_cast<size_t>(our - 1) * 1024 + 8;
      if (whole[right - 8] != 5) continue;
      std::string bytes = whole;
      bytes[right + 2] = static_cast<char>(theirs.back() >> 8);
      bytes[right + 3] = static_cast<char>(theirs.back() & 0xff);
      const Salvaged out = salvage_bytes(bytes);
      CHECK(static_cast<size_t>(found) == ours.size());
      CHECK(out.lost == 0);
      CHECK(out.host_lost == 0);
      CHECK_FALSE(out.host_lost_unknown);
      ++tried;
    }
  }
  CHECK(tried >= 6);
}

TEST_CASE_FIXTURE(HostFixture, "where the beginning of the file is gone, jobs are saved by their looks, if nothing speaks of other tables") {
  fill(300);
  SUBCASE("there are none") {}
  SUBCASE("there are others") { make(kTables); }
  SUBCASE("others that look like ours, too") {
    make(kLookalikes);
    make(kTables);
  }
  SUBCASE("others that look like ours but for one column behind those that are never NULL") {
    make(R"sql(CREATE TABLE readings(id INTEGER PRIMARY KEY, a, b, c, d, e, f, name TEXT);
      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM i WHERE n<300) INSERT INTO readings SELECT n, 1, 0, 0, 1000, 0, 1000, 'theirs' FROM i;)sql");
  }
  SUBCASE("others of as many numbers as no job has") {
    make(R"sql(CREATE TABLE readings(id INTEGER PRIMARY KEY, a, b, c, d, e, f);
      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM i WHERE n<300) INSERT INTO readings SELECT n, 1700000000+n, 0, 0, 1000, 0, 1000 FROM i;)sql");
  }
  if (engine) close_cleanly();
  const bool none = tables(path).empty();
  const std::string whole = read(path);
  for (const size_t kib : {1, 2, 4, 8, 12, 14, 16, 20, 24, 32, 48, 64}) {
    CAPTURE(kib);
    std::string bytes = whole;
    bytes.replace(0, kib * 1024, std::string(kib * 1024, '\0'));
    const Salvaged out = salvage_bytes(bytes);
    if (none && kib <= 16) CHECK(found == 300);
    CHECK((found == 300 || out.lost_unknown));
    if (!none) CHECK((tables(to) == tables(path) || out.host_lost_unknown));
  }
}
