// The loop thread: one libuv loop on a thread of its own, for all that waits for the network, a
// process, a client or the time. An idle loop makes no system call: there is no periodic timer, and
// nothing here uses uv_fs_* (whose io_uring may poll).
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <list>
#include <memory>

#include "core/result.h"
#include "core/types.h"
#include "platform/thread.h"

namespace hf {

class Mailbox;

// A copyable address of a Loop that may outlive it. Thread: any.
class LoopPoster {
 public:
  LoopPoster() = default;
  // Runs `task` on the loop thread, after everything posted before. False, and `task` is destroyed here
  // and now, once the loop stops. Not bounded: who posts is bounded by what it has in flight.
  bool post(std::function<void()> task) const { return post(prepare(std::move(task))); }
  // The same in two halves: the second needs no memory.
  using Prepared = std::list<std::function<void()>>;  // one, or several
  static Prepared prepare(std::function<void()> task);
  bool post(Prepared task) const noexcept;
  // prepare() with memory of tasks that were done, for what comes with every job.
  Prepared prepare_again(std::function<void()> task) const;
  bool on_loop_thread() const;

 private:
  friend class Loop;
  explicit LoopPoster(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
  std::shared_ptr<Mailbox> mailbox_;
};

// Owner: the engine's handle. Thread: as said at each function.
class Loop {
 public:
  // Makes the loop and its wake-up; nothing runs yet, posted tasks wait. HF_E_IO (no descriptors).
  static Result<std::unique_ptr<Loop>> create();
  // stop()
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Starts the thread "hf-loop". Once. HF_E_NO_MEMORY.
  Status start();
  // Refuses further tasks, runs those that were posted, waits for closing handles and running requests,
  // ends the thread. Any thread but the loop's. Repeated calls do nothing.
  // REQUIRES: whatever opened handles on uv() has closed them, or does so in a task posted before.
  void stop();

  // Loop thread, or any before start().
  uv_loop_t* uv() { return &loop_; }
  // Any thread; see LoopPoster. A batch of tasks costs one wake-up. A task that runs out of memory is dropped.
  bool post(std::function<void()> task) { return poster_.post(std::move(task)); }
  LoopPoster poster() const { return poster_; }
  LoopPoster::Prepared prepare_again(std::function<void()> task) const { return poster_.prepare_again(std::move(task)); }
  // Any thread. False before start().
  bool on_loop_thread() const { return poster_.on_loop_thread(); }

 private:
  Loop() = default;
  void run();
  void run_tasks();

  uv_loop_t loop_;
  uv_async_t wake_;
  LoopPoster poster_;
  Thread thread_;
  bool initialised_ = false;
  bool started_ = false;
  bool stopped_ = false;
};

// One timer on elapsed time (timerfd, CLOCK_BOOTTIME): suspend counts, clock steps do not.
//
// Owner: whoever made it. Thread: the loop's, all of it (or any before Loop::start).
class BootTimer {
 public:
  // HF_E_IO if there are no more descriptors.
  static Result<std::unique_ptr<BootTimer>> create(uv_loop_t* loop, std::function<void()> fire);
  ~BootTimer();  // `fire` is not called any more; may be called from within `fire`
  BootTimer(const BootTimer&) = delete;
  BootTimer& operator=(const BootTimer&) = delete;

  // Fires once when boot_ms() >= at_boot_ms; at once, but from the loop, if that is past. kNever:
  // not at all. Replaces the time set before; no system call if it is the same.
  void set(std::int64_t at_boot_ms);
  std::int64_t at() const;  // kNever once fired

 private:
  struct State;
  explicit BootTimer(State* state) : state_(state) {}
  State* state_;  // freed when libuv has closed its handle
};

// Signals as events of the loop, for apps/ only: the library installs no signal handler.
//
// Owner: the daemon's main. Thread: the loop's, all of it (or any before Loop::start).
class SignalWatch {
 public:
  static Result<std::unique_ptr<SignalWatch>> create(uv_loop_t* loop, std::initializer_list<int> signals,
                                                     std::function<void(int signal)> arrived);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  struct State;
  explicit SignalWatch(State* state) : state_(state) {}
  State* state_;
};

}  // namespace hf
