// Asks a program whether the wall clock is right: `chronyc waitsync 1`, a modem's answer, a look at a GPS receiver. Exit code
// 0 is yes; every other one, and no answer in time, is no.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "handlers/process.h"
#include "platform/host.h"

namespace hf {

inline constexpr int64_t kClockAnswerMs = 10'000;  // longer, and it is ended: no

// Thread: the loop's, but for start() and stop(): any. Lives until it was stopped and its program is gone.
class ClockCommand : public std::enable_shared_from_this<ClockCommand> {
 public:
  // For make_shared. `argv` as in ExecOptions; after start() it is run on `host`'s loop at once, and again `every_ms` after
  // each end. Its answers go to Host::set_clock_word. REQUIRES: stop() before the host's loop stops.
  ClockCommand(Host& host, std::vector<std::string> argv, std::vector<std::string> env, int64_t every_ms);
  void start();
  void stop();

 private:
  void open();
  void ring();
  void answered(const ProcessEnd& end);

  Host& host_;
  const std::vector<std::string> argv_, env_;
  const int64_t every_ms_;
  std::unique_ptr<BootTimer> timer_;
  Process* process_ = nullptr;  // lives until answered()
  bool stopped_ = false, told_missing_ = false;
};

}  // namespace hf
