// A delivery, or a job of a batch, as a JSON object, and as a line of newline-delimited JSON: docs/delivery.md, docs/exec.md.
#pragma once

#include <string>
#include <string_view>

#include "core/requests.h"

namespace hf {

// On one line, whatever the result holds. `job.bytes` is the result, or what else is to stand there for it:
//   "result"         it is JSON (RFC 8259): taken over as it is written, but for the blanks between
//                    its parts, so that no digit of a number is lost; null if it is empty
//   "result_text"    it is other text, in UTF-8
//   "result_base64"  it is neither
std::string json_object(const RunJob& job, std::string_view bytes_name = "result");
std::string ndjson_line(const RunJob& job);  // with its newline

// JSON without the blanks between its parts; "" if `text` is no JSON. Keeps no tree: a result may
// have as many values as bytes.
std::string json_without_blanks(std::string_view text);

}  // namespace hf
