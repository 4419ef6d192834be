// Structured log: one line an event, "event key=value key="quoted value"".
#pragma once

#include <holdfast.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace hf {

enum class LogLevel { kError = HF_LOG_ERROR, kWarn = HF_LOG_WARN, kInfo = HF_LOG_INFO, kDebug = HF_LOG_DEBUG };

// "error", "warn", "info", "debug"
const char* log_level_name(LogLevel level);

// One key and its value, as text already or as a number. Lives for one log call.
struct LogField {
  template <class T>
    requires std::convertible_to<T, std::string_view>
  LogField(std::string_view name, const T& value) : key(name), text(value) {}
  LogField(std::string_view name, const char* value) : key(name), text(value != nullptr ? value : "") {}
  template <class T>
    requires std::integral<T>
  LogField(std::string_view name, T value) : key(name) {
    if constexpr (std::is_same_v<T, bool>)
      text = value ? "true" : "false";
    else if constexpr (std::is_signed_v<T>)
      number = std::to_string(static_cast<long long>(value));
    else
      number = std::to_string(static_cast<unsigned long long>(value));
  }

  std::string_view key;
  std::string_view text;  // "", and `number` is set, for a number
  std::string number;
};

inline constexpr std::size_t kLogValueMax = 1024;  // bytes of one value; a longer one is cut, with "..."

// The line without time, level and newline. Values that hold a space, a quote, '=' or nothing are
// quoted; quotes, backslashes and control characters are escaped (\" \\ \n \t \x1b), so that a line
// stays a line whatever a job, a server or a file put into a value. Bytes that are not UTF-8 become \xNN.
//
// Secrets do not reach a log: a field whose key names one (password, secret, token, authorization,
// cookie, credential) has the value "<hidden>", and the user part of "scheme://user:pass@host" is cut out.
std::string format_log_line(std::string_view event, std::initializer_list<LogField> fields);

// Takes one finished line; one call at a time. Must return soon and must not log.
using LogSink = std::function<void(LogLevel level, const std::string& line)>;

// Where log lines go. Copies share the sink; a default one logs nothing, at the cost of one branch.
//
// Owner: anybody, by value. Thread: any.
class Logger {
 public:
  Logger() = default;
  // Lines of `lowest` and worse go to the sink.
  explicit Logger(LogSink sink, LogLevel lowest = LogLevel::kInfo);

  void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {}) const;
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::kError, event, fields);
  }
  void warn(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::kWarn, event, fields);
  }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::kInfo, event, fields);
  }
  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::kDebug, event, fields);
  }

  bool enabled(LogLevel level) const;
  // For a reload; holds for all copies.
  void set_lowest(LogLevel lowest) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// The C API's sink: `fn` may be null, then the logger logs nothing.
Logger logger_of(hf_log_fn fn, void* user, LogLevel lowest = LogLevel::kDebug);

// ---- the daemon's sink --------------------------------------------------------------------------

// How a line looks on a descriptor: for the journal "<6>line" (sd-daemon(3): 3 error, 4 warning, 6 info,
// 7 debug), else "2026-11-24T10:55:14.123Z info line". With a final newline.
std::string journal_line(LogLevel level, std::string_view line);
std::string dated_line(LogLevel level, std::string_view line, std::int64_t unix_ms);

// True if `fd` is the stream that $JOURNAL_STREAM ("device:inode") names. `variable` may be null.
bool is_journal_stream(int fd, const char* variable);

// Writes to `fd` in the form that fits it, each line with one write(2); a line that cannot be written
// is lost.
LogSink descriptor_sink(int fd, bool journal);

}  // namespace hf
