// Asks a program: exit code 0 opens the gate, and its last line says why. For those who write one: docs/conditions.md.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "handlers/process.h"
#include "platform/net/loop_handles.h"
#include "platform/probe.h"

namespace hf {

// What the end of the program means. Pure.
ProbeAnswer exec_answer(const ProcessEnd& end);

// Made on any thread; else the loop's.
class ExecProbe : public Probe {
 public:
  // `argv` and `env` as in ProcessSpec.
  ExecProbe(uv_loop_t* loop, std::vector<std::string> argv, std::vector<std::string> env, int64_t timeout_ms);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever asked
  ~ExecProbe() override = default;

  // A program that is late is killed with its group. What cannot be killed, since it hangs in the kernel, is asked no second
  // time beside itself.
  void ask(Answer answer) override;
  void shutdown(std::function<void()> closed) override;

 private:
  void ended(const ProcessEnd& end);
  void late();
  void close();

  uv_loop_t* const loop_;
  const std::vector<std::string> argv_, env_;
  const int64_t timeout_ms_;
  const std::string no_answer_;
  const HandleCountPtr handles_ = std::make_shared<HandleCount>();
  std::unique_ptr<LoopTimer> timer_;  // from the first ask() to shutdown()
  Process* process_ = nullptr;        // lives until ended()
  int64_t asked_ms_ = 0;              // boot: it began
  Answer answer_;                     // is owed
  std::function<void()> closed_;
};

}  // namespace hf
