#include "platform/server_message.h"

#include <stdio.h>

#include <algorithm>

#include "core/names.h"
#include "platform/json_text.h"

namespace hf {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error bad_target(std::string message) { return {HF_E_INVALID, std::move(message)}; }

Status parse_path(std::string_view path, ServerRequest& into) {
  path.remove_prefix(1);  // '/'
  into.path.clear();
  if (path.empty()) return ok_status();
  for (;;) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    auto segment = percent_decode(path.substr(0, slash));
    if (!segment) return segment.error();
    into.path.push_back(*std::move(segment));
    if (slash == path.size()) return ok_status();
    path.remove_prefix(slash + 1);
  }
}

Status parse_query(std::string_view query, ServerRequest& into) {
  into.query.clear();
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), true);
    if (!name) return name.error();
    auto value = percent_decode(equals < pair.size() ? pair.substr(equals + 1) : "", true);
    if (!value) return value.error();
    const bool is_new = into.query.emplace(*name, *value).second;
    if (!is_new) return bad_target("the parameter " + hf::quoted(*name) + " is given twice");
  }
  return ok_status();
}

// A field's value must not end its line.
void append_field(std::string& head, std::string_view name, std::string_view value) {
  head.append(name) += ": ";
  for (const char c : value) head += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  head += "\r\n";
}

}  // namespace

bool Peer::in_group(gid_t wanted) const {
  return gid == wanted || std::find(groups.begin(), groups.end(), wanted) != groups.end();
}

const std::string* ServerRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return &value;
  return nullptr;
}

const std::string* ServerRequest::parameter(const std::string& name) const {
  const auto found = query.find(name);
  return found == query.end() ? nullptr : &found->second;
}

ServerResponse ServerResponse::error(int status, std::string_view code, std::string_view message) {
  ServerResponse response;
  response.status = status;
  JsonObject body, inside;
  inside["code"] = code;
  inside["message"] = message;
  body["error"] = inside;
  response.body = body.text() + "\n";
  return response;
}

const char* http_status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return bad_target("the URL has a '%' that is not followed by two hexadecimal digits");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return bad_target("the URL has a NUL byte");
    out += c;
  }
  return out;
}

Status parse_target(std::string_view target, ServerRequest& into) {
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos && target[0] != '/') {
    const std::size_t path = target.find('/', scheme + 3);
    target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
  }
  if (target.empty() || target[0] != '/') return bad_target("the URL must begin with '/'");
  if (target.find('#') != std::string_view::npos) return bad_target("the URL has a '#'");
  const std::size_t question = std::min(target.find('?'), target.size());
  HF_TRY(parse_path(target.substr(0, question), into));
  return parse_query(question < target.size() ? target.substr(question + 1) : "", into);
}

std::string response_head(int status, const std::string& content_type, const FieldList& headers,
                          long long body_length, bool chunked, bool keep_alive, bool http_1_0) {
  // The version is the server's own, also to an older client (RFC 9110, 2.5).
  std::string head = "HTTP/1.1 " + std::to_string(status) + ' ' + http_status_text(status) + "\r\n";
  if (!content_type.empty()) append_field(head, "Content-Type", content_type);
  if (body_length >= 0) append_field(head, "Content-Length", std::to_string(body_length));
  if (chunked) append_field(head, "Transfer-Encoding", "chunked");
  for (const auto& [name, value] : headers) append_field(head, name, value);
  if (!keep_alive) append_field(head, "Connection", "close");
  if (keep_alive && http_1_0) append_field(head, "Connection", "keep-alive");
  return head += "\r\n";
}

std::string http_chunk(std::string_view data) {
  char size[24];
  const int length = snprintf(size, sizeof size, "%zx\r\n", data.size());
  std::string chunk(size, static_cast<std::size_t>(length));
  return chunk.append(data) += "\r\n";
}

}  // namespace hf
