#include "platform/net/tls_words.h"

#include <mbedtls/base64.h>
#include <mbedtls/ssl_ciphersuites.h>

#include <algorithm>
#include <vector>

#include "core/names.h"

namespace hf {
namespace {

constexpr std::string_view kPinPrefix = "sha256/";

constexpr TlsSuite kSuites[] = {
    {"TLS_AES_128_GCM_SHA256", MBEDTLS_TLS1_3_AES_128_GCM_SHA256, TlsVersion::v1_3},
    {"TLS_CHACHA20_POLY1305_SHA256", MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, TlsVersion::v1_3},
    {"TLS_AES_256_GCM_SHA384", MBEDTLS_TLS1_3_AES_256_GCM_SHA384, TlsVersion::v1_3},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TlsVersion::v1_2},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TlsVersion::v1_2},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TlsVersion::v1_2},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TlsVersion::v1_2},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TlsVersion::v1_2},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TlsVersion::v1_2},
};

}  // namespace

std::span<const TlsSuite> tls_suites() {
  static const std::vector<TlsSuite> there = [] {
    std::vector<TlsSuite> suites;
    for (const TlsSuite& suite : kSuites)
      if (mbedtls_ssl_ciphersuite_from_id(suite.number) != nullptr) suites.push_back(suite);
    return suites;
  }();
  return there;
}

const TlsSuite* find_tls_suite(int number) {
  for (const TlsSuite& suite : tls_suites())
    if (suite.number == number) return &suite;
  return nullptr;
}

const TlsSuite* find_tls_suite(std::string_view name) {
  for (const TlsSuite& suite : tls_suites())
    if (suite.name == name) return &suite;
  return nullptr;
}

Result<SpkiPin> parse_pin(std::string_view text) {
  const Error error{HF_E_INVALID, quoted(text, 80) + " is no pin: expected sha256/ and the base64 of a key's hash, 44 characters"};
  if (!text.starts_with(kPinPrefix)) return error;
  const std::string_view base64 = text.substr(kPinPrefix.size());
  SpkiPin pin;
  size_t size = 0;
  if (mbedtls_base64_decode(pin.data(), pin.size(), &size, reinterpret_cast<const unsigned char*>(base64.data()), base64.size()) != 0 ||
      size != pin.size()) {
    return error;
  }
  return pin;
}

std::string pin_text(const SpkiPin& pin) {
  unsigned char base64[48];
  size_t size = 0;
  mbedtls_base64_encode(base64, sizeof base64, &size, pin.data(), pin.size());
  return std::string(kPinPrefix) + std::string(reinterpret_cast<const char*>(base64), size);
}

}  // namespace hf
