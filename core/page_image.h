// A queue file as pages and rows, read past SQLite: for a file in which SQLite finds damage, or in which it cannot
// find its way at all. https://www.sqlite.org/fileformat2.html is the specification.
//
// SQLite looks for a row from the root down, so one damaged page may hide a thousand sound ones. This reader asks of
// each page whether it is in use (three witnesses: the trees that lead to it, the pointer map that auto-vacuum keeps,
// the list of free pages), and takes what is in it. The write-ahead log is laid over the file as SQLite would.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "core/sqlite.h"

namespace hf {

// The trees. The numbers of ours are the pages of their roots in a file as it is made; those of our tables, and of meta,
// queue and schedule, are so in every file (salvage_test holds this).
enum Tree : uint16_t {
  kNoTree = 0, kSchemaTree = 1, kMetaTree = 3, kLaneTree, kQueueTree, kScheduleTree, kJobTree, kBodyTree, kBriefTree,
  kPendingTree, kRunningTree, kFinalTree, kAtTree, kExpiresTree, kUniqueTree,
  kStrangeTree,   // not ours, and nobody knows whose
  kIgnoredTree,   // not ours, and not needed: indexes, tables with reserved names
  kFirstHostTree  // the program's tables: host()[tree - kFirstHostTree]
};

// A row of the schema that is the program's, and not ours.
struct HostObject {
  std::string type, name, table, sql;
  Tree tree = kIgnoredTree;  // of a table whose root is known: where its rows are
};

struct Value {
  enum class Kind : uint8_t { null, number, real, text, blob, lost };  // lost: its bytes are on a page that is damaged
  Kind kind = Kind::null;
  int64_t number = 0;  // of a real: its 64 bits
  std::string bytes;
  bool is(Kind k) const { return kind == k; }
};

struct PageRow {
  int64_t rowid = 0;  // of a table's leaf; 0 in an index
  std::vector<Value> values;
};

// True if these may be the columns of a job, by their number and kinds. SQLite leaves out those at the end that are NULL
// (SQLITE_ENABLE_NULL_TRIM; the file may be older): they are put back.
bool whole_job_row(std::vector<Value>& values);

// What the log beside a file holds.
struct LogState {
  bool present = false;
  bool headless = false;  // its header is damaged and its frames are not: SQLite would see no log at all
  bool foreign = false;   // it is of another database, or of this one before: SQLite would take its pages all the same
  int transactions = 0;   // that SQLite reads
  int cut_off = 0;        // whole ones behind a damaged frame, which SQLite does not read
};

class PageImage {
 public:
  // The file is locked as by one who writes (HF_E_LOCKED); a missing file is one without bytes.
  static Result<std::unique_ptr<PageImage>> open(const std::string& path, const std::string& vfs);

  // True if the bytes say that the file was made by Holdfast, or is a piece of such a file.
  bool is_ours() const { return ours_; }
  // It is a database, and shows no sign of being ours; nor is it one without a table, which may become ours.
  bool is_foreign() const { return foreign_; }
  // There is nothing in the file, or nothing but zeros or ones, as flash is when it was erased.
  bool is_blank() const { return blank_; }
  // It is blank, or a database without a table.
  bool holds_nothing() const { return blank_ || no_tables_; }
  // The first bytes of the file are not what every file of ours begins with.
  bool header_damaged() const { return header_damaged_; }
  const LogState& log() const { return log_state_; }
  // Sectors of the file and of its log that cannot be read; -1 if hardly one can.
  int64_t unreadable_sectors() const;
  int page_size() const { return page_size_; }
  int64_t pages() const { return pages_; }
  int64_t bytes() const { return file_ ? file_->size() : 0; }

  // REQUIRES, for what follows: weigh() was called.
  void weigh();
  bool in_use(int64_t page) const { return use_[static_cast<size_t>(page)] > 0; }
  bool surely_in_use(int64_t page) const { return use_[static_cast<size_t>(page)] > 1; }
  // How often a tree leads to a page that is not one of its own: what hung there is known by the pointer map alone.
  int64_t broken_links(Tree tree) const { return broken_links_[tree]; }
  Tree tree_of(int64_t page) const { return static_cast<Tree>(tree_[static_cast<size_t>(page)]); }
  // The objects that are not ours, in the order in which they were made, as far as the schema reads; schema_whole(): there
  // were no others.
  const std::vector<HostObject>& host() const { return host_; }
  bool schema_whole() const { return schema_whole_; }
  // There may be tables that are not ours: a page counts as ours only if a tree of ours, or the map, says so. In doubt a
  // body does not count as one by its looks.
  bool may_have_others() const { return others_; }
  bool may_be_body(int64_t page) const { return tree_of(page) != kNoTree || !bodies_doubtful_; }
  bool may_be_ours(int64_t page) const { return tree_of(page) == kNoTree ? !others_ : tree_of(page) < kStrangeTree; }
  // The rows of one page, those that can be read; of an interior page of an index too. `damaged` counts cells that
  // cannot.
  std::vector<PageRow> rows(int64_t page, int64_t& damaged) const;
  bool table_leaf(int64_t page) const;

 private:
  PageImage() = default;
  void look_at_log();
  void choose_page_size();
  void find_signs();
  bool log_is_foreign() const;
  struct Identity {  // what the table meta says of itself; -1: nothing that reads
    int64_t file_id = -1, copy = 0, opens = -1, clean = -1;
    bool in_log = false;  // a page of the table is in the log
  };
  Identity identity(bool with_log) const;
  std::string salts_of_frames() const;
  std::string read_page(int64_t page, bool with_log = true) const;
  bool has_root(Tree tree) const;
  bool was_format_1() const;
  void walk(Tree tree, int64_t root);
  bool leads_to(int64_t parent, int64_t child) const;
  bool belongs_elsewhere(int64_t page, int64_t parent) const;
  Tree tree_by_map(int64_t page) const;
  std::vector<PageRow> schema_rows();
  void read_schema();
  bool nobody_else();
  bool no_sign_of_others();
  void read_free_list(std::vector<int8_t>& listed);
  int pointer(int64_t page, int64_t& parent) const;  // the kind in the pointer map; 0: not readable
  std::string payload(std::string_view page, int64_t number, size_t at, uint64_t size, bool table) const;
  bool row_at(std::string_view page, int64_t number, size_t at, PageRow& row) const;

  std::unique_ptr<RawFile> file_, wal_;
  bool ours_ = false, foreign_ = false, blank_ = true, header_damaged_ = false, no_tables_ = false;
  LogState log_state_;
  int page_size_ = 0;
  int64_t pages_ = 0;
  std::unordered_map<int64_t, int64_t> frames_;  // page -> where its latest image is in the log
  std::vector<int8_t> use_;
  std::vector<uint16_t> tree_;
  std::vector<bool> reached_;
  std::vector<int64_t> broken_links_;  // by tree
  bool brief_absent_ = false;  // there is no hf_brief, and nothing is wrong with that
  std::map<int64_t, Tree> roots_;
  std::vector<HostObject> host_;
  bool free_list_sound_ = false, schema_whole_ = false, others_ = false, bodies_doubtful_ = false;
};

}  // namespace hf
