#include "handlers/error_text.h"

#include <holdfast.h>

#include <algorithm>

#include "core/names.h"

namespace hf {
namespace {

constexpr std::string_view kCut = "...";

bool continues(char c) {
  return (c & 0xc0) == 0x80;
}

// The character at the start of `bytes`, or its first byte if it is none.
std::string_view first_character(std::string_view bytes) {
  size_t size = 1;
  while (size < 4 && size < bytes.size() && continues(bytes[size])) ++size;
  return size > 1 && valid_utf8(bytes.substr(0, size)) ? bytes.substr(0, size) : bytes.substr(0, 1);
}

bool shows(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1)
    return first == '\n' || first == '\t' || (first >= ' ' && first < 0x7f);
  return !(first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0);  // U+0080..U+009F
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

size_t room_after(std::string* what) {
  what->resize(cut_utf8(*what, HF_ERROR_TEXT_MAX / 2).size());
  *what += ": ";
  return HF_ERROR_TEXT_MAX - what->size();
}

}  // namespace

std::string printable(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::string_view character = first_character(bytes);
    if (shows(character)) {
      text += character;
    } else {
      text += '?';
    }
    bytes.remove_prefix(character.size());
  }
  return text;
}

std::string error_with_tail(std::string what, std::string_view tail, bool cut) {
  while (cut && !tail.empty() && continues(tail[0])) tail.remove_prefix(1);
  const std::string clean = printable(tail);
  std::string_view rest = trimmed(clean);
  if (rest.empty()) return what;
  const size_t room = room_after(&what);
  if (rest.size() <= room - (cut ? kCut.size() : 0))
    return what.append(cut ? kCut : "").append(rest);
  rest.remove_prefix(rest.size() - (room - kCut.size()));
  while (continues(rest[0])) rest.remove_prefix(1);
  return what.append(kCut).append(rest);
}

std::string error_with_head(std::string what, std::string_view head, bool cut) {
  // A character that was cut in two at the end would show as '?'.
  if (cut) head = cut_utf8(head, head.size() - std::min<size_t>(head.size(), 1));
  const std::string clean = printable(head);
  const std::string_view rest = trimmed(clean);
  if (rest.empty()) return what;
  const size_t room = room_after(&what);
  if (rest.size() <= room - (cut ? kCut.size() : 0))
    return what.append(rest).append(cut ? kCut : "");
  return what.append(cut_utf8(rest, room - kCut.size())).append(kCut);
}

}  // namespace hf
