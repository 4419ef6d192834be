// Error texts that quote what a program or a server said.
#pragma once

#include <string>
#include <string_view>

namespace hf {

// Valid UTF-8 that a terminal only shows: control characters but newline and tab, and bytes that
// are not UTF-8, become '?'.
std::string printable(std::string_view bytes);

// `what: detail`, printable, without blanks at its ends, in at most HF_ERROR_TEXT_MAX bytes: what
// does not fit is left out as "..." at the start (of a tail) or at the end (of a head) of the
// detail. `cut`: some is missing there already. Just `what` if the detail is empty.
std::string error_with_tail(std::string what, std::string_view tail, bool cut);
std::string error_with_head(std::string what, std::string_view head, bool cut);

}  // namespace hf
