#include "platform/listen_socket.h"

#include <doctest/doctest.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/temp_folder.h"

using namespace hf;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat file {};
  REQUIRE(lstat(path.c_str(), &file) == 0);
  return file.st_mode;
}

bool exists(const std::string& path) { return std::filesystem::exists(std::filesystem::symlink_status(path)); }

std::size_t files_in(const TempFolder& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

// A socket file whose server is dead.
void abandon_socket(const std::string& path) {
  auto socket = ListenSocket::create(path, 0600, {});
  REQUIRE(socket.ok());
  const std::string kept = path + ".kept";
  REQUIRE(rename(path.c_str(), kept.c_str()) == 0);  // out of the destructor's way
  socket = Error{};
  REQUIRE(rename(kept.c_str(), path.c_str()) == 0);
}

int failure(const std::string& path) {
  const auto socket = ListenSocket::create(path, 0600, {});
  return socket.ok() ? HF_OK : socket.error().code;
}

}  // namespace

TEST_CASE("listen socket: appears with its mode, goes with its owner, leaves nothing else") {
  const TempFolder folder;
  const std::string path = folder / "s";
  {
    const auto socket = ListenSocket::create(path, 0660, {});
    REQUIRE(socket.ok());
    CHECK(mode_of(path) == (S_IFSOCK | 0660));
    CHECK(files_in(folder) == 1);
  }
  CHECK(files_in(folder) == 0);
}

TEST_CASE("listen socket: the group") {
  const TempFolder folder;
  const auto socket = ListenSocket::create(folder / "s", 0660, getgid());
  REQUIRE(socket.ok());
  struct stat file {};
  REQUIRE(lstat((folder / "s").c_str(), &file) == 0);
  CHECK(file.st_gid == getgid());
}

TEST_CASE("listen socket: an abandoned one is replaced") {
  const TempFolder folder;
  abandon_socket(folder / "s");
  REQUIRE(exists(folder / "s"));
  CHECK(failure(folder / "s") == HF_OK);
  CHECK(files_in(folder) == 0);
}

TEST_CASE("listen socket: a live one is left alone, and its process named") {
  const TempFolder folder;
  const auto first = ListenSocket::create(folder / "s", 0600, {});
  REQUIRE(first.ok());
  const auto second = ListenSocket::create(folder / "s", 0600, {});
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == HF_E_CONFLICT);
  CHECK(second.error().message.find("process " + std::to_string(getpid())) != std::string::npos);
  CHECK(exists(folder / "s"));
}

TEST_CASE("listen socket: one that only a child of a dead server still holds is replaced") {
  const TempFolder folder;
  int hold[2];
  REQUIRE(pipe(hold) == 0);
  const pid_t server = fork();
  if (server == 0) {
    const auto socket = ListenSocket::create(folder / "s", 0600, {});
    if (fork() == 0) {  // lives on with the server's descriptors, until the test closes the pipe
      close(hold[1]);
      char byte;
      (void)!read(hold[0], &byte, 1);
    }
    _exit(0);
  }
  REQUIRE(server > 0);
  CHECK(waitpid(server, nullptr, 0) == server);
  REQUIRE(exists(folder / "s"));
  CHECK(failure(folder / "s") == HF_OK);
  for (const int end : hold) close(end);
}

TEST_CASE("listen socket: what is not a socket is not removed") {
  const TempFolder folder;
  std::ofstream(folder / "file") << "precious";
  std::filesystem::create_directory(folder / "dir");
  std::filesystem::create_symlink(folder / "file", folder / "link");
  for (const char* name : {"file", "dir", "link"}) {
    CHECK(failure(folder / name) == HF_E_INVALID);
    CHECK(exists(folder / name));
  }
}

TEST_CASE("listen socket: the path's length, to the byte") {
  const TempFolder folder;
  const auto path_of = [&](std::size_t bytes) {
    return folder / std::string(bytes - folder.path().size() - 1, 'x');
  };
  const auto longest = ListenSocket::create(path_of(kSocketPathMax), 0600, {});
  CHECK(longest.ok());
  CHECK(exists(path_of(kSocketPathMax)));
  const auto longer = ListenSocket::create(path_of(kSocketPathMax + 1), 0600, {});
  REQUIRE_FALSE(longer.ok());
  CHECK(longer.error().code == HF_E_INVALID);
  CHECK(longer.error().message.find("107") != std::string::npos);
  CHECK(failure("") == HF_E_INVALID);
}

TEST_CASE("listen socket: a short name in a folder with a long one") {
  const TempFolder folder;
  const std::string deep = folder / std::string(kSocketPathMax - folder.path().size() - 3, 'd');
  std::filesystem::create_directory(deep);
  REQUIRE((deep + "/s").size() == kSocketPathMax);  // no room for a temporary name
  const auto socket = ListenSocket::create(deep + "/s", 0660, {});
  REQUIRE(socket.ok());
  CHECK(mode_of(deep + "/s") == (S_IFSOCK | 0660));
}

TEST_CASE("listen socket: a folder that is not there") {
  const TempFolder folder;
  CHECK(failure(folder / "none/s") == HF_E_NOT_FOUND);
}

TEST_CASE("listen socket: at its end it removes its own file only") {
  const TempFolder folder;
  {
    const auto first = ListenSocket::create(folder / "s", 0600, {});
    REQUIRE(first.ok());
    REQUIRE(unlink((folder / "s").c_str()) == 0);
    const auto second = ListenSocket::create(folder / "s", 0600, {});  // somebody else's
    REQUIRE(second.ok());
    ListenSocket gone = ListenSocket();
    {
      auto third = ListenSocket::create(folder / "t", 0600, {});
      REQUIRE(third.ok());
      REQUIRE(rename((folder / "s").c_str(), (folder / "t").c_str()) == 0);
      gone = *std::move(third);
    }
    gone.remove_file();
    CHECK(exists(folder / "t"));
  }
}

TEST_CASE("listen socket: adopts a listening Unix stream socket, and nothing else") {
  const TempFolder folder;
  auto socket = ListenSocket::create(folder / "s", 0600, {});
  REQUIRE(socket.ok());
  {
    auto adopted = ListenSocket::adopt(dup(socket->release_fd()));
    REQUIRE(adopted.ok());
    CHECK(adopted->path().empty());
  }
  CHECK(exists(folder / "s"));
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK_FALSE(ListenSocket::adopt(pair[0]).ok());
  CHECK_FALSE(ListenSocket::adopt(9999).ok());
  close(pair[0]);
  close(pair[1]);
}

TEST_CASE("group: a number, or a name in the file") {
  const TempFolder folder;
  std::ofstream(folder / "group") << "root:x:0:\n# comment\nholdfast:x:991:alice,bob\nbroken:x\nhold:x:12:\n";
  const std::string file = folder / "group";
  CHECK(*group_id("991", file.c_str()) == 991);
  CHECK(*group_id("holdfast", file.c_str()) == 991);
  CHECK(*group_id("hold", file.c_str()) == 12);
  CHECK(group_id("nobody", file.c_str()).error().code == HF_E_NOT_FOUND);
  CHECK_FALSE(group_id("broken", file.c_str()).ok());
  CHECK_FALSE(group_id("", file.c_str()).ok());
}
