// What the answer to a request means for the job: one table for http handlers and sinks.
#pragma once

#include <string>

#include "core/requests.h"
#include "handlers/outcome_rules.h"
#include "platform/net/http_message.h"
#include "platform/net/url.h"

namespace hf {

// Pure; without id, attempt and result. `asked` is where the request went; its host and port are named in the text.
//
//   2xx                              done
//   408 425 429 5xx                  retry; after what Retry-After asks for
//   429 503 with Retry-After, a sink defer, and the sink is parked for exactly so long: the server
//                                    wants nothing of it before, and that is no attempt
//   of plain http: 511, a redirect   defer, and the runner is parked: a captive portal (RFC 8952)
//   to another host, and to a sink   answered in the server's place. Over TLS it cannot: there its
//   2xx with an HTML page            certificate is of another host
//   other 3xx, 4xx                   dead, with the start of the body
//   the request was not sent         defer, and the runner is parked: no link, no name, nobody
//                                    listens, no handshake, an address that is not allowed
//   a certificate is refused, theirs defer, and the runner is parked. It is the operator's fault or
//   by us or ours by them (an        the server's, and heals without the job's doing: to spend its
//   alert, or nginx's page)          attempts on it would empty the queue into the dead letters
//   it broke off, took too long,     retry: an attempt was made
//   the response was no HTTP
//   cancelled                        handed back
//
// A status that is in `on_status` has that outcome, save where a captive portal or a refused certificate shows: then it is no
// answer to this job. Retry-After is honoured where that is retry or defer; by 429 and 503 that are listed as defer a sink is
// parked, too, also without one.
enum class Asker : uint8_t { handler, sink };
RunEnded http_outcome(const HttpResult& result, const Url& asked, Asker asker, const OutcomeRules& on_status = {});

// Of a request that was cancelled for `reason`, the end of its run; without id and attempt. At a timeout
//
//   some of it was sent, or it was   as ended_by_stop(): an attempt was made
//   still being made
//   it was still waiting for a       handed back: neither the job nor the server had a part in it
//   connection
//   it had no name, connection or    defer, and the runner is parked, as without the timeout
//   handshake yet
RunEnded stopped_outcome(const HttpResult& result, const Url& asked, StopReason reason, int64_t timeout_ms);

bool is_success(const HttpResult& result);  // 2xx

// A refusal (4xx, or a 5xx that is listed as permanent) that may lie in what was sent, not in where to or by whom: of a batch, the
// parts may still be accepted.
bool about_content(const HttpResult& result);

}  // namespace hf
