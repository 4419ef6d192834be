// What a server says of the single lines of a batch that it took: docs/delivery.md, "A sink".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/requests.h"
#include "platform/net/http_message.h"

namespace hf {

// Bytes of an answer that are read, for a batch of `lines`: enough for a sentence on each.
int64_t batch_answer_limit(size_t lines);

// `response` is 2xx. One for each job, in its order, without id and attempt; none if the answer says nothing of single lines:
// all are stored then. Only what it confirms is done: a line that it does not name is tried again.
std::vector<RunEnded> batch_answer(const HttpResponse& response, const std::vector<RunJob>& jobs, const std::string& peer);

}  // namespace hf
