#include "handlers/redirect.h"

#include <algorithm>
#include <string>

namespace hf {

std::optional<Url> redirect_of(const HttpResponse& response, const Url& asked) {
  if (response.status != 307 && response.status != 308) return std::nullopt;
  std::string to(response.headers.get("Location"));
  to.resize(std::min(to.find('#'), to.size()));
  if (to.empty()) return std::nullopt;
  const std::string scheme = asked.https ? "https:" : "http:";
  const std::string path = asked.target.substr(0, asked.target.find('?'));
  const size_t colon = to.find(':');
  if (to.starts_with("//")) {
    to.insert(0, scheme);
  } else if (to[0] == '/') {
    to.insert(0, scheme + "//" + asked.authority());
  } else if (to[0] == '?') {
    to.insert(0, scheme + "//" + asked.authority() + path);
  } else if (colon == to.npos || colon > to.find_first_of("/?")) {
    to.insert(0, scheme + "//" + asked.authority() + path.substr(0, path.rfind('/') + 1));
  }
  const auto url = parse_url(to);
  if (!url || (asked.https && !url->https)) return std::nullopt;
  return *url;
}

bool same_server(const Url& a, const Url& b) {
  if (a.host != b.host) return false;
  return a.https == b.https ? a.port == b.port : !a.https && b.https;
}

}  // namespace hf
