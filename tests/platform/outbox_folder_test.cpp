// Files of a folder into which others write: what is opened, and what is not.
#include "platform/files/outbox_folder.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "platform/files/sha256.h"
#include "tests/temp_folder.h"

using namespace hf;
namespace fs = std::filesystem;

namespace {

struct Outbox {
  TempFolder home;
  OutboxFolder folder{home / "outbox"};
  Outbox() {
    fs::create_directories(home / "outbox/a/b");
    write("outbox/a/b/file", "inside");
    write("secret", "outside");
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(home / name) << text; }
  int refused(const std::string& path, int64_t max_bytes = kFileBytesMax) const {
    const auto file = folder.open(path, max_bytes);
    return file ? HF_OK : file.error().code;
  }
  std::string content(const std::string& path) const {
    const auto file = folder.open(path);
    if (!file) return file.error().message;
    std::string text(static_cast<size_t>((*file)->state().size), '\0');
    const Status got = (*file)->read(0, text.data(), text.size());
    return got ? text : got.error().message;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Outbox, "outbox: a regular file below it is opened, and read from where one likes") {
  CHECK(content("a/b/file") == "inside");
  const auto file = folder.open("a/b/file");
  REQUIRE(file.ok());
  char part[3];
  REQUIRE((*file)->read(2, part, 3).ok());
  CHECK(std::string(part, 3) == "sid");
  CHECK((*file)->read(5, part, 3).error().code == HF_E_CONFLICT);  // beyond its end
}

TEST_CASE_FIXTURE(Outbox, "outbox: no name leads out of it, and nothing but a regular file is opened") {
  fs::create_symlink(home / "secret", home / "outbox/link");
  fs::create_symlink("b/file", home / "outbox/a/inner");
  fs::create_directory_symlink(home.path(), home / "outbox/up");
  fs::create_directory_symlink("b", home / "outbox/a/c");
  REQUIRE(mkfifo((home / "outbox/pipe").c_str(), 0600) == 0);
  for (const char* path : {"", "/etc/passwd", "..", "../secret", "a/../../secret", "a/./b/file", "a//b/file", "a/b/", ".", "link", "a/inner", "up/secret",
                           "a/c/file", "pipe", "a", "a/b/file/x"}) {
    CAPTURE(path);
    CHECK(refused(path) == HF_E_INVALID);
  }
  CHECK(refused(std::string("a\0b", 3)) == HF_E_INVALID);
  CHECK(refused(std::string(kFileNameMax, 'n')) == HF_E_INVALID);  // longer than a name may be
  CHECK(refused(std::string(kFileNameMax + 1, 'n')) == HF_E_INVALID);
  CHECK(refused("a/missing") == HF_E_NOT_FOUND);
  CHECK(refused("missing/file") == HF_E_NOT_FOUND);
  CHECK(OutboxFolder(home / "nowhere").open("x").error().code == HF_E_STATE);
  CHECK(OutboxFolder(home / "secret").open("x").error().code == HF_E_STATE);
}

TEST_CASE_FIXTURE(Outbox, "outbox: name by name it is the same, where the kernel does not have openat2") {
  fs::create_symlink(home / "secret", home / "outbox/link");
  fs::create_directory_symlink("b", home / "outbox/a/c");
  const Descriptor root(open((home / "outbox").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto error_of = [&](int (*how)(int, const std::string&, int), const char* path) {
    const Descriptor fd(how(root.fd, path, O_RDONLY));
    return fd.fd >= 0 ? 0 : errno;
  };
  for (const auto how : {open_beneath, open_by_steps}) {
    CHECK(error_of(how, "a/b/file") == 0);
    CHECK(error_of(how, "a") == 0);
    CHECK(error_of(how, "link") == ELOOP);
    CHECK(error_of(how, "a/missing") == ENOENT);
    CHECK(error_of(how, "missing/file") == ENOENT);
    const int through_link = error_of(how, "a/c/file");
    CHECK((through_link == ELOOP || through_link == ENOTDIR));
  }
}

TEST_CASE_FIXTURE(Outbox, "outbox: the size has a limit") {
  CHECK(refused("a/b/file", 6) == HF_OK);
  CHECK(refused("a/b/file", 5) == HF_E_TOO_LARGE);
}

TEST_CASE_FIXTURE(Outbox, "outbox: a file that changes while it is read is noticed") {
  const auto file = folder.open("a/b/file");
  REQUIRE(file.ok());
  char part[2];
  CHECK((*file)->read(0, part, 2).ok());
  SUBCASE("longer") { std::ofstream(home / "outbox/a/b/file", std::ios::app) << "more"; }
  SUBCASE("as long, written anew") {
    const timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 5}};
    write("outbox/a/b/file", "INSIDE");
    REQUIRE(utimensat(AT_FDCWD, (home / "outbox/a/b/file").c_str(), times, 0) == 0);
  }
  CHECK((*file)->read(0, part, 2).error().code == HF_E_CONFLICT);
}

TEST_CASE_FIXTURE(Outbox, "outbox: it deletes the file that was read, and no other one of its name") {
  const FileState state = (*folder.open("a/b/file"))->state();
  write("outbox/a/b/new", "inside");
  fs::rename(home / "outbox/a/b/new", home / "outbox/a/b/file");
  CHECK(folder.remove("a/b/file", state).error().code == HF_E_CONFLICT);
  CHECK(fs::exists(home / "outbox/a/b/file"));
  CHECK(folder.remove("../secret", state).error().code == HF_E_INVALID);
  CHECK(folder.remove("a/b/file", (*folder.open("a/b/file"))->state()).ok());
  CHECK_FALSE(fs::exists(home / "outbox/a/b/file"));
  CHECK(folder.remove("a/b/file", state).error().code == HF_E_NOT_FOUND);
  write("outbox/top", "x");
  CHECK(folder.remove("top", (*folder.open("top"))->state()).ok());
  CHECK_FALSE(fs::exists(home / "outbox/top"));
}

TEST_CASE("sha256: of pieces, as FIPS 180-4 has it") {
  const auto sum = [](std::initializer_list<std::string_view> pieces) {
    Sha256 hash;
    for (const std::string_view piece : pieces) hash.add(piece);
    return *hash.finish();
  };
  const std::string abc("\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad", 32);
  CHECK(sum({"abc"}) == abc);
  CHECK(sum({"a", "", "bc"}) == abc);
}
