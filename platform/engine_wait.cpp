#include "platform/engine_wait.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/types.h"

namespace hf {

namespace {
// Where the wall timer stands when nothing is due: far away, so that it only tells of steps.
constexpr int64_t kFarWallMs = 4102444800000;  // 2100
}  // namespace

Result<std::unique_ptr<EngineWait>> EngineWait::create() {
  std::unique_ptr<EngineWait> w(new EngineWait);
  w->event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  w->boot_timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  w->wall_timer_ = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (w->event_ < 0 || w->boot_timer_ < 0 || w->wall_timer_ < 0) {
    return Error{HF_E_IO, "no descriptors left for the engine's timers"};
  }
  return w;
}

EngineWait::~EngineWait() {
  for (int fd : {event_, boot_timer_, wall_timer_}) {
    if (fd >= 0) close(fd);
  }
}

void EngineWait::wake() {
  if (state_.exchange(kSignalled) != kAsleep) return;  // it will look before it sleeps
  uint64_t one = 1;
  (void)!write(event_, &one, sizeof one);
}

bool EngineWait::set(int fd, int flags, int64_t& armed_ms, int64_t at_ms) {
  if (armed_ms == at_ms) return false;
  armed_ms = at_ms;
  itimerspec spec{};
  if (at_ms != kNever) {
    int64_t at = at_ms > 0 ? at_ms : 1;
    spec.it_value.tv_sec = static_cast<time_t>(at / 1000);
    spec.it_value.tv_nsec = static_cast<long>(at % 1000 * 1000000);
  }
  if (timerfd_settime(fd, flags, &spec, nullptr) == 0 || errno != ECANCELED) return false;
  armed_ms = kNotArmed;
  return true;
}

void EngineWait::set_both(int64_t boot_ms, int64_t wall_ms) {
  (void)set(boot_timer_, TFD_TIMER_ABSTIME, boot_armed_, boot_ms);
  stepped_ |= set(wall_timer_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, wall_armed_, wall_ms == kNever ? kFarWallMs : wall_ms);
}

void EngineWait::arm(int64_t boot_ms, int64_t wall_ms) {
  if (boot_armed_ != kNotArmed) boot_ms = std::min(boot_ms, boot_armed_);
  if (wall_armed_ != kNotArmed) wall_ms = std::min(wall_ms, wall_armed_);
  set_both(boot_ms, wall_ms);
  if (stepped_) wake();
}

bool EngineWait::wait(int64_t boot_ms, int64_t wall_ms, std::unique_lock<std::mutex>* let_go) {
  set_both(boot_ms, wall_ms);
  for (Other& other : others_) other.readable = false;
  if (std::exchange(stepped_, false)) return true;
  int awake = kAwake;
  if (!state_.compare_exchange_strong(awake, kAsleep)) {
    state_.store(kAwake);
    return false;
  }
  pollfd fds[3 + kOthers] = {{event_, POLLIN, 0}, {boot_timer_, POLLIN, 0}, {wall_timer_, POLLIN, 0}};
  for (size_t i = 0; i < kOthers; ++i) fds[3 + i] = {others_[i].fd, POLLIN, 0};  // -1 is passed over
  if (let_go != nullptr) let_go->unlock();
  while (poll(fds, std::size(fds), -1) < 0 && errno == EINTR) {
  }
  state_.store(kAwake);
  if (let_go != nullptr) {
    returning_.store(true, std::memory_order_relaxed);
    let_go->lock();
    returning_.store(false, std::memory_order_relaxed);
  }
  uint64_t count;
  if (fds[0].revents != 0) (void)!read(event_, &count, sizeof count);
  if (fds[1].revents != 0) {
    (void)!read(boot_timer_, &count, sizeof count);
    boot_armed_ = kNotArmed;
  }
  if (fds[2].revents != 0) {
    (void)!read(wall_timer_, &count, sizeof count);  // ECANCELED: the clock was set
    wall_armed_ = kNotArmed;
  }
  bool more = fds[1].revents != 0 || fds[2].revents != 0 || std::exchange(stepped_, false);
  for (size_t i = 0; i < kOthers; ++i) more |= others_[i].readable = fds[3 + i].revents != 0;
  return more;
}

bool EngineWait::readable(int fd) const {
  return std::any_of(others_.begin(), others_.end(), [&](const Other& other) { return other.fd == fd && other.readable; });
}

}  // namespace hf
