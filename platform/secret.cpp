#include "platform/secret.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "core/names.h"

namespace hf {

// ---- memory

Result<Secret> Secret::of(size_t bytes) {
  if (bytes > kSecretBytesMax) {
    return Error{HF_E_TOO_LARGE, "a secret has at most " + std::to_string(kSecretBytesMax) + " bytes"};
  }
  void* page = mmap(nullptr, kSecretBytesMax, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return Error{HF_E_NO_MEMORY, "out of memory"};
  // Each as far as the system goes: an emulator knows none of them, and the limit of locked memory may be 0.
  (void)madvise(page, kSecretBytesMax, MADV_DONTDUMP);
  (void)madvise(page, kSecretBytesMax, MADV_WIPEONFORK);
  (void)mlock(page, kSecretBytesMax);
  Secret secret;
  secret.data_ = static_cast<char*>(page);
  secret.size_ = bytes;
  return secret;
}

Secret::Secret(Secret&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Secret::~Secret() {
  if (data_ == nullptr) return;
  explicit_bzero(data_, kSecretBytesMax);
  munmap(data_, kSecretBytesMax);
}

std::shared_ptr<std::string> wiped_string(size_t bytes) {
  auto text = std::make_unique<std::string>();
  text->reserve(bytes);
  return {text.release(), [](std::string* wiped) {
            wiped->resize(wiped->capacity());
            explicit_bzero(wiped->data(), wiped->size());
            delete wiped;
          }};
}

// ---- files

namespace {

struct Place {
  std::string path;
  mode_t closed_to;  // bits of its mode that have to be 0
};

Result<Place> place_of(std::string_view name) {
  if (!name.starts_with(kCredentialPrefix)) {
    if (name.starts_with('/')) return Place{std::string(name), S_IRWXG | S_IRWXO};
    return Error{HF_E_INVALID, quoted(name, 200) + " is no secret's name: expected \"cred:NAME\", or the full path of a file"};
  }
  const std::string_view credential = name.substr(kCredentialPrefix.size());
  const bool plain = !credential.empty() && credential.size() <= 255 && credential.front() != '.' &&
                     std::all_of(credential.begin(), credential.end(), [](char c) { return c != '/' && static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
  if (!plain) return Error{HF_E_INVALID, quoted(name, 200) + ": a credential's name is that of a file, 1 to 255 bytes without / and blanks, and not one with a dot in front"};
  const char* handed_over = std::getenv("CREDENTIALS_DIRECTORY");
  if (handed_over == nullptr || *handed_over == 0) {
    return Place{kCredentialsFolder + ("/" + std::string(credential)), S_IRWXG | S_IRWXO};
  }
  return Place{handed_over + ("/" + std::string(credential)), S_IRWXO};
}

Error cannot_read(const std::string& what) {
  const int code = errno == ENOENT || errno == ENOTDIR ? HF_E_NOT_FOUND : errno == EACCES || errno == EPERM ? HF_E_DENIED : HF_E_IO;
  return Error{code, what + ": " + strerror(errno)};
}

}  // namespace

Result<SecretFile> open_secret(std::string_view name) {
  const Result<Place> place = place_of(name);
  if (!place) return place.error();
  const std::string& path = place->path;
  const std::string what = name.starts_with('/') ? path : std::string(name) + " (" + path + ")";
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  struct stat info;
  if (file.fd < 0 || fstat(file.fd, &info) != 0) return cannot_read(what);
  if (!S_ISREG(info.st_mode)) return Error{HF_E_INVALID, what + ": this is not a regular file"};
  if ((info.st_mode & place->closed_to) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return Error{HF_E_DENIED, what + " has mode " + mode + ", so that others can get at the secret; chmod 600 closes it"};
  }
  if (info.st_uid != 0 && info.st_uid != geteuid()) {
    return Error{HF_E_DENIED, what + " belongs to another user (uid " + std::to_string(info.st_uid) + "), who may change it; it has to be root's, or that of the user whose program this is"};
  }
  return SecretFile{std::move(file), path, what};
}

Result<Secret> read_secret(std::string_view name) {
  const Result<SecretFile> opened = open_secret(name);
  if (!opened) return opened.error();
  const auto& [file, path, what] = *opened;
  Result<Secret> secret = Secret::of(kSecretBytesMax);
  if (!secret) return secret.error();
  size_t size = 0;
  while (size < kSecretBytesMax) {
    const ssize_t got = read(file.fd, secret->data() + size, kSecretBytesMax - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(what);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size == kSecretBytesMax) return Error{HF_E_TOO_LARGE, what + ": a secret has less than " + std::to_string(kSecretBytesMax) + " bytes"};
  if (size > 0 && secret->data()[size - 1] == '\n') --size;
  if (size > 0 && secret->data()[size - 1] == '\r') --size;
  if (size == 0) return Error{HF_E_INVALID, what + ": there is nothing in it"};
  secret->shrink(size);
  return secret;
}

}  // namespace hf
