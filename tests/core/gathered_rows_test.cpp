// Rows of a turn that are written together: nobody can tell.
#include "core/gathered_rows.h"

#include <doctest/doctest.h>

#include <numeric>

#include "core/schema.h"
#include "core/store.h"
#include "faulty_vfs.h"
#include "raw_db.h"
#include "tests/temp_folder.h"

using namespace hf;
using hf::test::RawDb;

namespace {

class Rows {
 public:
  Rows() { store->begin(true); }
  JobRow row(JobId id) const {
    JobRow r;
    r.id = id;
    r.lane = 3;
    r.priority = static_cast<int>(id % 5) - 2;
    r.due_ms = 1000 + id;
    r.attempts = static_cast<int>(id % 2);
    r.created_ms = 500 + id;
    return r;
  }
  static std::string payload(JobId id) { return "payload of " + std::to_string(id); }
  void insert(JobId from, JobId to) {
    for (JobId id = from; id <= to; ++id) store->insert(row(id), payload(id));
  }
  void check_there(JobId id) { check_there(row(id)); }
  void check_there(const JobRow& want) {
    INFO("job ", want.id);
    const FullRow read = store->read(want.id, true);
    REQUIRE(read.found);
    CHECK(read.job.lane == want.lane);
    CHECK(read.job.state == want.state);
    CHECK(read.job.priority == want.priority);
    CHECK(read.job.due_ms == want.due_ms);
    CHECK(read.job.attempts == want.attempts);
    CHECK(read.job.created_ms == want.created_ms);
    CHECK(read.payload == payload(want.id));
    CHECK(read.job.unique_key.empty());
    CHECK(read.finished_ms == 0);
  }
  std::vector<JobId> ids() { return store->ids(0, 10000); }  // the newest first

  const TempFolder home;
  const std::string path = home.path() + "/queue.db";
  std::unique_ptr<Store> store = Store::open({.path = path, .vfs = "", .new_file_id = 1}).value();
};

std::vector<JobId> down(JobId from, JobId to) {
  std::vector<JobId> ids(static_cast<size_t>(from - to + 1));
  std::iota(ids.rbegin(), ids.rend(), to);
  return ids;
}

}  // namespace

TEST_CASE_FIXTURE(Rows, "gathered rows: as many as there are, each as it was given") {
  JobId next = 1;
  for (const int n : {1, 2, 7, 8, 9, 16, 17, 100}) {
    insert(next, next + n - 1);
    next += n;
    CHECK(store->wrote());
    CHECK(ids() == down(next - 1, 1));
  }
  for (JobId id = 1; id < next; ++id) check_there(id);
  CHECK(store->commit());
  store->begin(false);
  CHECK_FALSE(store->wrote());
  CHECK(ids() == down(next - 1, 1));
  CHECK(store->commit());
  CHECK(store->check().empty());
}

TEST_CASE_FIXTURE(Rows, "gathered rows: eight that are alike, and eight of which one is not") {
  std::vector<JobRow> rows;
  for (int field = 0; field <= 5; ++field) {
    for (int odd = 0; odd < (field == 0 ? 1 : 8); ++odd) {
      for (int i = 0; i < 8; ++i) {
        JobRow& r = rows.emplace_back();
        r.id = static_cast<JobId>(rows.size());
        r.lane = 1 + i;
        const bool other = field != 0 && i == odd;
        r.state = other && field == 1 ? State::running : State::pending;
        r.priority = other && field == 2 ? -3 : 2;
        r.due_ms = other && field == 3 ? 8 : 7;
        r.attempts = other && field == 4 ? 2 : 1;
        r.created_ms = other && field == 5 ? 6 : 5;
        store->insert(r, payload(r.id));
      }
      store->commit();
      store->begin(true);
    }
  }
  for (const JobRow& r : rows) check_there(r);
}

TEST_CASE_FIXTURE(Rows, "gathered rows: what is more than plain goes beside them") {
  insert(1, 3);
  JobRow rare = row(4);
  rare.unique_key = "k";
  rare.expires_ms = 9000;
  rare.opts = "o";
  rare.at_wall_ms = 77;
  store->insert(rare, payload(4));
  const std::string large(kBodyInlineMax + 1, 'x'), fits(kBodyInlineMax, 'y');
  store->insert(row(5), large);
  store->insert(row(6), fits);
  store->insert(row(7), "");
  CHECK(store->find_unique("k") == 4);
  CHECK(store->read(4, true).job.expires_ms == 9000);
  CHECK(store->read(4, true).job.at_wall_ms == 77);
  CHECK(store->read(4, true).job.opts == "o");
  CHECK(store->read(5, true).payload == large);
  CHECK(store->read(6, true).payload == fits);
  CHECK(store->read(7, true).payload.empty());
  CHECK(ids() == down(7, 1));
  CHECK(store->commit());
}

TEST_CASE_FIXTURE(Rows, "gathered rows: those that leave, alone, with neighbours, and in any order") {
  insert(1, 100);
  CHECK(store->commit());
  store->begin(false);
  for (const JobId id : {50, 49, 51, 7, 100, 1, 98, 52}) store->remove(id, true);
  CHECK(store->wrote());
  std::vector<JobId> left = down(100, 1);
  std::erase_if(left, [](JobId id) { return (id >= 49 && id <= 52) || id == 7 || id == 100 || id == 1 || id == 98; });
  CHECK(ids() == left);
  store->remove(7, true);  // twice is once
  store->remove(8, true);
  store->remove(8, true);
  std::erase(left, 8);
  CHECK(ids() == left);
  CHECK(store->commit());
  CHECK(store->check().empty());
}

TEST_CASE_FIXTURE(Rows, "gathered rows: one that comes and goes in one turn is not there") {
  insert(1, 5);
  store->remove(3, true);
  insert(6, 6);
  store->remove(6, true);
  store->remove(1, true);
  CHECK(ids() == std::vector<JobId>{5, 4, 2});
  CHECK(store->commit());
  CHECK(ids() == std::vector<JobId>{5, 4, 2});
}

TEST_CASE_FIXTURE(Rows, "gathered rows: more than are kept leave, too") {
  insert(1, 2500);
  CHECK(store->commit());
  store->begin(false);
  for (JobId id = 1; id <= 2400; ++id) store->remove(id, true);
  CHECK(store->commit());
  CHECK(ids() == down(2500, 2401));
}

TEST_CASE_FIXTURE(Rows, "gathered rows: a change of a row finds it written") {
  insert(1, 3);
  store->set_error(2, "why");
  CHECK(store->read(2, false).error == "why");
  store->insert(row(4), payload(4));
  store->make_final(4, State::dead, 2000, false);
  CHECK(store->count(State::dead) == 1);
  store->insert(row(5), payload(5));
  CHECK(store->count(State::pending) == 4);
  CHECK(store->commit());
}

TEST_CASE_FIXTURE(Rows, "gathered rows: a transaction that is taken back leaves nothing of them to the next one") {
  insert(1, 2);
  CHECK(store->commit());
  store->begin(false);
  insert(3, 5);
  store->remove(1, true);
  store->rollback();
  store->begin(false);
  CHECK_FALSE(store->wrote());
  CHECK(ids() == std::vector<JobId>{2, 1});
  insert(6, 6);
  CHECK(store->commit());
  CHECK(ids() == std::vector<JobId>{6, 2, 1});
}

TEST_CASE_FIXTURE(Rows, "gathered rows: they are in the file once it is committed, and after a kill") {
  insert(1, 11);
  CHECK(store->commit());
  const std::string copy = home.path() + "/copy.db";
  std::filesystem::copy_file(path, copy);
  std::filesystem::copy_file(path + "-wal", copy + "-wal");
  CHECK(RawDb(copy).number("SELECT count(*) FROM job WHERE payload='payload of '||id OR CAST(payload AS TEXT)='payload of '||id") == 11);
}

TEST_CASE_FIXTURE(Rows, "gathered rows: where they cannot be written, what follows does nothing") {
  auto db = Db::open({.path = home.path() + "/small.db", .vfs = ""}).value();
  db->set_page_size(1024);
  db->exec(kSchema);
  GatheredRows rows(*db, GatheredRows::kJob);
  db->write_before([&] { rows.write(false); });
  db->begin();
  CHECK(GatheredRows::fits(row(1), payload(1)));
  rows.insert(row(1), payload(1), 0);
  CHECK(db->commit());
  db->exec(("PRAGMA max_page_count=" + std::to_string(db->page_count())).c_str());
  db->begin();
  for (JobId id = 2; id <= 8; ++id) {
    CHECK(GatheredRows::fits(row(id), std::string(kBodyInlineMax, 'x')));
    rows.insert(row(id), std::string(kBodyInlineMax, 'x'), 0);
  }
  CHECK(db->ok());
  // SQLite ends the transaction for want of room: this one would be committed by itself.
  Stmt(*db, "UPDATE job SET error='it ran' WHERE id=1").run();
  CHECK_FALSE(db->ok());
  CHECK(db->error().code == HF_E_FULL);
  db->rollback();
  db->clear_error();
  CHECK(db->query_i64("SELECT count(*) FROM job") == 1);
  CHECK(db->query_i64("SELECT count(*) FROM job WHERE error IS NOT NULL") == 0);
}
