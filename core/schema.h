// The tables. Columns and their meaning: docs/disk-format.md; kSchemaVersion names this version.
#pragma once

#include <array>
#include <string_view>

namespace hf {

// Order of job's columns: what is small and often read comes first, so that a large payload's
// overflow pages are not touched to read it. Values that are usual are 0 or NULL, which take no bytes.
inline constexpr const char* kSchema = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE lane(
  id INTEGER PRIMARY KEY,
  queue TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL,
  origin INTEGER NOT NULL);
CREATE TABLE queue(name TEXT PRIMARY KEY, paused INTEGER NOT NULL, settings BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE schedule(
  name TEXT PRIMARY KEY, spec BLOB NOT NULL,
  paused INTEGER NOT NULL, next INTEGER NOT NULL, fire INTEGER NOT NULL,
  last INTEGER NOT NULL, last_job INTEGER NOT NULL,
  fired INTEGER NOT NULL, skipped INTEGER NOT NULL, failures INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE job(
  id INTEGER PRIMARY KEY,
  lane INTEGER NOT NULL,
  state INTEGER NOT NULL,
  nprio INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  created INTEGER NOT NULL,
  finished INTEGER,
  at INTEGER,
  expires INTEGER,
  ukey TEXT,
  opts BLOB,
  error TEXT,
  history BLOB,
  payload BLOB,
  result BLOB);
CREATE TABLE body(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE hf_brief(
  id INTEGER PRIMARY KEY,
  lane, state, nprio, due, attempts, created, finished, at, expires, ukey, opts, error, history, payload);
CREATE INDEX job_pending ON job(lane, nprio, due) WHERE state=0;
CREATE INDEX job_running ON job(state) WHERE state=1;
CREATE INDEX job_final ON job(state, finished) WHERE state>=2;
CREATE INDEX job_at ON job(at) WHERE at IS NOT NULL AND state=0;
CREATE INDEX job_expires ON job(expires) WHERE expires IS NOT NULL AND state=0;
CREATE UNIQUE INDEX job_unique ON job(ukey) WHERE ukey IS NOT NULL;
)sql";

// The program's own tables may lie in the same file (include/holdfast_sqlite.h). What is not ours is theirs. In the order of kSchema.
inline constexpr std::array<std::string_view, 13> kOurNames = {
    "meta", "lane", "queue", "schedule", "job", "body", "hf_brief", "job_pending", "job_running", "job_final", "job_at", "job_expires", "job_unique"};
inline constexpr std::string_view kBriefName = "hf_brief";  // since format 2
inline constexpr int kHostObjectsMax = 200;  // their tables, indexes, views and triggers
// Names that they cannot have, as SQLite compares names: ours, SQLite's, and those that tables of a later Holdfast will have (hf_).
constexpr bool is_reserved_name(std::string_view name) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  auto begins = [&](std::string_view with) {
    for (size_t i = 0; i < with.size(); ++i) {
      if (i >= name.size() || lower(name[i]) != with[i]) return false;
    }
    return true;
  };
  for (std::string_view ours : kOurNames) {
    if (name.size() == ours.size() && begins(ours)) return true;
  }
  return begins("sqlite_") || begins("hf_");
}

}  // namespace hf
