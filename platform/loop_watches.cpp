// What a loop waits for besides sockets: the one timer, signals.

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

}  // namespace

// ---- BootTimer --------------------------------------------------------------------------------

// A timerfd watched by uv_poll. On the heap, because libuv lets go of its handle an iteration later. All memory that a
// timer needs is taken before open(): from then on it is on the loop, and goes by close() alone.
struct BootTimer::State {
  std::function<void()> fire;
  std::int64_t at = kNever;
  uv_poll_t poll;
  int fd = -1;
  bool closed = false;

  // 0, or an error of libuv: then nothing is open.
  int open(uv_loop_t* loop) {
    const int made = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (made < 0) return -errno;
    const int error = uv_poll_init(loop, &poll, made);
    if (error != 0) {
      ::close(made);
      return error;
    }
    fd = made;
    poll.data = this;
    const int started = uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* readable, int, int) { static_cast<State*>(readable->data)->ring(); });
    assert(started == 0);  // fails only if another handle watches the same descriptor
    return started;
  }

  void ring() {
    std::uint64_t expirations;
    if (closed || ::read(fd, &expirations, sizeof expirations) < 0) return;  // EAGAIN: set anew after it expired
    at = kNever;
    (void)guarded(fire);
  }

  // Frees it, once the loop has let go of it.
  void close() {
    closed = true;
    if (fd < 0) {
      delete this;
      return;
    }
    uv_close(as_handle(&poll), [](uv_handle_t* handle) {
      auto* self = static_cast<State*>(handle->data);
      ::close(self->fd);
      delete self;
    });
  }
};

Result<std::unique_ptr<BootTimer>> BootTimer::create(uv_loop_t* loop, std::function<void()> fire) {
  auto memory = std::make_unique<State>();
  memory->fire = std::move(fire);
  std::unique_ptr<BootTimer> timer(new BootTimer(memory.get()));
  const int error = memory.release()->open(loop);
  if (error != 0) return Error{HF_E_IO, std::string("cannot make a timer: ") + uv_strerror(error)};
  return timer;
}

BootTimer::~BootTimer() { state_->close(); }

void BootTimer::set(std::int64_t at_boot_ms) {
  if (at_boot_ms == state_->at) return;
  state_->at = at_boot_ms;
  itimerspec spec{};  // {0, 0} disarms
  timespec& at = spec.it_value;
  if (at_boot_ms != kNever) {
    const std::int64_t ms = std::max<std::int64_t>(at_boot_ms, 0);
    constexpr std::int64_t kLongestSeconds = 0x7fff'ffff;  // 68 years of uptime, in any time_t
    at.tv_sec = static_cast<time_t>(std::min(ms / 1000, kLongestSeconds));
    at.tv_nsec = ms % 1000 * 1'000'000;
    if (at.tv_sec == 0 && at.tv_nsec == 0) at.tv_nsec = 1;
  }
  timerfd_settime(state_->fd, TFD_TIMER_ABSTIME, &spec, nullptr);
}

std::int64_t BootTimer::at() const { return state_->at; }

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
  auto memory = std::make_unique<State>();
  memory->arrived = std::move(arrived);
  memory->signals.resize(signals.size());
  std::unique_ptr<SignalWatch> watch(new SignalWatch(memory.get()));
  State* const state = memory.release();
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
      return Error{HF_E_IO, std::string("cannot watch for ") + strsignal(number) + ": " +
                                uv_strerror(error)};
    }
  }
  return watch;
}

SignalWatch::~SignalWatch() { state_->close(); }

}  // namespace hf
