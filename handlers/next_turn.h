// Calls from the loop instead of from here.
#pragma once

#include <uv.h>

#include <functional>

#include "platform/memory.h"

namespace hf {

// Calls `task` once, from the loop, after what is under way has returned. Loop thread. Waits for memory, if it must: it is
// how things end. REQUIRES: `task` does not throw.
template <class F>
void on_next_turn(uv_loop_t* loop, F task) noexcept {
  struct Turn {
    uv_timer_t handle;
    std::function<void()> task;
  };
  Turn* turn = patient([&] { return new Turn{{}, task}; });
  uv_timer_init(loop, &turn->handle);
  turn->handle.data = turn;
  uv_close(reinterpret_cast<uv_handle_t*>(&turn->handle), [](uv_handle_t* handle) {
    auto* closed = static_cast<Turn*>(handle->data);
    const auto run = std::move(closed->task);
    delete closed;
    run();
  });
}

}  // namespace hf
