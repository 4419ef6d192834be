// What a loop waits for besides sockets: the one timer, a step of the wall clock, signals.

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "platform/loop.h"
#include "platform/memory.h"

namespace hf {
namespace {

template <class Handle>
uv_handle_t* as_handle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

// A timerfd watched by uv_poll. On the heap, because libuv frees its handle an iteration later.
struct TimerFd {
  uv_poll_t poll;
  int fd = -1;

  // `on_readable` gets this object as handle->data.
  static int open(uv_loop_t* loop, clockid_t clock, TimerFd& timer, uv_poll_cb on_readable) {
    timer.fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer.fd < 0) return -errno;
    int error = uv_poll_init(loop, &timer.poll, timer.fd);
    if (error != 0) {
      ::close(timer.fd);
      return error;
    }
    timer.poll.data = &timer;
    error = uv_poll_start(&timer.poll, UV_READABLE, on_readable);
    assert(error == 0);  // fails only if another handle watches the same descriptor
    return error;
  }

  // Sets the absolute time; {0, 0} disarms.
  void set(timespec at, int flags) {
    itimerspec spec{};
    spec.it_value = at;
    timerfd_settime(fd, TFD_TIMER_ABSTIME | flags, &spec, nullptr);
  }

  // 0 if it expired, else an errno value.
  int read() {
    std::uint64_t expirations;
    return ::read(fd, &expirations, sizeof expirations) < 0 ? errno : 0;
  }
};

Error no_timer(int error) {
  return {HF_E_IO, std::string("cannot make a timer: ") + uv_strerror(error)};
}

}  // namespace

// ---- BootTimer --------------------------------------------------------------------------------

struct BootTimer::State : TimerFd {
  std::function<void()> fire;
  std::int64_t at = kNever;
  bool closed = false;
};

Result<std::unique_ptr<BootTimer>> BootTimer::create(uv_loop_t* loop, std::function<void()> fire) {
  auto state = std::make_unique<State>();
  state->fire = std::move(fire);
  const int error = TimerFd::open(loop, CLOCK_BOOTTIME, *state, [](uv_poll_t* poll, int, int) {
    auto* self = static_cast<State*>(static_cast<TimerFd*>(poll->data));
    if (self->closed || self->read() != 0) return;  // EAGAIN: set anew after it expired
    self->at = kNever;
    (void)guarded(self->fire);
  });
  if (error != 0) return no_timer(error);
  return std::unique_ptr<BootTimer>(new BootTimer(state.release()));
}

BootTimer::~BootTimer() {
  state_->closed = true;
  uv_close(as_handle(&state_->poll), [](uv_handle_t* handle) {
    auto* self = static_cast<State*>(static_cast<TimerFd*>(handle->data));
    close(self->fd);
    delete self;
  });
}

void BootTimer::set(std::int64_t at_boot_ms) {
  if (at_boot_ms == state_->at) return;
  state_->at = at_boot_ms;
  timespec at{};
  if (at_boot_ms != kNever) {
    const std::int64_t ms = std::max<std::int64_t>(at_boot_ms, 0);
    constexpr std::int64_t kLongestSeconds = 0x7fff'ffff;  // 68 years of uptime, in any time_t
    at.tv_sec = static_cast<time_t>(std::min(ms / 1000, kLongestSeconds));
    at.tv_nsec = ms % 1000 * 1'000'000;
    if (at.tv_sec == 0 && at.tv_nsec == 0) at.tv_nsec = 1;  // 0 would disarm
  }
  state_->set(at, 0);
}

std::int64_t BootTimer::at() const { return state_->at; }

// ---- ClockStepWatch ---------------------------------------------------------------------------

struct ClockStepWatch::State : TimerFd {
  std::function<void()> stepped;
  bool closed = false;

  // A time that does not come: 2200-01-01. It is only there to be cancelled.
  void arm() { set({static_cast<time_t>(7'258'118'400), 0}, TFD_TIMER_CANCEL_ON_SET); }
};

Result<std::unique_ptr<ClockStepWatch>> ClockStepWatch::create(uv_loop_t* loop,
                                                               std::function<void()> stepped) {
  auto state = std::make_unique<State>();
  state->stepped = std::move(stepped);
  const int error = TimerFd::open(loop, CLOCK_REALTIME, *state, [](uv_poll_t* poll, int, int) {
    auto* self = static_cast<State*>(static_cast<TimerFd*>(poll->data));
    if (self->closed) return;
    const int result = self->read();
    if (result == EAGAIN) return;
    // ECANCELED: the clock was set. 0: it was set beyond 2200, and the time came.
    if (result == ECANCELED) self->arm();
    (void)guarded(self->stepped);
  });
  if (error != 0) return no_timer(error);
  state->arm();
  return std::unique_ptr<ClockStepWatch>(new ClockStepWatch(state.release()));
}

ClockStepWatch::~ClockStepWatch() {
  state_->closed = true;
  uv_close(as_handle(&state_->poll), [](uv_handle_t* handle) {
    auto* self = static_cast<State*>(static_cast<TimerFd*>(handle->data));
    close(self->fd);
    delete self;
  });
}

// ---- SignalWatch ------------------------------------------------------------------------------

struct SignalWatch::State {
  std::function<void(int)> arrived;
  std::vector<uv_signal_t> signals;
  std::size_t open = 0;
  bool closed = false;

  void close() {
    closed = true;
    if (open == 0) {
      delete this;
      return;
    }
    for (std::size_t i = 0, n = open; i < n; ++i)
      uv_close(as_handle(&signals[i]), [](uv_handle_t* handle) {
        auto* self = static_cast<State*>(handle->data);
        if (--self->open == 0) delete self;
      });
  }
};

Result<std::unique_ptr<SignalWatch>> SignalWatch::create(uv_loop_t* loop,
                                                         std::initializer_list<int> signals,
                                                         std::function<void(int)> arrived) {
  auto* state = new State;
  state->arrived = std::move(arrived);
  state->signals.resize(signals.size());
  for (const int number : signals) {
    uv_signal_t* signal = &state->signals[state->open];
    int error = uv_signal_init(loop, signal);
    if (error == 0) {
      ++state->open;
      signal->data = state;
      error = uv_signal_start(
          signal,
          [](uv_signal_t* handle, int arrived_number) {
            auto* self = static_cast<State*>(handle->data);
            if (!self->closed) (void)guarded([&] { self->arrived(arrived_number); });
          },
          number);
    }
    if (error != 0) {
      state->close();
      return Error{HF_E_IO, std::string("cannot watch for ") + strsignal(number) + ": " +
                                uv_strerror(error)};
    }
  }
  return std::unique_ptr<SignalWatch>(new SignalWatch(state));
}

SignalWatch::~SignalWatch() { state_->close(); }

}  // namespace hf
