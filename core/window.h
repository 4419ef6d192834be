// Windows: when a queue is open. A gate of the wall clock: it goes by trusted wall time in a zone.
//
//   22:00-06:00               each night, until the next morning
//   mon-fri 08:00-18:00       days as in a cron line, those on which it opens
//   sat,sun 00:00-24:00
//   */30 * * * * for 5m       a cron line says when it opens, then for how long
//
// Several are separated by `;`: open is what any of them opens. A window that opens or closes at a local time that the zone
// skips does so just after it; at one that comes twice, the first time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/cron.h"
#include "core/result.h"
#include "core/types.h"
#include "core/zone.h"

namespace hf {

inline constexpr size_t kWindowsTextMax = 512;  // bytes
inline constexpr size_t kWindowsMax = 16;
inline constexpr int64_t kWindowMinMs = 1000;  // of "for"
inline constexpr int64_t kWindowMaxMs = 366LL * kSecondsPerDay * 1000;

class Windows {
 public:
  Windows() = default;  // none: always open
  // "": none. HF_E_INVALID says at which column what was found and what is allowed.
  static Result<Windows> parse(std::string_view text);

  bool none() const { return windows_.empty(); }

  // Open or closed at `wall_ms`, and until when that holds: perhaps longer, if windows follow each other without end.
  // kNever: for ever.
  struct Span {
    bool open = true;
    int64_t until_ms = 0;
  };
  Span at(int64_t wall_ms, const Zone& zone) const;

 private:
  struct Window {
    CronExpr opens;
    std::variant<int64_t, CronExpr> closes;  // so long after, or at the next such time
    bool whole_day = false;                  // ... which is that of its opening: on the next day
  };
  static Result<Window> parse_one(std::string_view text, size_t column);
  int64_t open_until(int64_t wall_ms, const Zone& zone) const;  // wall_ms if it is closed then

  std::vector<Window> windows_;
};

// The windows of one queue in a zone, and how they stand now.
class WindowGate {
 public:
  // HF_E_INVALID: the text, or the zone; then nothing changes. In force from the next look() on.
  Status set(const QueueSettings& settings, const ZoneSource& zones);
  // The same of what was accepted once: as long as its zone is gone it stays closed.
  void restore(const QueueSettings& settings, const ZoneSource& zones);

  bool none() const { return windows_.none() && waiting_.empty(); }
  // True if it has opened or closed since the last look.
  bool look(int64_t wall_ms, bool wall_trusted);
  bool open() const { return open_; }
  // When it opens, or closes. 0: not known, as the clock is not trusted; kNever: never.
  int64_t changes_wall_ms() const { return until_ms_; }
  const std::string& waiting() const { return waiting_; }  // why it cannot tell: its zone is gone; or ""

 private:
  Windows windows_;
  std::shared_ptr<const Zone> zone_;
  std::string waiting_;
  bool open_ = true;
  bool looked_ = false;
  int64_t since_ms_ = 0, until_ms_ = 0;  // it stands as it does from then until then
};

}  // namespace hf
