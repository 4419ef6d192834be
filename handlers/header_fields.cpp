#include "handlers/header_fields.h"

#include <algorithm>

#include "core/names.h"
#include "platform/net/http_message.h"

namespace hf {
namespace {

constexpr size_t kHeadersMax = 64;
constexpr size_t kPrefixMax = 256;

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// RFC 9110, 5.1 and 5.5: a name is a token, a value has no control characters.
bool check_name(const JsonValue& v, std::string_view name) {
  const bool token = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
  if (!token) return v.fail("this cannot be the name of an HTTP header");
  const bool ours = is_own_header(name) || equal_no_case(name, "idempotency-key");
  return !ours || v.fail("this header is set by Holdfast itself");
}

constexpr JsonField<SecretHeaderConfig> kSecretFields[] = {
    {"secret", "name", [](SecretHeaderConfig& h, const JsonValue& v) { return v.text(&h.value.name); }},
    {"prefix", "string", [](SecretHeaderConfig& h, const JsonValue& v) { return v.text(&h.prefix, kPrefixMax); }},
};

bool read_secret_header(const JsonValue& v, SecretHeaderConfig* header) {
  if (!read_fields(v, {{kSecretFields, *header}})) return false;
  if (header->value.name.empty()) return v.fail("\"secret\" is missing: \"cred:NAME\", or the full path of a file");
  return !has_control(header->prefix) || v.fail("a control character is not allowed in an HTTP header");
}

}  // namespace

bool read_headers(const JsonValue& v, HttpConfig* http) {
  if (!v.expect(JsonNode::Kind::object)) return false;
  const JsonNode& node = v.node();
  if (node.items.size() > kHeadersMax) {
    return v.fail("the object has " + std::to_string(node.items.size()) + " members: at most " + std::to_string(kHeadersMax) + " are allowed");
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const JsonValue value = v.member(i);
    const std::string& name = node.names[i];
    if (!check_name(value, name)) return false;
    if (value.node().kind == JsonNode::Kind::object) {
      http->secret_headers.push_back({name, "", {}});
      if (!read_secret_header(value, &http->secret_headers.back())) return false;
      continue;
    }
    if (!value.expect(JsonNode::Kind::string)) return false;
    if (has_control(value.node().text)) return value.fail("a control character is not allowed in an HTTP header");
    http->headers.emplace_back(name, value.node().text);
  }
  return check_headers_size(v, *http);
}

bool check_headers_size(const JsonValue& v, const HttpConfig& http) {
  constexpr size_t kAround = 4;  // ": " and the end of the line
  size_t bytes = 0;
  for (const auto& [name, value] : http.headers) bytes += name.size() + value.size() + kAround;
  for (const SecretHeaderConfig& header : http.secret_headers) {
    bytes += header.name.size() + header.prefix.size() + (header.value.secret ? header.value.secret->bytes().size() : 0) + kAround;
  }
  return bytes <= kHeaderBytesMax || v.fail("these headers have " + std::to_string(bytes) + " bytes in all; at most " + std::to_string(kHeaderBytesMax) + " are allowed");
}

}  // namespace hf
