// The rules of the house that a compiler does not hold: which room may include which, what core/ may
// not touch, and what is too long. Reads the sources of the tree it was built from.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr size_t kFileLinesMax = 600;
constexpr size_t kFunctionLinesMax = 100;

using Lines = std::vector<std::string>;

struct Source {
  std::string path;  // relative to the root, with /
  std::string room;  // its first folder
  Lines text;        // as written
  Lines code;        // the same lines, comments and the inside of literals blanked
};

// Comments and literals become spaces; line breaks stay, so that line numbers do too.
std::string blank_prose(std::string s) {
  enum { kCode, kLine, kBlock, kString, kChar } state = kCode;
  for (size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    const char next = i + 1 < s.size() ? s[i + 1] : '\0';
    switch (state) {
      case kCode:
        if (c == '/' && (next == '/' || next == '*')) {
          state = next == '/' ? kLine : kBlock;
          s[i] = s[i + 1] = ' ';
          ++i;
        } else if (c == 'R' && next == '"') {  // raw: up to its own delimiter
          const size_t open = s.find('(', i);
          const std::string close = ")" + s.substr(i + 2, open - i - 2) + "\"";
          const size_t end = std::min(s.find(close, open), s.size());
          for (size_t k = open; k < end; ++k) s[k] = s[k] == '\n' ? '\n' : ' ';
          i = end + close.size() - 1;
        } else if (c == '"') {
          state = kString;
        } else if (c == '\'' && (i == 0 || !std::isalnum(static_cast<unsigned char>(s[i - 1])))) {
          state = kChar;  // not the separator in 1'000
        }
        break;
      case kLine:
        if (c == '\n') state = kCode;
        else s[i] = ' ';
        break;
      case kBlock:
        if (c == '*' && next == '/') {
          state = kCode;
          s[i] = s[i + 1] = ' ';
          ++i;
        } else if (c != '\n') {
          s[i] = ' ';
        }
        break;
      case kString:
      case kChar:
        if (c == (state == kString ? '"' : '\'')) {
          state = kCode;
        } else if (c == '\\' && next != '\n') {
          s[i] = s[i + 1] = ' ';
          ++i;
        } else if (c != '\n') {
          s[i] = ' ';
        }
        break;
    }
  }
  return s;
}

Lines split(const std::string& s) {
  Lines lines;
  size_t from = 0;
  while (from < s.size()) {
    size_t to = s.find('\n', from);
    if (to == std::string::npos) to = s.size();
    lines.push_back(s.substr(from, to - from));
    from = to + 1;
  }
  return lines;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_word(char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; }

// Is `word` there as a whole word? With `called`, only as a call of a free function: word(...).
bool mentions(std::string_view line, std::string_view word, bool called) {
  for (size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    const char before = at > 0 ? line[at - 1] : ' ';
    size_t after = at + word.size();
    if (is_word(before) || (after < line.size() && is_word(line[after]))) continue;
    if (!called) return true;
    const bool member = before == '.' || (before == '>' && at > 1 && line[at - 2] == '-');
    // A declaration ("int64_t time(") has a name before it, a call has not, but for `return`.
    const std::string_view head = line.substr(0, at);
    const size_t last = head.find_last_not_of(' ');
    const bool declared = before == ' ' && last != std::string_view::npos && is_word(head[last]) &&
                          !head.substr(0, last + 1).ends_with("return");
    while (after < line.size() && line[after] == ' ') ++after;
    if (!member && !declared && after < line.size() && line[after] == '(') return true;
  }
  return false;
}

struct Include {
  std::string name;
  bool angle;
};
bool include_of(const std::string& line, Include& out) {
  const size_t hash = line.find_first_not_of(' ');
  if (hash == std::string::npos || line.compare(hash, 8, "#include") != 0) return false;
  const size_t open = line.find_first_of("<\"", hash);
  if (open == std::string::npos) return false;
  out.angle = line[open] == '<';
  const size_t close = line.find(out.angle ? '>' : '"', open + 1);
  out.name = line.substr(open + 1, close - open - 1);
  return true;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> found;
    const fs::path root = HOLDFAST_SOURCE_DIR;
    for (const char* room : {"include", "core", "platform", "handlers", "apps", "tests", "examples"}) {
      if (!fs::exists(root / room)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
        const std::string ext = entry.path().extension().string();
        if (ext != ".cpp" && ext != ".h" && ext != ".hpp" && ext != ".c") continue;
        Source source{fs::relative(entry.path(), root).generic_string(), room, {}, {}};
        const std::string text = read_file(entry.path());
        source.text = split(text);
        source.code = split(blank_prose(text));
        found.push_back(std::move(source));
      }
    }
    return found;
  }();
  return all;
}

std::string where(const Source& source, size_t index) {
  return source.path + ":" + std::to_string(index + 1) + ": ";
}

void report(const std::string& problem) {
  CHECK_MESSAGE(false, problem);
}

// Words that a room's code may not use.
struct Ban {
  const char* word;
  bool called;
};
void ban(const Source& source, const std::vector<Ban>& bans, const char* why) {
  for (size_t i = 0; i < source.code.size(); ++i) {
    for (const Ban& b : bans) {
      if (mentions(source.code[i], b.word, b.called)) {
        report(where(source, i) + "`" + b.word + "` " + why);
      }
    }
  }
}

const std::vector<Ban> kSleeps = {{"sleep_for", false}, {"sleep_until", false}, {"usleep", true},
                                  {"nanosleep", true},  {"sleep", true},        {"clock_nanosleep", true}};

bool is_library(const Source& s) {
  return s.room == "core" || s.room == "platform" || s.room == "handlers";
}

}  // namespace

TEST_CASE("the rules themselves notice what they are for") {
  CHECK(blank_prose("a // time(0)\nb") == "a           \nb");
  CHECK(blank_prose("f(\"time(0)\");") == "f(\"       \");");
  CHECK(blank_prose("int n = 1'000; /* x */ g();").ends_with("g();"));
  CHECK(mentions("  x = time(nullptr);", "time", true));
  CHECK(mentions("  x = ::time (nullptr);", "time", true));
  CHECK(mentions("  return time(nullptr);", "time", true));
  CHECK_FALSE(mentions("  x = due_time(1);", "time", true));
  CHECK_FALSE(mentions("  x = row.time(1);", "time", true));
  CHECK_FALSE(mentions("int64_t time(int column);", "time", true));
  CHECK(mentions("std::chrono::steady_clock::now()", "steady_clock", false));
  CHECK(sources().size() > 3);  // else the tree was not found, and all below would pass
}

TEST_CASE("rooms include only what lies below them") {
  const std::map<std::string, std::set<std::string>> below = {
      {"core", {"core"}},
      {"platform", {"core", "platform"}},
      {"handlers", {"core", "platform", "handlers"}},
      {"apps", {"core", "platform", "handlers", "apps"}},
  };
  for (const Source& source : sources()) {
    const auto allowed = below.find(source.room);
    if (allowed == below.end()) continue;
    for (size_t i = 0; i < source.text.size(); ++i) {
      Include include;
      if (!include_of(source.text[i], include) || include.angle) continue;
      const std::string room = include.name.substr(0, include.name.find('/'));
      if (include.name.find('/') == std::string::npos) {
        report(where(source, i) + "\"" + include.name + "\": name the room (\"" + source.room + "/...\")");
      } else if (!allowed->second.contains(room)) {
        report(where(source, i) + source.room + "/ may not include " + room + "/");
      }
    }
  }
}

TEST_CASE("core/ knows the standard library and, in three files, SQLite") {
  std::set<std::string> sqlite_users;
  for (const Source& source : sources()) {
    for (size_t i = 0; i < source.text.size(); ++i) {
      Include include;
      if (!include_of(source.text[i], include)) continue;
      if (include.name == "sqlite3.h" && is_library(source)) sqlite_users.insert(source.path);
      if (source.room != "core" || !include.angle || include.name == "sqlite3.h") continue;
      // Only the headers of the C++ standard have no extension.
      if (include.name.find('.') != std::string::npos && include.name != "holdfast.h" && !include.name.ends_with("sqlite3ext.h")) {
        report(where(source, i) + "core/ may not include <" + include.name + ">");
      }
    }
  }
  for (const std::string& user : sqlite_users) {
    if (user != "core/sqlite.cpp" && user != "core/guest.cpp" && user != "core/write_count.cpp") {
      report(user + ": sqlite3.h belongs in core/sqlite.cpp, core/guest.cpp and core/write_count.cpp");
    }
  }
}

TEST_CASE("core/ reads no clock, no randomness, no environment and no network") {
  std::vector<Ban> bans = kSleeps;
  for (const char* word : {"steady_clock", "system_clock", "high_resolution_clock", "random_device"}) {
    bans.push_back({word, false});
  }
  for (const char* call : {"time", "clock", "clock_gettime", "gettimeofday", "localtime", "localtime_r",
                           "gmtime", "mktime", "rand", "srand", "getrandom", "getenv",
                           "secure_getenv", "socket", "connect", "getaddrinfo"}) {
    bans.push_back({call, true});
  }
  for (const Source& source : sources()) {
    if (source.room == "core") ban(source, bans, "is not for core/: it is given time, chance and settings");
  }
}

TEST_CASE("the library never exits and never prints") {
  const std::vector<Ban> bans = {{"exit", true},   {"quick_exit", true}, {"cout", false}, {"cerr", false},
                                 {"printf", true}, {"puts", true},       {"perror", true}};
  for (const Source& source : sources()) {
    if (is_library(source)) ban(source, bans, "is not for a library");
  }
}

TEST_CASE("tests use the virtual clock, never a sleep") {
  for (const Source& source : sources()) {
    if (source.room == "tests" && !source.path.starts_with("tests/e2e/") &&
        source.path != "tests/tidy_test.cpp" && source.path != "tests/bench/delaysync.c") {
      ban(source, kSleeps, "is not for tests: steer the clock, or wait for the event itself");
    }
  }
}

TEST_CASE("files and functions one can see whole") {
  for (const Source& source : sources()) {
    if (source.text.size() > kFileLinesMax) {
      report(source.path + ": " + std::to_string(source.text.size()) + " lines: it is two things");
    }
    // A function as the formatter writes it: its head begins in the first column and ends in `{`,
    // and the next `}` in the first column closes it.
    size_t start = 0;
    bool inside = false;
    for (size_t i = 0; i < source.code.size(); ++i) {
      const std::string& line = source.code[i];
      if (line.empty()) continue;
      if (line[0] == '}') {
        if (inside && i - start > kFunctionLinesMax && source.room != "tests") {
          report(where(source, start) + "a function of " + std::to_string(i - start) + " lines");
        }
        inside = false;
      } else if (!inside && (std::isalpha(static_cast<unsigned char>(line[0])) != 0)) {
        static const std::set<std::string> kNot = {"namespace", "class", "struct", "enum", "union", "extern"};
        const std::string first = line.substr(0, line.find_first_of(" ("));
        start = i;
        inside = line.find_last_not_of(' ') != std::string::npos && line[line.find_last_not_of(' ')] == '{' &&
                 !kNot.contains(first);
      }
    }
  }
}

TEST_CASE("every source and test is in a CMakeLists.txt") {
  const fs::path root = HOLDFAST_SOURCE_DIR;
  for (const Source& source : sources()) {
    const fs::path path = source.path;
    const bool test = source.room == "tests" && source.path.ends_with("_test.cpp");
    const bool part = (is_library(source) || source.room == "apps") && path.extension() == ".cpp";
    if (!test && !part) continue;
    bool listed = false;  // in the list of its folder, or of one above it
    for (fs::path folder = path.parent_path(); !listed && !folder.empty(); folder = folder.parent_path()) {
      const std::string list = read_file(root / folder / "CMakeLists.txt");
      const std::string name = fs::relative(root / path, root / folder).generic_string();
      for (const std::string& line : split(list)) {
        const std::string code = line.substr(0, line.find('#'));
        size_t at = code.find(name);
        for (; !listed && at != std::string::npos; at = code.find(name, at + 1)) {
          const char before = at > 0 ? code[at - 1] : ' ';
          listed = !is_word(before) && before != '-';
        }
      }
    }
    if (!listed) report(source.path + ": in no CMakeLists.txt");
  }
}

TEST_CASE("nothing is left for later, and no product type has a door for tests") {
  const std::vector<std::string> marks = {std::string("TO") + "DO", std::string("FIX") + "ME",
                                          std::string("XX") + "X"};
  for (const Source& source : sources()) {
    for (size_t i = 0; i < source.text.size(); ++i) {
      for (const std::string& mark : marks) {
        if (mentions(source.text[i], mark, false)) report(where(source, i) + mark);
      }
      if (is_library(source) && mentions(source.code[i], "friend", false) &&
          source.code[i].find("Test") != std::string::npos) {
        report(where(source, i) + "a friend for tests");
      }
    }
  }
}
