// A named thread that leaves the host's signals alone.
#pragma once

#include <functional>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "core/result.h"

namespace hf {

// How the system treats a thread: policy and priority, and on which processors it runs.
struct ThreadKind {
  int policy = SCHED_OTHER;
  sched_param priority{};
  cpu_set_t cpus{};
  bool has_cpus = false;
  static ThreadKind of_this_thread();
};

// Starts on construction, must be joined (or detached). All signals but those of a fault in the thread itself are
// blocked in it: the host's handlers run on the host's threads, and a write to a closed socket gives
// EPIPE instead of SIGPIPE.
//
// Owner: whoever started it. Thread: start, join, detach and destruction on any thread but itself.
class Thread {
 public:
  // name: up to 15 bytes, as `ps -L` shows it. HF_E_NO_MEMORY if the system has no more threads.
  // kind: of whom it is to be like; null: of who starts it.
  static Result<Thread> start(const char* name, std::function<void()> body, const ThreadKind* kind = nullptr);
  static const sigset_t& signals_left_alone();

  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;  // REQUIRES: joined, detached or never started
  Thread() = default;
  ~Thread() { join(); }

  void join();    // returns at once if joined or never started
  void detach();  // for one that hangs in a call of the system: it is not waited for
  bool is_current() const { return running_ && pthread_equal(id_, pthread_self()); }

 private:
  pthread_t id_{};
  bool running_ = false;
};

}  // namespace hf
