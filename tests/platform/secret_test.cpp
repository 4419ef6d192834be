// Secrets: where they are read, who may get at them, and that they stay here.
#include "platform/secret.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/temp_folder.h"

using namespace hf;

namespace {

struct Files {
  const TempFolder folder;
  const std::string path = folder / "key";

  Files() { setenv("CREDENTIALS_DIRECTORY", folder.path().c_str(), 1); }
  ~Files() { unsetenv("CREDENTIALS_DIRECTORY"); }
  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path, std::ios::binary) << text;
    REQUIRE(chmod(path.c_str(), mode) == 0);
  }
  static std::string bytes(std::string_view name) {
    const auto secret = read_secret(name);
    return secret ? std::string(secret->bytes()) : "refused: " + secret.error().message;
  }
  static Error error(std::string_view name) {
    const auto secret = read_secret(name);
    REQUIRE_FALSE(secret);
    return secret.error();
  }
};

// "rd wr mr ... dd": of the mapping that an address is in; "" where the kernel does not tell.
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    char* end = nullptr;
    const unsigned long long from = std::strtoull(line.c_str(), &end, 16);
    if (end != line.c_str() && *end == '-') inside = from <= wanted && wanted < std::strtoull(end + 1, nullptr, 16);
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

}  // namespace

TEST_SUITE("secret") {
  TEST_CASE_FIXTURE(Files, "a file, and a credential of the service manager") {
    write("s3cret");
    CHECK(bytes(path) == "s3cret");
    CHECK(bytes("cred:key") == "s3cret");
    write("two\nlines\n");
    CHECK(bytes(path) == "two\nlines");
    write("one\r\n", 0400);
    CHECK(bytes(path) == "one");
    write("\n\n");
    CHECK(bytes(path) == "\n");
    write(std::string(kSecretBytesMax - 1, 'x'));
    CHECK(bytes(path).size() == kSecretBytesMax - 1);
  }

  TEST_CASE_FIXTURE(Files, "without a service manager, credentials have a folder of their own") {
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK(error("cred:no-such-key").code == HF_E_NOT_FOUND);
    CHECK(error("cred:no-such-key").message == "cred:no-such-key (/etc/holdfast/credentials/no-such-key): No such file or directory");
  }

  TEST_CASE_FIXTURE(Files, "what others can get at is no secret") {
    for (const mode_t mode : {0640, 0604, 0620, 0602, 0660, 0644}) {
      CAPTURE(mode);
      write("x", mode);
      CHECK(error(path).code == HF_E_DENIED);
      CHECK(error(path).message.find("chmod 600 closes it") != std::string::npos);
    }
    write("x", 0640);
    CHECK(bytes("cred:key") == "x");  // the group's bits are the mask of the access list that the service manager set
    write("x", 0644);
    CHECK(error("cred:key").message.find(" has mode 0644") != std::string::npos);
    if (geteuid() != 0) return;
    write("x");
    REQUIRE(chown(path.c_str(), 4711, 0) == 0);
    CHECK(error(path).code == HF_E_DENIED);
    CHECK(error(path).message.find("another user (uid 4711)") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Files, "what is no secret's name, and no file") {
    for (const char* name : {"", "key", "./key", "cred:", "cred:.", "cred:..", "cred:.key", "cred:a/b", "cred:a b", "credential:key"}) {
      CAPTURE(name);
      CHECK(error(name).code == HF_E_INVALID);
    }
    CHECK(error("cred:" + std::string(256, 'n')).code == HF_E_INVALID);
    CHECK(error("cred:none").code == HF_E_NOT_FOUND);
    CHECK(error(folder.path()).message == folder.path() + ": this is not a regular file");
    write("");
    CHECK(error(path).message == path + ": there is nothing in it");
    write("\n");
    CHECK(error(path).code == HF_E_INVALID);
    write(std::string(kSecretBytesMax, 'x'));
    CHECK(error(path).code == HF_E_TOO_LARGE);
    CHECK(Secret::of(kSecretBytesMax + 1).error().code == HF_E_TOO_LARGE);
  }

  TEST_CASE_FIXTURE(Files, "it is in no core dump and in no child") {
    write("s3cret");
    Result<Secret> read = read_secret(path);
    REQUIRE(read);
    Secret secret = std::move(*read);
    CHECK(secret.bytes() == "s3cret");
    const char* emulator = std::getenv("HOLDFAST_EMULATOR");
    if (emulator != nullptr && *emulator != 0) return;  // it knows nothing of such memory
    const std::string flags = flags_of(secret.bytes().data());
    if (flags.empty()) return;
    CAPTURE(flags);
    CHECK(flags.find(" dd ") != std::string::npos);  // MADV_DONTDUMP
    CHECK(flags.find(" wf ") != std::string::npos);  // MADV_WIPEONFORK
    const pid_t child = fork();
    if (child == 0) _exit(secret.bytes() == std::string_view("\0\0\0\0\0\0", 6) ? 0 : 1);
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(secret.bytes() == "s3cret");
  }
}
