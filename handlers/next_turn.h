// Calls from the loop instead of from here.
#pragma once

#include <uv.h>

#include <functional>

namespace hf {

// Calls `task` once, from the loop, after what is under way has returned. Loop thread.
inline void on_next_turn(uv_loop_t* loop, std::function<void()> task) {
  struct Turn {
    uv_timer_t handle;
    std::function<void()> task;
  };
  auto* turn = new Turn{{}, std::move(task)};
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
