// Bytes of a client, cut in two ways: the same requests come out, nothing crashes, all bounds hold.
#include <string>
#include <string_view>
#include <vector>

#include "platform/request_parser.h"
#include "tests/fuzz/fuzz.h"

using hf::fuzz::must;

namespace {

// Head bytes far beyond any input here: that limit goes by what came before a cut, see its own test.
constexpr hf::RequestLimits kLimits{.url_bytes = 64, .head_bytes = 1 << 20, .body_bytes = 64};

std::vector<std::string> requests_in(std::string_view data, std::size_t piece) {
  std::vector<std::string> out;
  hf::RequestParser parser(kLimits);
  while (!data.empty()) {
    const std::size_t used = parser.feed(data.substr(0, piece));
    must(used <= data.size());
    if (parser.state() == hf::RequestParser::State::kFailed) {
      must(parser.failure().status >= 400);
      out.emplace_back("failed");  // of two faults close together, the cut says which is seen first
      break;
    }
    must(used > 0);
    data.remove_prefix(used);
    if (parser.state() != hf::RequestParser::State::kComplete) continue;
    const hf::ServerRequest request = parser.take();
    must(request.body.size() <= kLimits.body_bytes);
    std::string text = request.method;
    for (const auto& segment : request.path) text += "/" + segment;
    for (const auto& [name, value] : request.query) text += "?" + name + "=" + value;
    for (const auto& [name, value] : request.headers) text += "\n" + name + ":" + value;
    out.push_back(text + "\n\n" + request.body);
  }
  return out;
}

}  // namespace

HF_FUZZ(input) {
  const std::string_view data = input.rest();
  must(requests_in(data, data.size()) == requests_in(data, 1));
}
