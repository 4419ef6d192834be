#include "platform/net/webhook_signature.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

using namespace hf;

namespace {

Secret text(std::string_view bytes) {
  Result<Secret> secret = Secret::of(bytes.size());
  REQUIRE(secret);
  std::memcpy(secret->data(), bytes.data(), bytes.size());
  return std::move(*secret);
}
Secret key(std::string_view base64) {
  Result<Secret> key = signing_key(text(base64));
  REQUIRE(key);
  return std::move(*key);
}
std::string refused(std::string_view base64) {
  const Result<Secret> key = signing_key(text(base64));
  REQUIRE_FALSE(key);
  CHECK(key.error().code == HF_E_INVALID);
  return key.error().message;
}
std::string base64_of(size_t bytes) {  // bytes % 3 == 0
  std::string text;
  for (size_t i = 0; i < bytes / 3 * 4; ++i) text += static_cast<char>('A' + i % 26);
  return text;
}

}  // namespace

TEST_SUITE("webhook signature") {
  // The reference libraries' own (standard-webhooks/libraries, their tests).
  TEST_CASE("the published example") {
    SigningKeys keys;
    keys.push_back(key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    HttpHeaders headers;
    REQUIRE(add_signature(&headers, keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}"));
    CHECK(headers.get("webhook-id") == "msg_p5jXN8AQM9LWM0D4loKWxJek");
    CHECK(headers.get("webhook-timestamp") == "1614265330");
    CHECK(headers.get("webhook-signature") == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  }

  TEST_CASE("while keys change there is a signature by each, the first one's first") {
    SigningKeys both;
    both.push_back(key(base64_of(24)));
    both.push_back(key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    HttpHeaders headers;
    REQUIRE(add_signature(&headers, both, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}"));
    const std::string signatures(headers.get("webhook-signature"));
    CHECK(signatures.size() == 2 * 47 + 1);
    CHECK(signatures.ends_with(" v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
  }

  TEST_CASE("each part counts") {
    SigningKeys keys;
    keys.push_back(key(base64_of(kSigningKeyMax - 1)));
    auto signature = [&](std::string_view id, int64_t time, std::string_view body) {
      HttpHeaders headers;
      REQUIRE(add_signature(&headers, keys, id, time, body));
      return std::string(headers.get("webhook-signature"));
    };
    const std::string one = signature("a", 1, "b");
    CHECK(one == signature("a", 1, "b"));
    CHECK(one != signature("b", 1, "b"));
    CHECK(one != signature("a", 2, "b"));
    CHECK(one != signature("a", 1, ""));
  }

  TEST_CASE("what is a key") {
    CHECK(key("whsec_" + base64_of(24)).bytes().size() == 24);
    CHECK(key(base64_of(24)).bytes() == key("whsec_" + base64_of(24)).bytes());
    CHECK(key(base64_of(63)).bytes().size() == 63);
    CHECK(refused(base64_of(21)) == "the signing key has 21 bytes; allowed is 24 to 64");
    CHECK(refused(base64_of(66)) == "the signing key has 66 bytes; allowed is 24 to 64");
    for (const char* bad : {"whsec_", "!", "hunter2 is no base64", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"}) {
      CAPTURE(bad);
      CHECK(refused(bad).find(bad) == std::string::npos);
    }
  }
}
