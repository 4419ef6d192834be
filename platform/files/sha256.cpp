#include "platform/files/sha256.h"

#include "core/names.h"
#include "platform/payload_digest.h"

namespace hf {

Sha256::Sha256() : status_(psa_crypto_init()) {
  if (status_ == PSA_SUCCESS) status_ = psa_hash_setup(&hash_, PSA_ALG_SHA_256);
}

Sha256::~Sha256() { psa_hash_abort(&hash_); }

void Sha256::add(std::string_view bytes) {
  if (status_ == PSA_SUCCESS) status_ = psa_hash_update(&hash_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

Result<std::string> Sha256::finish() {
  std::string sum(32, '\0');
  size_t size = 0;
  if (status_ == PSA_SUCCESS) status_ = psa_hash_finish(&hash_, reinterpret_cast<uint8_t*>(sum.data()), sum.size(), &size);
  if (status_ != PSA_SUCCESS) return Error{HF_E_NO_MEMORY, "the checksum cannot be computed: out of memory"};
  return sum;
}

Result<std::string> payload_digest(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  Result<std::string> sum = hash.finish();
  if (!sum) return sum.error();
  return hex(std::string_view(*sum).substr(0, 16));
}

}  // namespace hf
