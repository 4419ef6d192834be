#include "platform/host_loop.h"

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <utility>

// libuv as the HOST has it. Declared here, not included: the library's own copy has other names. Weak: a program
// without libuv links all the same, and finds null.
extern "C" {
int uv_async_init(void* loop, void* async, void (*callback)(void* async)) __attribute__((weak));
int uv_async_send(void* async) __attribute__((weak));
void uv_unref(void* handle) __attribute__((weak));
void uv_close(void* handle, void (*callback)(void* handle)) __attribute__((weak));
size_t uv_handle_size(int type) __attribute__((weak));
}

namespace hf {

namespace {
constexpr int kUvAsync = 1;  // UV_ASYNC, since libuv 1.0
}

struct HostLoop::State {
  ~State() { std::free(async); }

  void* uv_loop = nullptr;
  void* async = nullptr;  // a uv_async_t; its first member is `void *data`, the State
  std::mutex mutex;
  bool closed = false;
  std::list<std::function<void()>> tasks;
  std::shared_ptr<State> self;  // while the host's loop knows the handle

  static State* of(void* handle) { return *static_cast<State**>(handle); }
  void run_tasks() {
    std::list<std::function<void()>> batch;
    {
      std::lock_guard lock(mutex);
      batch.swap(tasks);
    }
    for (auto& task : batch) task();
  }
};

Result<std::shared_ptr<HostLoop>> HostLoop::create(void* uv_loop) {
  if (uv_loop == nullptr) return Error{HF_E_INVALID, "uv_loop is null"};
  if (uv_async_init == nullptr || uv_async_send == nullptr || uv_unref == nullptr || uv_close == nullptr || uv_handle_size == nullptr) {
    return Error{HF_E_UNSUPPORTED, "this program has no libuv of its own; use hf_start"};
  }
  auto state = std::make_shared<State>();
  state->uv_loop = uv_loop;
  state->async = std::calloc(1, uv_handle_size(kUvAsync));
  if (state->async == nullptr || uv_async_init(uv_loop, state->async, [](void* handle) { State::of(handle)->run_tasks(); }) != 0) {
    return Error{HF_E_IO, "the host's loop takes no further handle"};
  }
  *static_cast<State**>(state->async) = state.get();
  state->self = state;
  uv_unref(state->async);
  return std::shared_ptr<HostLoop>(new HostLoop(std::move(state)));
}

void* HostLoop::loop() const { return state_->uv_loop; }

void HostLoop::post(std::list<std::function<void()>> task) {
  std::unique_lock lock(state_->mutex);
  if (state_->closed) {
    lock.unlock();
    task.front()();
    return;
  }
  state_->tasks.splice(state_->tasks.end(), task);
  if (state_->tasks.size() == 1) uv_async_send(state_->async);
}

void HostLoop::close() {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->closed) return;
    state_->closed = true;
  }
  state_->run_tasks();
  // Here, on the host's loop thread, and not where the last reference happens to end.
  uv_close(state_->async, [](void* handle) { std::exchange(State::of(handle)->self, nullptr).reset(); });
}

}  // namespace hf
