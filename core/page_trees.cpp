// Whose page is which, and whether it is in use: by the trees from their roots down, by the map of pages, by the list of
// free ones. The schema says where the roots are that are not always in one place.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/page_format.h"
#include "core/page_image.h"
#include "core/schema.h"
#include "core/store.h"

namespace hf {

using namespace pages;

namespace {
constexpr int kDeepest = 20;  // levels of a tree, at most
constexpr int64_t kFirstFreeRoot = kBodyTree + 1;  // our tables but hf_brief are before it, in every file
// SQLite keeps all roots at the beginning of a file with a map: this page is one only if there are more than ours.
constexpr int64_t kNotOurRoot = kUniqueTree + 1;
constexpr size_t kSchemaRowsMax = 4000;  // with the indexes that UNIQUE makes

bool is_table_tree(Tree tree) { return tree == kSchemaTree || tree == kLaneTree || tree == kJobTree || tree == kBodyTree || tree == kBriefTree || tree >= kFirstHostTree; }
}  // namespace

int PageImage::pointer(int64_t page, int64_t& parent) const {
  const int64_t each = page_size_ / 5 + 1;  // a page of the map, and the pages that it tells of
  const int64_t map = (page - 2) / each * each + 2;
  if (page < 3 || map == page) return 0;
  auto it = frames_.find(map);
  const int64_t at = 5 * (page - map - 1);
  const std::string entry = it != frames_.end() ? wal_->read(it->second + at, 5)
                            : file_             ? file_->read((map - 1) * page_size_ + at, 5)
                                                : std::string(5, 0);
  parent = u32(entry, 1);
  const int kind = u8(entry, 0);
  if (kind < kRootPage || kind > kTreePage || parent > pages_) return 0;
  if ((kind == kRootPage || kind == kFreePage) != (parent == 0)) return 0;
  return kind;
}

bool PageImage::leads_to(int64_t parent, int64_t child) const {
  const std::string page = read_page(parent);
  const size_t head = header_at(parent);
  if (!interior(u8(page, head))) return false;
  if (u32(page, head + 8) == child) return true;
  const std::vector<size_t> at = cells(page, parent);
  return std::any_of(at.begin(), at.end(), [&](size_t cell) { return u32(page, cell) == child; });
}

// A link that was led astray: the page is a root, or the map names another page above it that leads there as well.
bool PageImage::belongs_elsewhere(int64_t page, int64_t parent) const {
  int64_t above = 0;
  const int kind = pointer(page, above);
  return kind == kRootPage || (kind == kTreePage && above != parent && leads_to(above, page));
}

void PageImage::walk(Tree tree, int64_t root) {
  const bool table = is_table_tree(tree);
  std::vector<std::pair<int64_t, int64_t>> todo{{root, 0}};  // a page, and the one that leads to it
  while (!todo.empty()) {
    const auto [number, parent] = todo.back();
    todo.pop_back();
    if (number < 1 || number > pages_ || (parent != 0 && belongs_elsewhere(number, parent))) {
      ++broken_links_[tree];
      continue;
    }
    uint16_t& owner = tree_[static_cast<size_t>(number)];
    if (reached_[static_cast<size_t>(number)]) {
      ++broken_links_[tree];
      // Theirs or ours, nobody can tell.
      if (owner != tree && (owner >= kStrangeTree || tree >= kStrangeTree)) owner = kStrangeTree;
      continue;
    }
    const std::string page = read_page(number);
    const size_t head = header_at(number);
    const uint8_t type = u8(page, head);
    if (type != (table ? kTableLeaf : kIndexLeaf) && type != (table ? kTableInterior : kIndexInterior)) {
      ++broken_links_[tree];
      continue;
    }
    reached_[static_cast<size_t>(number)] = true;
    owner = tree;
    if (!interior(type)) continue;
    todo.emplace_back(u32(page, head + 8), number);
    const std::vector<size_t> at = cells(page, number);
    if (at.size() != u16(page, head + 3)) ++broken_links_[tree];
    for (size_t cell : at) todo.emplace_back(u32(page, cell), number);
  }
}

Tree PageImage::tree_by_map(int64_t page) const {
  for (int steps = 0; steps < kDeepest; ++steps) {
    if (auto it = roots_.find(page); it != roots_.end()) return it->second;
    int64_t parent = 0;
    const int kind = pointer(page, parent);
    if (kind == kRootPage) return kStrangeTree;
    if (kind != kTreePage) return kNoTree;
    page = parent;
    const Tree known = tree_of(page);
    if (known == kNoTree) continue;
    // What a tree has for a leaf leads nowhere: the map is wrong.
    return !reached_[static_cast<size_t>(page)] || interior(u8(read_page(page), header_at(page))) ? known : kNoTree;
  }
  return kNoTree;
}

void PageImage::read_free_list(std::vector<int8_t>& listed) {
  const std::string header = read_page(1).substr(0, 100);
  const int64_t count = u32(header, 36);
  int64_t seen = 0;
  auto take = [&](int64_t page) {
    if (page < 2 || page > pages_ || listed[static_cast<size_t>(page)] != 0) return false;
    listed[static_cast<size_t>(page)] = 1;
    ++seen;
    return true;
  };
  bool sound = header.substr(0, 16) == kMagic;
  for (int64_t trunk = u32(header, 32); trunk != 0 && sound;) {
    sound = take(trunk);
    if (!sound) break;
    const std::string page = read_page(trunk);
    const size_t leaves = u32(page, 4);
    sound = leaves <= page.size() / 4 - 2;
    for (size_t i = 0; i < leaves && sound; ++i) sound = take(u32(page, 8 + i * 4));
    trunk = u32(page, 0);
  }
  free_list_sound_ = sound && seen == count;
}

// ---- the schema ---------------------------------------------------------------------------------------

// Its rows, by rowid, which is the order in which they were made. A page that no link leads to is found by the map.
std::vector<PageRow> PageImage::schema_rows() {
  std::vector<PageRow> rows;
  for (int64_t page = 1; page <= pages_; ++page) {
    if (broken_links_[kSchemaTree] > 0 && tree_of(page) == kNoTree && tree_by_map(page) == kSchemaTree) tree_[static_cast<size_t>(page)] = kSchemaTree;
    if (tree_of(page) != kSchemaTree || !table_leaf(page)) continue;
    int64_t damaged = 0;
    for (PageRow& row : this->rows(page, damaged)) {
      if (row.values.size() == 4) row.values.emplace_back();  // the sql of an index that UNIQUE makes: NULL, and left out
      if (rows.size() < kSchemaRowsMax) rows.push_back(std::move(row));
    }
    if (damaged > 0) schema_whole_ = false;
  }
  std::stable_sort(rows.begin(), rows.end(), [](const PageRow& a, const PageRow& b) { return a.rowid < b.rowid; });
  return rows;
}

// Where the roots of the others are, and of hf_brief and our indexes: a copy that SQLite made (VACUUM INTO) has them behind the tables of the
// program, and a table that is dropped makes room for the last root. Of two rows with one root neither is believed.
void PageImage::read_schema() {
  schema_whole_ = broken_links_[kSchemaTree] == 0;
  std::set<std::string> names;
  std::map<int64_t, int> claims;
  std::map<int64_t, Tree> ours;                     // hf_brief and our indexes, by the root that the schema says
  std::vector<std::pair<int64_t, int>> theirs;      // root; which of host_, or -1
  auto root_of = [&](const PageRow& row) -> int64_t {
    if (!row.values[3].is(Value::Kind::number)) return 0;
    const int64_t root = row.values[3].number;
    int64_t parent = 0;
    const int kind = root >= kFirstFreeRoot && root <= pages_ ? pointer(root, parent) : kFreePage;
    return kind == 0 || kind == kRootPage ? root : 0;
  };
  for (PageRow& row : schema_rows()) {
    using Kind = Value::Kind;
    std::vector<Value>& v = row.values;
    const bool sound = v.size() == 5 && v[0].is(Kind::text) && v[1].is(Kind::text) && v[2].is(Kind::text) && (v[4].is(Kind::text) || v[4].is(Kind::null));
    if (!sound || !names.insert(v[1].bytes).second) {
      schema_whole_ = false;
      continue;
    }
    const auto our = std::find(kOurNames.begin(), kOurNames.end(), v[1].bytes);
    const int64_t root = root_of(row);
    if (root != 0) ++claims[root];
    if (our != kOurNames.end()) {
      // kOurNames are in the order of Tree.
      const Tree tree = static_cast<Tree>(kMetaTree + (our - kOurNames.begin()));
      if (tree >= kBriefTree && root != 0) ours[root] = tree;
      continue;
    }
    others_ = true;
    const bool table = v[0].bytes == "table";
    int which = -1;
    if (!is_reserved_name(v[1].bytes)) {
      const bool index = v[0].bytes == "index";
      const bool known = table ? root != 0 : index || v[0].bytes == "view" || v[0].bytes == "trigger";
      if (!known || !v[4].is(Kind::text)) {
        schema_whole_ = false;
        if (!index) continue;  // whose rows they are that are there nobody knows
      } else {
        if (table) which = static_cast<int>(host_.size());
        host_.push_back({v[0].bytes, v[1].bytes, v[2].bytes, v[4].bytes, kIgnoredTree});
      }
    }
    if (root != 0) theirs.emplace_back(root, which);
  }
  // A file of format 1 has no hf_brief.
  const bool whole_but_brief = schema_whole_ && std::all_of(kOurNames.begin(), kOurNames.end(), [&](std::string_view name) { return name == kBriefName || names.contains(std::string(name)); });
  brief_absent_ = whole_but_brief && !names.contains(std::string(kBriefName));
  schema_whole_ = whole_but_brief;

  for (const auto& [root, tree] : ours) {
    if (claims[root] == 1) roots_[root] = tree;
  }
  for (const auto& [root, which] : theirs) {
    if (claims[root] != 1) {
      schema_whole_ = false;
      continue;
    }
    Tree tree = kIgnoredTree;
    if (which >= 0) tree = host_[static_cast<size_t>(which)].tree = static_cast<Tree>(kFirstHostTree + which);
    roots_[root] = tree;
  }
  // Where they are as long as nobody moved them.
  const bool old = was_format_1();
  for (int i = old ? kPendingTree : kBriefTree; i <= kUniqueTree; ++i) {  // in an old one hf_brief came last, behind what the program had by then
    const Tree tree = static_cast<Tree>(i);
    const int at = old ? i - 1 : i;
    if (!has_root(tree) && !roots_.contains(at)) roots_[at] = tree;
  }
}

// ---- all of it ----------------------------------------------------------------------------------------

void PageImage::weigh() {
  const size_t n = static_cast<size_t>(pages_) + 1;
  use_.assign(n, 0);
  tree_.assign(n, kNoTree);
  reached_.assign(n, false);
  broken_links_.assign(kFirstHostTree, 0);
  roots_ = {{1, kSchemaTree}};
  for (int root = kMetaTree; root <= kBodyTree; ++root) roots_[root] = static_cast<Tree>(root);
  for (int root = kMetaTree; root <= kBodyTree; ++root) walk(static_cast<Tree>(root), root);
  walk(kSchemaTree, 1);
  read_schema();
  broken_links_.resize(kFirstHostTree + host_.size());
  for (int tree = kBriefTree; tree <= kUniqueTree; ++tree) {
    if (!has_root(static_cast<Tree>(tree)) && !(tree == kBriefTree && brief_absent_)) ++broken_links_[static_cast<size_t>(tree)];
  }
  for (const auto& [root, tree] : roots_) {
    if (tree >= kBriefTree && tree != kIgnoredTree) walk(tree, root);
  }
  others_ = others_ || !nobody_else();
  std::vector<int8_t> listed(n, 0);
  read_free_list(listed);
  for (int64_t page = 3; page <= pages_; ++page) {
    const size_t i = static_cast<size_t>(page);
    int64_t parent = 0;
    const int kind = pointer(page, parent);
    int votes = reached_[i] ? 1 : 0;
    bool heard = reached_[i];
    if (kind == kTreePage || kind == kRootPage) ++votes, heard = true;
    if (kind == kFreePage || kind == kFirstOverflow || kind == kNextOverflow) --votes, heard = true;
    if (listed[i] != 0) --votes, heard = true;
    if (free_list_sound_ && listed[i] == 0 && kind != kFirstOverflow && kind != kNextOverflow) ++votes, heard = true;
    if (!heard) votes = 1;  // nobody knows; its rows come last
    use_[i] = static_cast<int8_t>(std::max(votes, 0));
    if (tree_[i] == kNoTree) tree_[i] = tree_by_map(page);
    if (tree_[i] == kStrangeTree && !others_) tree_[i] = kNoTree;
  }
}

bool PageImage::has_root(Tree tree) const {
  return std::any_of(roots_.begin(), roots_.end(), [tree](const auto& root) { return root.second == tree; });
}

// Then the roots of our indexes begin with the page that is the root of hf_brief in others.
bool PageImage::was_format_1() const {
  const uint8_t type = kBriefTree <= pages_ ? u8(read_page(kBriefTree), 0) : 0;
  return type == kIndexLeaf || type == kIndexInterior;
}

// Whether the file has no tables but ours. The page behind our roots tells, or the whole schema.
bool PageImage::nobody_else() {
  int64_t parent = 0;
  // In a file that was of format 1 the one before it is theirs, or that of hf_brief.
  const int64_t not_ours = was_format_1() && !has_root(kBriefTree) ? kNotOurRoot - 1 : kNotOurRoot;
  const int kind = not_ours <= pages_ ? pointer(not_ours, parent) : kFreePage;
  if (kind != 0) return kind != kRootPage;
  if (schema_whole_ || reached_[static_cast<size_t>(not_ours)]) return true;
  // Nothing of ours is missing: what no tree reaches need not be ours.
  if (broken_links_[kLaneTree] == 0 && broken_links_[kJobTree] == 0 && broken_links_[kBodyTree] == 0) return false;
  return no_sign_of_others();
}

namespace {
enum class Looks : uint8_t { ours, our_last, other };  // our_last: the last row of a schema that is ours alone

Looks looks_of(PageRow& row) {
  using Kind = Value::Kind;
  std::vector<Value>& v = row.values;
  auto is = [&](size_t column, Kind kind) { return v[column].is(kind) || v[column].is(Kind::lost); };
  if ((v.size() == 5 || v.size() == 4) && is(0, Kind::text)) {
    if (std::find(kOurNames.begin(), kOurNames.end(), v[1].bytes) == kOurNames.end()) return Looks::other;
    const bool last = v[1].bytes == kOurNames.back() || v[1].bytes == kBriefName;  // the second in a file that was of format 1
    return last && row.rowid == int64_t{kOurNames.size()} ? Looks::our_last : Looks::ours;
  }
  if (v.empty() || !is(0, Kind::null)) return Looks::other;
  if (v.size() == 2) return is(1, Kind::blob) ? Looks::ours : Looks::other;
  if (v.size() == 5) return is(1, Kind::text) && is(2, Kind::text) && is(3, Kind::text) && is(4, Kind::number) ? Looks::ours : Looks::other;
  if (!whole_job_row(v)) return Looks::other;
  // Any table of numbers has such columns; few have such numbers.
  const auto in = [&](size_t column, int64_t low, int64_t high) { return v[column].is(Kind::lost) || (v[column].number >= low && v[column].number <= high); };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const bool sound = in(1, 1, kLanesMax) && in(2, -1, kStates - 1) && in(3, -HF_PRIORITY_MAX, HF_PRIORITY_MAX) && in(4, 0, kMost) && in(5, 0, kMost) && in(6, 1, kMost);
  return sound ? Looks::ours : Looks::other;
}
}  // namespace

bool whole_job_row(std::vector<Value>& v) {
  using Kind = Value::Kind;
  constexpr size_t kNotNull = 7, kTimes = 10, kColumns = 16;  // numbers; numbers or NULL; text and bytes
  if (v.size() < kNotNull || v.size() > kColumns || !v[0].is(Kind::null)) return false;
  if (v.size() > kNotNull && v.size() < kColumns && v.back().is(Kind::null)) return false;  // one that was not left out
  for (size_t i = 1; i < v.size(); ++i) {
    const bool number = v[i].is(Kind::number), null = v[i].is(Kind::null), lost = v[i].is(Kind::lost);
    const bool bytes = v[i].is(Kind::text) || v[i].is(Kind::blob);
    if (!lost && !(i < kNotNull ? number : null || (i < kTimes ? number : bytes))) return false;
  }
  v.resize(kColumns);
  return true;
}

// Where the beginning of the file is gone, and the roots with it, all that is left to go by is what rows look like: if each one
// that no tree reaches may be ours, they are. But a body could be anybody's, and another payload must not run: unless
// the schema is seen to end with ours it is left out.
bool PageImage::no_sign_of_others() {
  bodies_doubtful_ = true;
  for (int64_t page = 2; page <= pages_; ++page) {
    if (tree_of(page) != kNoTree || !table_leaf(page)) continue;
    int64_t damaged = 0;
    for (PageRow& row : rows(page, damaged)) {
      const Looks looks = looks_of(row);
      if (looks == Looks::other) return false;
      if (looks == Looks::our_last) bodies_doubtful_ = false;
    }
  }
  return true;
}

}  // namespace hf
