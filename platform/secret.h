// Secrets: named in the configuration, read from files that nobody else reads, and kept out of whatever leaves the process.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "platform/descriptor.h"

namespace hf {

inline constexpr size_t kSecretBytesMax = 4096;
inline constexpr std::string_view kCredentialPrefix = "cred:";
// Where credentials are when the service manager has handed over none in $CREDENTIALS_DIRECTORY.
inline constexpr char kCredentialsFolder[] = "/etc/holdfast/credentials";

// Bytes in pages of their own: in no core dump, not in a child, not in swap if the system lets us lock memory, and
// overwritten when they go.
//
// Owner: movable, not copied. Thread: any, one at a time; bytes() also several.
class Secret {
 public:
  // Zeros. HF_E_TOO_LARGE above kSecretBytesMax, HF_E_NO_MEMORY.
  static Result<Secret> of(size_t bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  std::string_view bytes() const { return {data_, size_}; }
  char* data() { return data_; }
  void shrink(size_t bytes) { size_ = bytes < size_ ? bytes : size_; }

 private:
  Secret() = default;
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Text that is overwritten when the last of its owners lets it go. `bytes`: as much as will be appended, so that it never moves.
std::shared_ptr<std::string> wiped_string(size_t bytes);

// A secret's file, open and found to be closed to others.
struct SecretFile {
  Descriptor file;
  std::string path;
  std::string what;  // for messages: "/etc/key.pem", "cred:key (/run/credentials/x/key)"
};

// `name`: "cred:NAME", a file of that name in $CREDENTIALS_DIRECTORY (systemd's LoadCredential), else in
// kCredentialsFolder; or the absolute path of a file. The file is regular, not empty, ours or root's, and closed to
// others; to a group too, but in $CREDENTIALS_DIRECTORY, where the bits of a group may be the mask of an access list.
// HF_E_INVALID, HF_E_NOT_FOUND, HF_E_DENIED, HF_E_IO; the text says what is allowed. Blocks.
Result<SecretFile> open_secret(std::string_view name);

// What is in such a file, but for one newline at its end. Beside the errors of open_secret() HF_E_TOO_LARGE, HF_E_NO_MEMORY;
// no text has anything of what is in the file. Blocks.
Result<Secret> read_secret(std::string_view name);

}  // namespace hf
