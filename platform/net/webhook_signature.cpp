#include "platform/net/webhook_signature.h"

#include <mbedtls/base64.h>
#include <psa/crypto.h>

#include <array>
#include <initializer_list>
#include <utility>

namespace hf {

Result<Secret> signing_key(const Secret& text) {
  constexpr std::string_view kPrefix = "whsec_";
  std::string_view base64 = text.bytes();
  if (base64.starts_with(kPrefix)) base64.remove_prefix(kPrefix.size());
  Result<Secret> key = Secret::of(kSecretBytesMax);
  if (!key) return key.error();
  size_t size = 0;
  const int code = mbedtls_base64_decode(reinterpret_cast<unsigned char*>(key->data()), kSecretBytesMax, &size,
                                         reinterpret_cast<const unsigned char*>(base64.data()), base64.size());
  if (code != 0) return Error{HF_E_INVALID, "this is no signing key: expected whsec_ and base64"};
  if (size < kSigningKeyMin || size > kSigningKeyMax) {
    return Error{HF_E_INVALID, "the signing key has " + std::to_string(size) + " bytes; allowed is " + std::to_string(kSigningKeyMin) + " to " + std::to_string(kSigningKeyMax)};
  }
  key->shrink(size);
  return key;
}

Result<Secret> read_signing_key(std::string_view name) {
  const Result<Secret> text = read_secret(name);
  if (!text) return text.error();
  Result<Secret> key = signing_key(*text);
  return key ? std::move(key) : Error{key.error().code, std::string(name) + ": " + key.error().message};
}

namespace {

// PSA's volatile key of some bytes, gone at the end.
class HmacKey {
 public:
  explicit HmacKey(const Secret& key) {
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_HMAC);
    psa_set_key_algorithm(&attributes, PSA_ALG_HMAC(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_MESSAGE);
    const std::string_view bytes = key.bytes();
    status_ = psa_import_key(&attributes, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &id_);
  }
  ~HmacKey() { psa_destroy_key(id_); }
  HmacKey(const HmacKey&) = delete;
  HmacKey& operator=(const HmacKey&) = delete;

  // Base64 of the signature of the parts, one after the other; "" without memory.
  std::string sign(std::initializer_list<std::string_view> parts) const {
    psa_mac_operation_t mac = PSA_MAC_OPERATION_INIT;
    psa_status_t status = status_;
    if (status == PSA_SUCCESS) status = psa_mac_sign_setup(&mac, id_, PSA_ALG_HMAC(PSA_ALG_SHA_256));
    for (const std::string_view part : parts) {
      if (status == PSA_SUCCESS) status = psa_mac_update(&mac, reinterpret_cast<const uint8_t*>(part.data()), part.size());
    }
    std::array<uint8_t, 32> hash{};
    size_t size = 0;
    if (status == PSA_SUCCESS) status = psa_mac_sign_finish(&mac, hash.data(), hash.size(), &size);
    psa_mac_abort(&mac);
    std::array<unsigned char, 48> text{};
    if (status != PSA_SUCCESS || mbedtls_base64_encode(text.data(), text.size(), &size, hash.data(), hash.size()) != 0) return {};
    return {reinterpret_cast<const char*>(text.data()), size};
  }

 private:
  mbedtls_svc_key_id_t id_ = MBEDTLS_SVC_KEY_ID_INIT;
  psa_status_t status_;
};

}  // namespace

Status add_signature(HttpHeaders* headers, const SigningKeys& keys, std::string_view id, int64_t unix_s, std::string_view body) {
  const Error no_memory{HF_E_NO_MEMORY, "the request cannot be signed: out of memory"};
  if (psa_crypto_init() != PSA_SUCCESS) return no_memory;
  const std::string time = std::to_string(unix_s);
  std::string signatures;
  for (const Secret& key : keys) {
    const std::string one = HmacKey(key).sign({id, ".", time, ".", body});
    if (one.empty()) return no_memory;
    signatures += (signatures.empty() ? "v1," : " v1,") + one;
  }
  headers->add("webhook-id", std::string(id));
  headers->add("webhook-timestamp", time);
  headers->add("webhook-signature", std::move(signatures));
  return ok_status();
}

}  // namespace hf
