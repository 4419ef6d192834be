// The host's libuv loop, for hf_start_on: callbacks are carried over to it.
//
// The library has a libuv of its own, so it does not touch the host's loop but through the host's libuv: a handful of
// functions of its stable interface (1.x), found at link or load time, that need no knowledge of its structs.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "core/result.h"

namespace hf {

// Owner: the engine's handle. create() and close() on the host's loop thread; post() on any.
class HostLoop {
 public:
  // HF_E_UNSUPPORTED: no libuv in this program. HF_E_IO: the loop takes no handle.
  static Result<std::shared_ptr<HostLoop>> create(void* uv_loop);
  void* loop() const;
  // Runs `task` (one) on the host's loop; at once, on the calling thread, after close(). Needs no memory.
  void post(std::list<std::function<void()>> task);
  // Runs what was posted, then lets go of the loop. Until then the last holder must not let go of this.
  void close();

 private:
  struct State;
  explicit HostLoop(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace hf
