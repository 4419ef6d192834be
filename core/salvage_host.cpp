#include "core/salvage_host.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "core/names.h"
#include "core/schema.h"

namespace hf {
namespace {

constexpr size_t kSqlMax = 1 << 20;        // of one object
constexpr size_t kNotMadeMax = 1000;       // bytes of the names of what could not be made
constexpr size_t kObjectsMax = kHostObjectsMax;

using Kind = Value::Kind;

// Action codes of sqlite3_set_authorizer: part of SQLite's interface, they do not change.
enum Action { kCreateIndex = 1, kCreateTable = 2, kCreateTrigger = 7, kCreateView = 8, kInsert = 18, kRead = 20, kSelect = 21, kUpdate = 23, kReindex = 27, kFunction = 31 };

std::string identifier(std::string_view name) {
  std::string out = "\"";
  for (char c : name) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

bool begins(const HostObject& o) {
  auto with = [&](std::string_view text) { return o.sql.starts_with(text); };  // SQLite writes it so, whatever was said
  if (o.type == "table") return with("CREATE TABLE ");
  if (o.type == "index") return with("CREATE INDEX ") || with("CREATE UNIQUE INDEX ");
  if (o.type == "view") return with("CREATE VIEW ");
  return o.type == "trigger" && with("CREATE TRIGGER ");
}

// A statement from a damaged file makes what the schema says that it makes, and does nothing else.
bool allowed(const HostObject& o, int action, std::string_view first, std::string_view second) {
  const bool schema = first == "sqlite_master" || first == "sqlite_schema";
  switch (action) {
    case kInsert: case kUpdate: return schema;
    case kRead: return schema || first == o.table;
    case kFunction: return true;
    case kReindex: return first == o.name;
    case kCreateTable: return o.type == "table" && first == o.name;
    case kCreateView: return o.type == "view" && first == o.name;
    case kCreateTrigger: return o.type == "trigger" && first == o.name && second == o.table;
    case kCreateIndex: return second == o.table && (o.type == "index" ? first == o.name : first.starts_with("sqlite_autoindex_"));
    default: return false;
  }
}

// A table as it is in the new file.
struct Table {
  std::vector<std::string> columns;
  int id = -1;             // the column that is the rowid (INTEGER PRIMARY KEY): NULL in a record
  std::string rowid_name;  // "": all of its names are columns' names
};

class HostSalvage {
 public:
  HostSalvage(const PageImage& image, Db& db, Salvaged& result) : image_(image), db_(db), result_(result) {}

  Status run() {
    db_.begin();
    const std::vector<HostObject>& all = image_.host();
    result_.host_lost_unknown = image_.may_have_others() && !image_.schema_whole();
    // A trigger must not fire for the rows, and an index is made at once.
    for (const char* type : {"table", "index", "view", "trigger"}) {
      for (const HostObject& o : all) {
        if (o.type != type) continue;
        const bool table = o.type == "table";
        std::optional<Table> made = make(o);
        if (made && table) take_rows(o, *made);
        if (!made) not_made(o);
        if (fatal()) return fatal_;
      }
    }
    count_strange();
    write_counts();
    if (!db_.commit()) return db_.error();
    return ok_status();
  }

 private:
  // What is wrong with a row or a statement is no reason to end; what is wrong with the new file is. Forgets the former.
  bool fatal() {
    if (!db_.ok()) note(db_.error());
    if (fatal_.ok()) db_.clear_error();
    return !fatal_.ok();
  }
  void note(const Error& error) {
    if (error.code != HF_E_INTERNAL && error.code != HF_E_TOO_LARGE && fatal_.ok()) fatal_ = error;
  }

  void not_made(const HostObject& o) {
    std::string& names = result_.host_not_made;
    if (names.size() < kNotMadeMax) names += (names.empty() ? "" : ", ") + o.type + " " + one_line(o.name.substr(0, 100));
    if (o.type == "table") lose_rows(o.tree);
  }

  // ---- objects
  std::optional<Table> make(const HostObject& o) {
    if (o.sql.size() > kSqlMax || !begins(o) || is_reserved_name(o.name) || is_reserved_name(o.table) || made_ >= kObjectsMax) return {};
    const Status status = db_.run_guarded(o.sql, [&o](int action, std::string_view first, std::string_view second) { return allowed(o, action, first, second); });
    if (!status) {
      note(status.error());
      return {};
    }
    ++made_;
    if (o.type != "table") return Table();
    std::optional<Table> table = describe(o);
    if (!table) db_.exec(("DROP TABLE " + identifier(o.name)).c_str());
    return table;
  }

  // Nothing if its rows cannot be what is in the old file: that has ordinary tables only.
  std::optional<Table> describe(const HostObject& o) {
    Table table;
    Stmt kind(db_, "SELECT wr FROM pragma_table_list(?1)");
    if (!kind.bind_text(o.name).step() || kind.i64(0) != 0) return {};
    kind.reset();
    Stmt columns(db_, "SELECT name, pk, hidden FROM pragma_table_xinfo(?1)");
    columns.bind_text(o.name);
    int keys = 0;
    while (columns.step()) {
      if (columns.i64(2) != 0) return {};  // generated
      if (columns.i64(1) != 0) ++keys, table.id = static_cast<int>(table.columns.size());
      table.columns.emplace_back(columns.text(0));
    }
    // A primary key that is not the rowid has an index.
    Stmt index(db_, "SELECT 1 FROM pragma_index_list(?1) WHERE origin='pk'");
    if (keys != 1 || index.bind_text(o.name).step()) table.id = -1;
    for (const char* name : {"rowid", "_rowid_", "oid"}) {
      auto same = [&](const std::string& column) { return equal_no_case(column, name); };
      if (table.rowid_name.empty() && std::none_of(table.columns.begin(), table.columns.end(), same)) table.rowid_name = name;
    }
    if (table.columns.empty() || !db_.ok()) return {};
    return table;
  }

  // ---- rows
  // The leaves of one tree, the surest first: of two rows with one id the first one stays.
  template <class F>
  void for_each_leaf(Tree tree, F each) {
    for (const bool sure : {true, false}) {
      for (int64_t page = 2; page <= image_.pages() && fatal_.ok(); ++page) {
        if (image_.tree_of(page) == tree && image_.in_use(page) && image_.surely_in_use(page) == sure && image_.table_leaf(page)) each(page);
      }
    }
  }

  void take_rows(const HostObject& o, const Table& table) {
    if (o.tree == kIgnoredTree) {  // where they are the schema did not say
      result_.host_lost_unknown = true;
      return;
    }
    insert_.reset();
    rowid_taken_sql_ = table.rowid_name.empty() ? "" : "SELECT 1 FROM " + identifier(o.name) + " WHERE " + table.rowid_name + "=?1";
    for_each_leaf(o.tree, [&](int64_t page) {
      int64_t damaged = 0;
      for (const PageRow& row : image_.rows(page, damaged)) take_row(o, table, row);
      result_.host_lost += damaged;
    });
    insert_.reset();
    if (image_.broken_links(o.tree) > 0) result_.host_lost_unknown = true;
  }

  void take_row(const HostObject& o, const Table& table, const PageRow& row) {
    const size_t count = row.values.size();
    // NULL is stored for a column that is the rowid, and a NaN never is.
    const bool id_wrong = table.id >= 0 && static_cast<size_t>(table.id) < count && !row.values[static_cast<size_t>(table.id)].is(Kind::null);
    const bool lost = std::any_of(row.values.begin(), row.values.end(), [](const Value& v) { return v.is(Kind::lost) || (v.is(Kind::real) && std::isnan(real(v))); });
    if (count == 0 || count > table.columns.size() || id_wrong || lost) {
      ++result_.host_lost;
      return;
    }
    Stmt& insert = insert_of(o, table, count);
    for (size_t i = 0; i < count; ++i) {
      if (static_cast<int>(i) == table.id) insert.bind(row.rowid);
      else bind(insert, row.values[i]);
    }
    if (table.id < 0 && !table.rowid_name.empty()) insert.bind(row.rowid);
    const int64_t before = db_.total_changes();
    insert.run();
    const bool failed = !db_.ok();
    if (fatal()) return;
    if (failed) insert_.reset();
    if (db_.total_changes() != before) {
      ++result_.host_rows;
      written();
    } else if (!failed && has_row(row.rowid)) {
      result_.host_lost_unknown = true;  // there is a surer one, in a page that may have been another
    } else {
      ++result_.host_lost;
    }
  }
  static double real(const Value& v) { return std::bit_cast<double>(v.number); }
  static void bind(Stmt& insert, const Value& v) {
    switch (v.kind) {
      case Kind::number: insert.bind(v.number); break;
      case Kind::real: insert.bind_double(real(v)); break;
      case Kind::text: insert.bind_text(v.bytes); break;
      case Kind::blob: insert.bind_blob(v.bytes); break;
      default: insert.bind_null();
    }
  }
  bool has_row(int64_t rowid) {
    if (rowid_taken_sql_.empty()) return false;
    Stmt look(db_, rowid_taken_sql_.c_str());
    return look.bind(rowid).step();
  }

  // Rows that are older than a column have no value of it, and get its default.
  Stmt& insert_of(const HostObject& o, const Table& table, size_t count) {
    if (insert_ && insert_count_ == count) return *insert_;
    const bool with_rowid = table.id < 0 ? !table.rowid_name.empty() : static_cast<size_t>(table.id) >= count;
    std::string names, values;
    for (size_t i = 0; i < count; ++i) {
      names += (i == 0 ? "" : ",") + identifier(table.columns[i]);
      values += i == 0 ? "?" : ",?";
    }
    if (with_rowid) names += "," + table.rowid_name, values += ",?";
    insert_.reset();
    insert_sql_ = "INSERT OR IGNORE INTO " + identifier(o.name) + "(" + names + ") VALUES(" + values + ")";
    insert_count_ = count;
    insert_ = std::make_unique<Stmt>(db_, insert_sql_.c_str());
    return *insert_;
  }

  void written() {
    if (++rows_ % kRowsACommit != 0) return;
    if (!db_.commit()) note(db_.error());
    db_.begin();
  }

  // ---- what is said of it
  void lose_rows(Tree tree) {
    if (tree == kIgnoredTree) {
      result_.host_lost_unknown = true;
      return;
    }
    for_each_leaf(tree, [&](int64_t page) {
      int64_t damaged = 0;
      const size_t rows = image_.rows(page, damaged).size();
      result_.host_lost += static_cast<int64_t>(rows) + damaged;
    });
    if (tree >= kFirstHostTree && image_.broken_links(tree) > 0) result_.host_lost_unknown = true;
  }
  // Rows of tables that the schema does not tell any more; and pages of which nobody knows whether they have such rows.
  void count_strange() {
    if (!image_.may_have_others()) return;
    lose_rows(kStrangeTree);
    for_each_leaf(kNoTree, [&](int64_t) { result_.host_lost_unknown = true; });
  }

  void write_counts() {
    auto add = [this](const char* key, int64_t value) {
      if (value != 0) Stmt(db_, "INSERT INTO meta(key,value) VALUES(?1,?2) ON CONFLICT(key) DO UPDATE SET value=value+excluded.value").bind_text(key).bind(value).run();
    };
    add("salvage_host_rows", result_.host_rows);
    add("salvage_host_lost", result_.host_lost);
    if (result_.host_lost_unknown || !result_.host_not_made.empty()) Stmt(db_, "INSERT OR REPLACE INTO meta(key,value) VALUES('salvage_host_unknown',1)").run();
  }

  const PageImage& image_;
  Db& db_;
  Salvaged& result_;
  Status fatal_ = ok_status();
  size_t made_ = 0;
  int64_t rows_ = 0;
  std::string insert_sql_, rowid_taken_sql_;
  size_t insert_count_ = 0;
  std::unique_ptr<Stmt> insert_;
};

}  // namespace

void read_host_counts(const std::string& path, const std::string& vfs, Salvaged& into) {
  auto image = PageImage::open(path, vfs);
  if (!image) return;
  (*image)->weigh();
  for (int64_t page = 2; page <= (*image)->pages(); ++page) {
    if ((*image)->tree_of(page) != kMetaTree || !(*image)->in_use(page)) continue;
    int64_t damaged = 0;
    for (const PageRow& row : (*image)->rows(page, damaged)) {
      if (row.values.size() != 2 || !row.values[1].is(Kind::number)) continue;
      const std::string& key = row.values[0].bytes;
      if (key == "salvage_host_rows") into.host_rows = row.values[1].number;
      if (key == "salvage_host_lost") into.host_lost = row.values[1].number;
      if (key == "salvage_host_unknown") into.host_lost_unknown = row.values[1].number != 0;
    }
  }
}

Status salvage_host(const PageImage& image, const SalvageOptions& options, Salvaged& result) {
  if (image.host().empty() && !image.may_have_others()) return ok_status();
  auto db = Db::open({options.to, options.vfs});
  if (!db) return db.error();
  (*db)->set_synchronous(false);  // the close waits for all of it
  HF_TRY(HostSalvage(image, **db, result).run());
  (*db)->set_synchronous(true);
  (*db)->query_i64("PRAGMA wal_checkpoint(TRUNCATE)");
  if ((*db)->ok()) (*db)->checkpoint_on_close(true);
  (*db)->close();
  return (*db)->ok() ? ok_status() : Status((*db)->error());
}

}  // namespace hf
