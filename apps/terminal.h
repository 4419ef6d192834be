// What people see: colour, width, aligned tables, times in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hf {

enum class Colour : uint8_t { none, bold, dim, red, green, yellow, blue, cyan };

// How stdout is to be written. Colour only on a terminal, and not if $NO_COLOR is set or $TERM is
// "dumb".
struct Terminal {
  bool is_tty = false;
  bool colour = false;
  int width = 0;  // columns; 0: as wide as it gets

  static Terminal of(int fd);
  std::string paint(std::string_view text, Colour colour_wanted) const;
};

// Text from outside, fit for a terminal: a control character or what is not UTF-8 becomes U+FFFD, a
// newline or tab a space.
std::string clean(std::string_view text);
// The same, but newlines and tabs stay.
std::string clean_lines(std::string_view text);
// Characters of UTF-8 text; combining ones and wide ones are not looked at.
size_t width_of(std::string_view text);
// At most `width` characters, the last one "…" if some were left out.
std::string cut_to(std::string_view text, size_t width);

// Columns set apart by two spaces. Cells are cleaned; an empty one is shown as it is.
class Table {
 public:
  enum class Align : uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  struct Cell {
    Cell(std::string cell_text, Colour cell_colour = Colour::none)
        : text(std::move(cell_text)), colour(cell_colour) {}
    Cell(const char* cell_text) : text(cell_text) {}
    std::string text;
    Colour colour = Colour::none;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);  // REQUIRES: as many cells as columns
  bool empty() const { return rows_.empty(); }

  // Columns that are empty in every row are left out. On a terminal, the last column is cut so that
  // a row fits.
  std::string text(const Terminal& terminal, std::string_view indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "in 5s", "3m ago", "now"; two units while the first is small: "1h 5m ago", "12h ago".
std::string time_in_words(int64_t wall_ms, int64_t now_ms);
// "Sun"; days since 1970-01-01
std::string weekday_name(int64_t days);
// "2m", "1h 5m", "350ms"
std::string duration_in_words(int64_t ms);

}  // namespace hf
