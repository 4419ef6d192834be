#include "platform/net/loop_handles.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace hf {

void HandleCount::closed() {
  assert(open_ > 0);
  if (--open_ == 0 && when_none_) std::exchange(when_none_, nullptr)();
}

void HandleCount::when_none(std::function<void()> f) {
  assert(!when_none_);
  if (open_ == 0)
    f();
  else
    when_none_ = std::move(f);
}

struct LoopTimer::Block {
  uv_timer_t timer;
  HandleCountPtr handles;
  std::function<void()> on_fire;  // kept until the close callback: it may be running when we close
};

LoopTimer::LoopTimer(uv_loop_t* loop, HandleCountPtr handles, std::function<void()> on_fire)
    : block_(new Block{{}, std::move(handles), std::move(on_fire)}) {
  uv_timer_init(loop, &block_->timer);
  block_->timer.data = block_;
  block_->handles->opened();
}

LoopTimer::~LoopTimer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&block_->timer), [](uv_handle_t* handle) {
    auto* block = static_cast<Block*>(handle->data);
    const HandleCountPtr handles = std::move(block->handles);
    delete block;
    handles->closed();
  });
}

void LoopTimer::start(int64_t delay_ms) {
  const auto fire = [](uv_timer_t* timer) {
    auto* block = static_cast<Block*>(timer->data);
    const HandleCountPtr handles = block->handles;
    handles->guard(block->on_fire);
  };
  uv_timer_start(&block_->timer, fire, static_cast<uint64_t>(std::max<int64_t>(delay_ms, 0)), 0);
}

void LoopTimer::stop() { uv_timer_stop(&block_->timer); }

bool LoopTimer::armed() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&block_->timer)) != 0;
}

int64_t loop_now_ms(uv_loop_t* loop) { return static_cast<int64_t>(uv_now(loop)); }

}  // namespace hf
