// What the admin server gets and gives, and how it looks on the wire. Pure: no socket, no clock.
//
// Owner: by value. Thread: any.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace hf {

// Who is at the other end of a Unix socket, as the kernel said when the client connected.
struct Peer {
  pid_t pid = 0;
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  std::vector<gid_t> groups;  // supplementary ones
  bool in_group(gid_t wanted) const;
};

using FieldList = std::vector<std::pair<std::string, std::string>>;

struct ServerRequest {
  std::string method;             // upper case; HEAD arrives as GET, the server drops the body
  std::vector<std::string> path;  // decoded segments: "/v1/jobs/a%2Fb" is {"v1", "jobs", "a/b"}, "/" is {}
  std::map<std::string, std::string> query;  // decoded; a name that comes twice is refused
  FieldList headers;             // names in lower case, values trimmed
  std::string body = {};               // chunks put together
  Peer peer;

  // nullptr if there is none; `name` in lower case
  const std::string* header(std::string_view name) const;
  // nullptr if there is none
  const std::string* parameter(const std::string& name) const;
};

struct ServerResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";  // not sent with an empty body
  FieldList headers = {};                         // others, such as Allow

  // {"error":{"code":...,"message":...}}. `code` is that of HF_ERRORS ("not_found"). Bytes of
  // the message that are not UTF-8 are replaced.
  static ServerResponse error(int status, std::string_view code, std::string_view message);
};

// "Not Found"; "Unknown" for what is not in the table.
const char* http_status_text(int status);

// %XX decoded, and '+' as a space if asked for. HF_E_INVALID: a bad escape, or a NUL byte.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

// Fills path and query from a request target: "/path?query", or with a scheme and authority in front, which
// are dropped. HF_E_INVALID.
Status parse_target(std::string_view target, ServerRequest& into);

// Status line and fields up to and with the empty line. body_length < 0: none is said (a stream, or 204).
std::string response_head(int status, const std::string& content_type, const FieldList& headers,
                          long long body_length, bool chunked, bool keep_alive, bool http_1_0);

// One chunk of the chunked coding. An empty one would end the body: REQUIRES: !data.empty()
std::string http_chunk(std::string_view data);
inline constexpr std::string_view kHttpLastChunk = "0\r\n\r\n";

}  // namespace hf
