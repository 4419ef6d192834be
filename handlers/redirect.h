// Where an answer sends a request on to: pure.
#pragma once

#include <optional>

#include "platform/net/http_message.h"
#include "platform/net/url.h"

namespace hf {

inline constexpr int kRedirectsMax = 5;  // hops of one request

// What a 307 or 308 to `asked` wants the same request to be sent to; nullopt: it wants nothing, or not what is done: from
// https to http, or to what is no URL. 301, 302 and 303 are none of these: what they mean of a POST nobody knows.
// A reference is resolved by RFC 3986, 5.2, but for its dot segments, which are sent as they are.
std::optional<Url> redirect_of(const HttpResponse& response, const Url& asked);

// What is for the eyes of `a` alone may go to `b`: the same host and port, or, from http to https, the same host.
bool same_server(const Url& a, const Url& b);

}  // namespace hf
