#include "platform/net/http_message.h"

#include <algorithm>
#include <iterator>

#include "core/names.h"

namespace hf {
namespace {

// RFC 9110, 5.6.2
bool is_token_char(char c) {
  if (is_digit(c) || is_letter(c)) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

// RFC 9110, 5.5: visible characters, blank, tab and bytes beyond ASCII.
bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

constexpr std::string_view kOwnHeaders[] = {
    "Host",   "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive",
    "Expect", "Upgrade",        "TE",                "Trailer",    "Proxy-Connection"};

Status check_header(const std::string& name, const std::string& value) {
  if (!is_token(name)) return Error{HF_E_INVALID, "a header name is empty or has a character that is not allowed"};
  if (is_own_header(name)) return Error{HF_E_INVALID, "the header " + name + " is set by the client itself"};
  if (!std::all_of(value.begin(), value.end(), is_value_char))
    return Error{HF_E_INVALID, "the value of the header " + name + " has a control character"};
  return ok_status();
}

}  // namespace

bool is_own_header(std::string_view name) {
  return std::any_of(std::begin(kOwnHeaders), std::end(kOwnHeaders), [name](std::string_view own) { return equal_no_case(own, name); });
}

const std::string* HttpHeaders::find(std::string_view name) const {
  for (const auto& [key, value] : fields_)
    if (equal_no_case(key, name)) return &value;
  return nullptr;
}

Result<std::string> format_request_head(const HttpRequest& request) {
  if (!is_token(request.method)) return Error{HF_E_INVALID, "the HTTP method is no token"};
  if (equal_no_case(request.method, "CONNECT"))
    return Error{HF_E_INVALID, "the HTTP method CONNECT is not a request to a server"};
  std::string head = request.method + " " + request.url.target + " HTTP/1.1\r\nHost: " +
                     request.url.authority() + "\r\n";
  for (const auto& [name, value] : request.headers.fields()) {
    HF_TRY(check_header(name, value));
    head += name + ": " + value + "\r\n";
  }
  if (!request.headers.find("User-Agent")) head += "User-Agent: holdfast/" HF_VERSION "\r\n";
  if (!request.headers.find("Accept")) head += "Accept: */*\r\n";
  const int64_t body_size = request.streamed ? request.streamed->size()
                            : request.body   ? static_cast<int64_t>(request.body->size())
                                             : 0;
  const bool without_body = request.method == "GET" || request.method == "HEAD" ||
                            request.method == "DELETE" || request.method == "OPTIONS";
  if (body_size > 0 || !without_body) head += "Content-Length: " + std::to_string(body_size) + "\r\n";
  head += "\r\n";
  if (head.size() > kRequestHeaderMax)
    return Error{HF_E_TOO_LARGE,
                 "the request's headers are longer than " + std::to_string(kRequestHeaderMax) + " bytes"};
  return head;
}

std::shared_ptr<const std::string> with_secrets(std::string head, const std::vector<SecretHeader>& headers) {
  if (headers.empty()) return std::make_shared<const std::string>(std::move(head));
  constexpr std::string_view kEmptyLine = "\r\n";
  size_t bytes = head.size();
  for (const SecretHeader& header : headers) bytes += header.name.size() + 2 + header.before.size() + header.secret->bytes().size() + 2;
  const std::shared_ptr<std::string> text = wiped_string(bytes);
  text->append(head, 0, head.size() - kEmptyLine.size());
  for (const SecretHeader& header : headers) {
    text->append(header.name).append(": ").append(header.before).append(header.secret->bytes()).append("\r\n");
  }
  text->append(kEmptyLine);
  return text;
}

}  // namespace hf
