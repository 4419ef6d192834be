#include "apps/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/calendar.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr std::string_view kEllipsis = "\xe2\x80\xa6";

const char* code_of(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::bold:
      return "1";
    case Colour::dim:
      return "2";
    case Colour::red:
      return "31";
    case Colour::green:
      return "32";
    case Colour::yellow:
      return "33";
    case Colour::blue:
      return "34";
    case Colour::cyan:
      return "36";
  }
  return "";
}

bool set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

// Bytes of the character that `text` starts with; 0 if it is not UTF-8.
size_t character(std::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (valid_utf8(text.substr(0, length))) return length;
  }
  return 0;
}

std::string cleaned(std::string_view text, bool keep_lines) {
  std::string out;
  while (!text.empty()) {
    const size_t length = character(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    // C1 controls are two bytes in UTF-8: C2 80 to C2 9F.
    const bool c1 = length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (byte == '\n' || byte == '\t') {
      out += keep_lines ? static_cast<char>(byte) : ' ';
    } else if (length == 0 || byte < 0x20 || byte == 0x7f || c1) {
      out += kReplacement;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(1, length));
  }
  return out;
}

}  // namespace

Terminal Terminal::of(int fd) {
  Terminal terminal;
  terminal.is_tty = isatty(fd) == 1;
  const char* term = std::getenv("TERM");
  terminal.colour = terminal.is_tty && !set("NO_COLOR") && term && std::string_view(term) != "dumb";
  struct winsize size;
  if (terminal.is_tty && ioctl(fd, TIOCGWINSZ, &size) == 0) terminal.width = size.ws_col;
  return terminal;
}

std::string Terminal::paint(std::string_view text, Colour colour_wanted) const {
  if (!colour || colour_wanted == Colour::none || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code_of(colour_wanted)) + "m" + std::string(text) + "\x1b[0m";
}

std::string clean(std::string_view text) {
  return cleaned(text, false);
}
std::string clean_lines(std::string_view text) {
  return cleaned(text, true);
}

size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string cut_to(std::string_view text, size_t width) {
  if (width_of(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::string out;
  for (size_t taken = 0; taken + 1 < width; ++taken) {
    const size_t length = std::max<size_t>(1, character(text));
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out + std::string(kEllipsis);
}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = clean(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::text(const Terminal& terminal, std::string_view indent) const {
  std::vector<size_t> shown;  // columns
  std::vector<size_t> widths(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    for (const auto& row : rows_) widths[i] = std::max(widths[i], width_of(row[i].text));
    if (widths[i] == 0) continue;
    widths[i] = std::max(widths[i], width_of(columns_[i].title));
    shown.push_back(i);
  }
  if (shown.empty()) return "";
  size_t before_last = indent.size();
  for (size_t i = 0; i + 1 < shown.size(); ++i) before_last += widths[shown[i]] + 2;
  const size_t terminal_width = static_cast<size_t>(terminal.width);
  if (terminal.width > 0 && before_last + widths[shown.back()] > terminal_width) {
    // Never below what a title takes: such a narrow terminal wraps.
    const size_t room = terminal_width > before_last ? terminal_width - before_last : 0;
    widths[shown.back()] = std::max(room, width_of(columns_[shown.back()].title));
  }
  const auto line = [&](auto cell_of) {
    std::string out(indent);
    for (const size_t i : shown) {
      const Cell cell = cell_of(i);
      const std::string cut = i == shown.back() ? cut_to(cell.text, widths[i]) : cell.text;
      const std::string padding(widths[i] - std::min(widths[i], width_of(cut)), ' ');
      if (columns_[i].align == Align::right) out += padding;
      out += terminal.paint(cut, cell.colour);
      if (i == shown.back()) break;
      if (columns_[i].align == Align::left) out += padding;
      out += "  ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  std::string out = line([&](size_t i) { return Cell(columns_[i].title, Colour::dim); });
  for (const auto& row : rows_) out += line([&](size_t i) { return row[i]; });
  return out;
}

std::string weekday_name(int64_t days) {
  static constexpr const char* kNames[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  return kNames[weekday_from_days(days)];
}

std::string duration_in_words(int64_t ms) {
  std::string text = format_duration_human(ms);
  const size_t space = text.find(' ');
  // The second unit says something only while the first is small.
  if (space != std::string::npos && ms >= 0) {
    size_t digits = 0;
    while (is_digit(text[digits])) ++digits;
    if (digits >= 2) text.resize(space);
  }
  return text;
}

std::string time_in_words(int64_t wall_ms, int64_t now_ms) {
  const int64_t distance = wall_ms - now_ms;
  if (distance > -1000 && distance < 1000) return "now";
  const int64_t seconds = (distance < 0 ? -distance : distance) / 1000;
  return distance > 0 ? "in " + duration_in_words(seconds * 1000)
                      : duration_in_words(seconds * 1000) + " ago";
}

}  // namespace hf
