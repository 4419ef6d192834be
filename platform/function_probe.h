// Asks a function that may block: a read of /sys that a driver holds up, a statvfs of a dead NFS, a hook of the program.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "platform/net/blocking_pool.h"
#include "platform/net/loop_handles.h"
#include "platform/probe.h"

namespace hf {

// What a probe says of itself: "no answer within 5s", "its last look has not ended for 3m".
std::string no_answer_text(int64_t timeout_ms);
std::string still_looking_text(int64_t for_ms);

// The function is called on a thread of this probe alone, so that one that hangs holds up no other; there is none between two
// looks. A call that hangs cannot be ended: once it is late the gate is closed, and as long as it goes on no other one is begun.
//
// Made on any thread; else the loop's.
class FunctionProbe : public Probe {
 public:
  // `look` is called on a thread; a call that is late may go on after `closed`: what it refers to has to outlive it, or be owned by it. It
  // is destroyed with the probe, or on that thread after its last call. What it throws closes the gate.
  FunctionProbe(uv_loop_t* loop, int64_t timeout_ms, std::function<ProbeAnswer()> look);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever asked
  ~FunctionProbe() override = default;

  void ask(Answer answer) override;
  // Waits for a call that goes on, at most until it is late.
  void shutdown(std::function<void()> closed) override;

 private:
  void looked(ProbeAnswer said);
  void late();
  void close();

  uv_loop_t* const loop_;
  const int64_t timeout_ms_;
  const std::string no_answer_;
  const std::shared_ptr<const std::function<ProbeAnswer()>> look_;  // with the thread
  const HandleCountPtr handles_ = std::make_shared<HandleCount>();
  // From the first ask() to shutdown().
  std::unique_ptr<BlockingPool> thread_;
  std::unique_ptr<LoopTimer> timer_;
  BlockingPool::TaskId task_ = 0;  // 0: none, or it is late
  int64_t asked_ms_ = 0;           // boot: the last call began
  Answer answer_;                  // is owed
  std::function<void()> closed_;   // of shutdown()
};

}  // namespace hf
