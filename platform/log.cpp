#include "platform/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "platform/clock.h"
#include "platform/memory.h"

namespace hf {
namespace {

bool names_a_secret(std::string_view key) {
  static constexpr std::array<std::string_view, 7> kWords = {
      "password", "passwd", "secret", "token", "authorization", "cookie", "credential"};
  std::string lower(key);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return lower.find(word) != std::string::npos;
  });
}

// "https://user:pass@host/" -> "https://host/", wherever it stands in the text.
std::string without_userinfo(std::string_view text) {
  std::string out;
  for (;;) {
    const std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) return out.append(text);
    const std::size_t start = scheme + 3;
    const std::size_t end = std::min(text.find_first_of("/?# \"'<>", start), text.size());
    const std::size_t at = text.substr(start, end - start).rfind('@');
    out.append(text.substr(0, start));
    text.remove_prefix(at == std::string_view::npos ? start : start + at + 1);
  }
}

// Bytes of the UTF-8 character at the start of `text`; 0 if it is not well formed.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (length == 1) return 1;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned char second = byte(1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;  // overlong, surrogate
  if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;  // overlong, > 10FFFF
  return length;
}

void append_hex(std::string& out, unsigned char byte) {
  char text[5];
  snprintf(text, sizeof text, "\\x%02x", byte);
  out += text;
}

// Escapes; true if the value needs quotes.
bool append_escaped(std::string& out, std::string_view value) {
  bool quotes = value.empty();
  while (!value.empty()) {
    const auto c = static_cast<unsigned char>(value[0]);
    std::size_t length = 1;
    if (c == '"' || c == '\\') {
      quotes = true;
      (out += '\\') += static_cast<char>(c);
    } else if (c == '\n') {
      quotes = true;
      out += "\\n";
    } else if (c == '\t') {
      quotes = true;
      out += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      quotes = true;
      append_hex(out, c);
    } else if (c < 0x80) {
      quotes |= c == ' ' || c == '=';
      out += static_cast<char>(c);
    } else if (c == 0xC2 && value.size() > 1 && static_cast<unsigned char>(value[1]) < 0xA0) {
      quotes = true;  // C1 control characters, which some terminals obey
      append_hex(out, c);
      append_hex(out, static_cast<unsigned char>(value[1]));
      length = 2;
    } else if ((length = utf8_length(value)) > 0) {
      out.append(value.substr(0, length));
    } else {
      quotes = true;
      append_hex(out, c);
      length = 1;
    }
    value.remove_prefix(length);
  }
  return quotes;
}

void append_value(std::string& out, std::string_view value) {
  std::string escaped;
  const bool cut = value.size() > kLogValueMax;
  std::size_t end = std::min(value.size(), kLogValueMax);
  // Not in the middle of a character.
  while (cut && end > kLogValueMax - 3 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;
  const bool quotes = append_escaped(escaped, value.substr(0, end));
  if (quotes) out += '"';
  out += escaped;
  if (cut) out += "...";
  if (quotes) out += '"';
}

}  // namespace

const char* log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kError: return "error";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kInfo: return "info";
    case LogLevel::kDebug: return "debug";
  }
  return "?";
}

std::string format_log_line(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    ((line += ' ') += field.key) += '=';
    if (!field.number.empty())
      line += field.number;
    else if (names_a_secret(field.key))
      line += "<hidden>";
    else if (field.text.find("://") != std::string_view::npos)
      append_value(line, without_userinfo(field.text));
    else
      append_value(line, field.text);
  }
  return line;
}

struct Logger::State {
  std::atomic<LogLevel> lowest;
  std::mutex mutex;  // one call of the sink at a time
  LogSink sink;      // constant after construction
};

Logger::Logger(LogSink sink, LogLevel lowest) : state_(std::make_shared<State>()) {
  state_->lowest = lowest;
  state_->sink = std::move(sink);
}

bool Logger::enabled(LogLevel level) const {
  return state_ && level <= state_->lowest.load(std::memory_order_relaxed);
}

void Logger::set_lowest(LogLevel lowest) const {
  if (state_) state_->lowest = lowest;
}

void Logger::log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const {
  if (!enabled(level)) return;
  // Whoever logs does not fail for it: without memory the line is lost.
  (void)guarded([&] {
    const std::string line = format_log_line(event, fields);
    const std::lock_guard lock(state_->mutex);
    state_->sink(level, line);
  });
}

Logger logger_of(hf_log_fn fn, void* user, LogLevel lowest) {
  if (fn == nullptr) return Logger();
  return Logger([fn, user](LogLevel level, const std::string& line) {
    fn(static_cast<int>(level), line.c_str(), user);
  }, lowest);
}

std::string journal_line(LogLevel level, std::string_view line) {
  static constexpr char kPriority[] = {'3', '4', '6', '7'};  // syslog(3)
  std::string out = {'<', kPriority[static_cast<int>(level)], '>'};
  return out.append(line) += '\n';
}

std::string dated_line(LogLevel level, std::string_view line, std::int64_t unix_ms) {
  const std::int64_t ms = ((unix_ms % 1000) + 1000) % 1000;
  const auto seconds = static_cast<time_t>((unix_ms - ms) / 1000);
  tm date{};
  gmtime_r(&seconds, &date);
  char stamp[32];
  const std::size_t length = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &date);
  char rest[8];
  snprintf(rest, sizeof rest, ".%03dZ ", static_cast<int>(ms));
  std::string out(stamp, length);
  return (((out += rest) += log_level_name(level)) += ' ').append(line) += '\n';
}

bool is_journal_stream(int fd, const char* variable) {
  if (variable == nullptr) return false;
  unsigned long long device, inode;
  char beyond;
  if (sscanf(variable, "%llu:%llu%c", &device, &inode, &beyond) != 2) return false;
  struct stat is {};
  return fstat(fd, &is) == 0 && is.st_dev == device && is.st_ino == inode;
}

LogSink descriptor_sink(int fd, bool journal) {
  return [fd, journal](LogLevel level, const std::string& line) {
    const std::string text = journal ? journal_line(level, line) : dated_line(level, line, wall_ms());
    ssize_t written;
    do {
      written = write(fd, text.data(), text.size());
    } while (written < 0 && errno == EINTR);
  };
}

}  // namespace hf
