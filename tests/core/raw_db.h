// The file as it is, past the store: to look at it, or to make one that the store must refuse.
#pragma once

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <string>
#include <vector>

namespace hf::test {

class RawDb {
 public:
  explicit RawDb(const std::string& path) { REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK); }
  ~RawDb() { sqlite3_close(db_); }
  RawDb(const RawDb&) = delete;
  RawDb& operator=(const RawDb&) = delete;

  using Rows = std::vector<std::vector<std::string>>;
  Rows query(const std::string& sql) {
    Rows rows;
    sqlite3_stmt* s = nullptr;
    REQUIRE_MESSAGE(sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr) == SQLITE_OK, sqlite3_errmsg(db_));
    while (sqlite3_step(s) == SQLITE_ROW) {
      auto& row = rows.emplace_back();
      for (int i = 0; i < sqlite3_column_count(s); ++i) {
        auto* text = reinterpret_cast<const char*>(sqlite3_column_text(s, i));
        row.emplace_back(text != nullptr ? text : "");
      }
    }
    sqlite3_finalize(s);
    return rows;
  }
  void run(const std::string& sql) { REQUIRE_MESSAGE(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK, sqlite3_errmsg(db_)); }
  int64_t number(const std::string& sql) {
    Rows rows = query(sql);
    return rows.empty() ? 0 : std::stoll(rows[0][0]);
  }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace hf::test
