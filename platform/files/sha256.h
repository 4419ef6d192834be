// SHA-256 of what comes piece by piece.
#pragma once

#include <psa/crypto.h>

#include <string>
#include <string_view>

#include "core/result.h"

namespace hf {

// Any thread, one at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::string_view bytes);
  // Its 32 bytes; HF_E_NO_MEMORY. Nothing is added after it.
  Result<std::string> finish();

 private:
  psa_hash_operation_t hash_ = PSA_HASH_OPERATION_INIT;
  psa_status_t status_;
};

}  // namespace hf
