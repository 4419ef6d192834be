#include "core/names.h"

#include <algorithm>
#include <array>

namespace hf {
namespace {

constexpr size_t kHintMax = 64;  // bytes; longer words and names are not compared

constexpr bool name_byte(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == ':' || c == '/' || c == '-';
}

// The length of the well-formed UTF-8 character that `text` starts with, 0 if it does not.
// The Unicode Standard, table 3-7 "Well-Formed UTF-8 Byte Sequences".
size_t utf8_character(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (text.empty()) return 0;
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return tail(1) ? 2 : 0;
  const unsigned second = byte(1);
  if (lead < 0xF0) {
    if (lead == 0xE0 && second < 0xA0) return 0;   // overlong
    if (lead == 0xED && second >= 0xA0) return 0;  // surrogates
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (lead > 0xF4) return 0;
  if (lead == 0xF0 && second < 0x90) return 0;   // overlong
  if (lead == 0xF4 && second >= 0x90) return 0;  // beyond U+10FFFF
  return tail(1) && tail(2) && tail(3) ? 4 : 0;
}

// Edits of one letter from `a` to `b`, a swap of neighbours counting as one (Damerau, the "optimal
// string alignment" form); case is ignored. REQUIRES: both have at most kHintMax bytes.
size_t edit_distance(std::string_view a, std::string_view b) {
  using Row = std::array<size_t, kHintMax + 1>;
  Row before{}, last{}, row{};
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = to_lower(a[i - 1]) == to_lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && to_lower(a[i - 1]) == to_lower(b[j - 2]) &&
                           to_lower(a[i - 2]) == to_lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

Status name_error(std::string_view kind, std::string_view text) {
  const std::string what(kind);
  if (text.empty()) return Error{HF_E_INVALID, "the " + what + " name is empty"};
  if (text.size() > HF_NAME_MAX) {
    return Error{HF_E_INVALID, "the " + what + " name " + quoted(text) + " is " +
                                   std::to_string(text.size()) + " bytes long: at most " +
                                   std::to_string(HF_NAME_MAX) + " are allowed"};
  }
  if (!is_letter(text[0]) && !is_digit(text[0]) && text[0] != '_') {
    return Error{HF_E_INVALID,
                 "the " + what + " name " + quoted(text) + " starts with " +
                     quoted(text.substr(0, std::max<size_t>(1, utf8_character(text)))) +
                     ": a letter, a digit or _ is allowed there"};
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (name_byte(text[i])) continue;
    const std::string_view rest = text.substr(i);
    return Error{HF_E_INVALID,
                 "the " + what + " name " + quoted(text) + " has " +
                     quoted(rest.substr(0, std::max<size_t>(1, utf8_character(rest)))) +
                     " at position " + std::to_string(i + 1) +
                     ": allowed are letters, digits and _ . : / -"};
  }
  return ok_status();
}

}  // namespace

Status check_name(std::string_view kind, std::string_view text) {
  static constexpr auto kOfNames = [] {
    std::array<bool, 256> of{};
    for (size_t c = 0; c < of.size(); ++c) of[c] = name_byte(static_cast<char>(c));
    return of;
  }();
  const auto first = text.empty() ? '.' : text[0];
  const bool sound = (is_letter(first) || is_digit(first) || first == '_') && text.size() <= HF_NAME_MAX &&
                     std::all_of(text.begin(), text.end(), [](char c) { return kOfNames[static_cast<uint8_t>(c)]; });
  return sound ? ok_status() : name_error(kind, text);
}

Status check_queue_name(std::string_view name) {
  return is_sink_queue(name) ? check_name("sink", name.substr(kSinkPrefix.size())) : check_name("queue", name);
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_character(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Status text_fits(const char* field, std::string_view text, size_t max) {
  if (text.size() > max) {
    return Error{HF_E_TOO_LARGE, std::string(field) + " has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max)};
  }
  if (!valid_utf8(text)) return Error{HF_E_INVALID, std::string(field) + " is not valid UTF-8"};
  return ok_status();
}

std::string_view cut_utf8(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  // A character has at most 3 bytes after its first: text[end] is the first byte left out.
  for (int back = 0; back < 3 && end > 0; ++back, --end) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0) != 0x80) break;
  }
  return text.substr(0, end);
}

std::string_view take_until(std::string_view* text, char end) {
  const size_t at = std::min(text->find(end), text->size());
  const std::string_view front = text->substr(0, at);
  text->remove_prefix(std::min(at + 1, text->size()));
  return front;
}

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[c & 15];
  }
  return text;
}

std::string percent_encode(std::string_view text, std::string_view plain) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_letter(c) || is_digit(c) || plain.find(c) != plain.npos) {
      out += c;
    } else {
      out += '%';
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[c & 15];
    }
  }
  return out;
}

std::string quoted(std::string_view text, size_t max_bytes) {
  std::string_view rest = cut_utf8(text, max_bytes);
  const bool cut = rest.size() < text.size();
  std::string out = "\"";
  while (!rest.empty()) {
    const size_t length = utf8_character(rest);
    const auto byte = static_cast<unsigned char>(rest[0]);
    const bool plain = length > 1 || (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\');
    if (length > 0 && plain) {
      out += rest.substr(0, length);
      rest.remove_prefix(length);
    } else {
      out += "\\x" + hex(rest.substr(0, 1));
      rest.remove_prefix(1);
    }
  }
  return out + (cut ? "...\"" : "\"");
}

std::string one_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_character(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length > 1 || (length == 1 && byte >= 0x20 && byte != 0x7F)) {
      line += text.substr(0, length);
    } else {
      line += '?';
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return line;
}

std::vector<std::string_view> nearest_names(std::string_view word,
                                            std::span<const std::string_view> known, size_t count) {
  struct Match {
    size_t distance;
    std::string_view name;
  };
  if (word.empty() || word.size() > kHintMax) return {};
  const size_t allowed = std::min<size_t>(3, std::max<size_t>(1, word.size() / 3));
  std::vector<Match> matches;
  for (const std::string_view name : known) {
    const size_t longer = std::max(word.size(), name.size());
    if (name.empty() || name.size() > kHintMax) continue;
    if (longer - std::min(word.size(), name.size()) > allowed) continue;
    const size_t distance = edit_distance(word, name);
    // A name all of whose letters would have to change is no hint.
    if (distance <= allowed && distance < longer) matches.push_back({distance, name});
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const Match& a, const Match& b) { return a.distance < b.distance; });
  std::vector<std::string_view> names;
  for (size_t i = 0; i < matches.size() && i < count; ++i) names.push_back(matches[i].name);
  return names;
}

std::optional<std::string_view> nearest_name(std::string_view word,
                                             std::span<const std::string_view> known) {
  const auto names = nearest_names(word, known, 1);
  if (names.empty()) return std::nullopt;
  return names[0];
}

bool equal_no_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

}  // namespace hf
