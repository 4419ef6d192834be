// Names and text: what a name may be, UTF-8, and the nearest known name for a hint.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hf {

// Checks a type, queue, schedule or sink name: 1..HF_NAME_MAX bytes of A-Z a-z 0-9 _ . : / -, the
// first one a letter, a digit or _. `kind` is the word for the error: "queue", "job type".
// HF_E_INVALID says what was found, where (1-based byte), and what is allowed.
Status check_name(std::string_view kind, std::string_view text);

// The queue of the deliveries to a sink, which is the name of its runner too: "sink:cloud".
inline constexpr std::string_view kSinkPrefix = "sink:";
constexpr bool is_sink_queue(std::string_view name) {
  return name.starts_with(kSinkPrefix);
}
Status check_queue_name(std::string_view name);  // a sink has a name of its own length

// True if `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF).
bool valid_utf8(std::string_view text);

// HF_E_TOO_LARGE beyond `max` bytes, HF_E_INVALID if it is not UTF-8.
Status text_fits(const char* field, std::string_view text, size_t max);

// The longest start of `text` that has at most `max_bytes` bytes and does not end in the middle of
// a character. Text that is not UTF-8 loses at most 3 bytes more than it must.
std::string_view cut_utf8(std::string_view text, size_t max_bytes);

// `text` in double quotes, for a one-line message: control characters, quotes, backslashes and
// bytes that are not UTF-8 are written as \xNN, and what goes beyond `max_bytes` bytes is left out
// as "...".
std::string quoted(std::string_view text, size_t max_bytes = 48);

// `text` as one line of UTF-8, for a message that quotes what others wrote: control characters and
// bytes that are not UTF-8 become '?'.
std::string one_line(std::string_view text);

// Takes what is before the first `end` from `text`, and that with it; all of it if there is none.
std::string_view take_until(std::string_view* text, char end);

// Two digits a byte, of lower case.
std::string hex(std::string_view bytes);

// `text` in which every byte that is no letter of ASCII, no digit and none of `plain` is %XX (RFC 3986, 2.1); those that it calls
// unreserved (2.3) unless others are named.
std::string percent_encode(std::string_view text, std::string_view plain = "-._~");

// The names of `known` that `word` is most likely meant to be, nearest first: those that differ,
// without regard to case, by at most a third of its letters (and by at most 3) in edits of one
// letter: insert, delete, replace, or swap two neighbours. At most `count`; words longer than 64
// bytes have none.
std::vector<std::string_view> nearest_names(std::string_view word,
                                            std::span<const std::string_view> known, size_t count);
// The first of them.
std::optional<std::string_view> nearest_name(std::string_view word,
                                             std::span<const std::string_view> known);

// ASCII only, whatever the locale.
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool is_letter(char c) {
  return to_lower(c) >= 'a' && to_lower(c) <= 'z';
}
bool equal_no_case(std::string_view a, std::string_view b);

}  // namespace hf
