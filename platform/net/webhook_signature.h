// Signatures of requests: Standard Webhooks 1.0.0 (standardwebhooks.com, spec/standard-webhooks.md), with a shared key,
// HMAC-SHA256.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/net/http_message.h"
#include "platform/secret.h"

namespace hf {

using SigningKeys = std::vector<Secret>;  // one, or two while they change

inline constexpr size_t kSigningKeyMin = 24, kSigningKeyMax = 64;  // bytes, as the specification has them

// The key that is in a secret's text: base64 of its bytes, "whsec_" in front or not.
// HF_E_INVALID; the text of the error is nothing of the key.
Result<Secret> signing_key(const Secret& text);
// The same of read_secret(name). Blocks.
Result<Secret> read_signing_key(std::string_view name);

// webhook-id, webhook-timestamp and webhook-signature: over id, time and body, one signature for each key, the first key's
// first. Who verifies takes the request if one of them is right and the time is now, within minutes. A message that is
// sent again has the same id and another time. HF_E_NO_MEMORY. Thread: any.
Status add_signature(HttpHeaders* headers, const SigningKeys& keys, std::string_view id, int64_t unix_s, std::string_view body);

}  // namespace hf
