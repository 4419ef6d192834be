// What SQLite's own check says of a file: "ok", or what is wrong.
#pragma once

#include <sqlite3.h>

#include <string>

namespace hf::crash {

inline std::string integrity_of(const std::string& path) {
  sqlite3* db = nullptr;
  std::string text;
  if (sqlite3_open(path.c_str(), &db) == SQLITE_OK) {
    char* error = nullptr;
    sqlite3_exec(db, "PRAGMA integrity_check", [](void* out, int, char** values, char**) {
      *static_cast<std::string*>(out) += values[0];
      return 0;
    }, &text, &error);
    if (error != nullptr) text += error;
    sqlite3_free(error);
  }
  sqlite3_close(db);
  return text.empty() ? "it does not open" : text;
}

}  // namespace hf::crash
