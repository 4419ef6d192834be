#include "platform/function_probe.h"

#include <exception>
#include <utility>

#include "core/units.h"
#include "platform/clock.h"
#include "platform/memory.h"

namespace hf {
namespace {

// The next look is seconds away: a thread that waited for it would only be woken to end.
constexpr BlockingPoolOptions kOneThread = {1, 1, 1};

ProbeAnswer call(const std::function<ProbeAnswer()>& look) {
  try {
    return look();
  } catch (const std::bad_alloc&) {
    throw;  // the pool's
  } catch (const std::exception& error) {
    return {false, std::string("it failed: ") + error.what()};
  } catch (...) {
    return {false, "it failed"};
  }
}

}  // namespace

std::string no_answer_text(int64_t timeout_ms) { return "no answer within " + format_duration(timeout_ms); }
std::string still_looking_text(int64_t for_ms) { return "its last look has not ended for " + format_duration_human(for_ms); }

FunctionProbe::FunctionProbe(uv_loop_t* loop, int64_t timeout_ms, std::function<ProbeAnswer()> look)
    : loop_(loop),
      timeout_ms_(timeout_ms),
      no_answer_(no_answer_text(timeout_ms)),
      look_(std::make_shared<const std::function<ProbeAnswer()>>(std::move(look))) {}

void FunctionProbe::ask(Answer answer) {
  if (!thread_) thread_ = std::make_unique<BlockingPool>(loop_, handles_, kOneThread);
  if (!timer_) timer_ = std::make_unique<LoopTimer>(loop_, handles_, [this] { late(); });
  if (thread_->hung() > 0) return answer({false, still_looking_text(boot_ms() - asked_ms_)});
  auto said = std::make_shared<ProbeAnswer>(ProbeAnswer{false, "out of memory"});
  auto task = thread_->submit([look = look_, said] { *said = call(*look); }, [this, said] { looked(std::move(*said)); });
  if (!task) return answer({false, "it is not asked: " + task.error().message});
  task_ = *task;
  asked_ms_ = boot_ms();
  answer_ = std::move(answer);
  timer_->start(timeout_ms_);
}

void FunctionProbe::looked(ProbeAnswer said) {
  task_ = 0;
  timer_->stop();
  std::exchange(answer_, nullptr)(std::move(said));
  if (closed_) close();
}

void FunctionProbe::late() {
  thread_->abandon(std::exchange(task_, 0));
  ProbeAnswer said;
  (void)guarded([&] { said.why = no_answer_; });
  std::exchange(answer_, nullptr)(std::move(said));
  if (closed_) close();
}

void FunctionProbe::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  if (task_ == 0) close();  // else looked() or late() does
}

// In a callback of the timer or of the pool, which may end in it.
void FunctionProbe::close() {
  timer_.reset();
  thread_.reset();
  const HandleCountPtr handles = handles_;  // `closed_` may be the last to hold this
  handles->when_none(std::exchange(closed_, nullptr));
}

}  // namespace hf
