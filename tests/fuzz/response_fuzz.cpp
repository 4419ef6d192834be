// Bytes of a server, cut in three ways: the same response or failure comes out, all limits hold.
//
//   FLAGS   a byte: 1 answer to HEAD, 2 a long body is an error, 4 the server does not close
//   BYTES   the rest
#include "platform/net/http_parser.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

constexpr HttpLimits kLimits{.max_header_bytes = 512, .max_body_bytes = 64};

std::string response_in(std::string_view data, size_t piece, int flags) {
  HttpLimits limits = kLimits;
  limits.long_body_is_error = (flags & 2) != 0;
  HttpParser parser((flags & 1) != 0, limits);
  HttpParser::State state = HttpParser::State::kReading;
  bool more = false;  // behind the response: the parser may not have been given it
  while (!data.empty() && state == HttpParser::State::kReading) {
    state = parser.feed(data.substr(0, piece));
    must(parser.started());
    data.remove_prefix(std::min(piece, data.size()));
    more = !data.empty();
  }
  if (state == HttpParser::State::kReading && (flags & 4) == 0) {
    state = parser.finish();
    must(state != HttpParser::State::kReading);
  }
  if (state == HttpParser::State::kReading) return "more is expected";
  if (state == HttpParser::State::kFailed) {
    must(!parser.error().empty());
    must(parser.feed("HTTP/1.1 200 OK\r\n\r\n") == HttpParser::State::kFailed);
    return "failed";  // of two faults close together, the cut says which is seen first
  }
  const bool keep_alive = parser.keep_alive() && !more;
  const HttpResponse response = parser.take_response();
  must(response.status >= 200 && response.status <= 599);
  must(response.body.size() <= kLimits.max_body_bytes);
  must(!response.body_cut || (response.body.size() == kLimits.max_body_bytes && !limits.long_body_is_error));
  must(!response.body_cut || !keep_alive);
  must((flags & 1) == 0 || response.body.empty());
  size_t header_bytes = 0;
  std::string text = std::to_string(response.status) + (keep_alive ? "+" : ".") + (response.body_cut ? "cut" : "");
  for (const auto& [name, value] : response.headers.fields()) {
    must(!name.empty() && (name + value).find_first_of("\r\n") == std::string::npos);
    must(response.headers.find(name) != nullptr);
    header_bytes += name.size() + value.size() + 4;
    text += "\n" + name + ": " + value;
  }
  must(header_bytes <= kLimits.max_header_bytes);
  return text + "\n\n" + response.body;
}

}  // namespace

HF_FUZZ(input) {
  const int flags = input.byte();
  const std::string_view data = input.rest();
  const std::string whole = response_in(data, data.size() + 1, flags);
  must(whole == response_in(data, 1, flags));
  must(whole == response_in(data, 7, flags));
}
