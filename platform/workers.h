// Threads for C handlers, which may block as long as they like.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>

#include "core/result.h"

namespace hf {

// A pool of up to `threads` threads, started when there is work for them and then kept, parked on a
// condition variable: an idle pool makes no system call. Tasks begin in the order of submission, also in threads that
// come by (run_one), which are all there are in a pool of none.
// Not bounded itself: the dispatcher claims no more runs than there are slots.
//
// Owner: the C handlers' runner. Thread: any; join() and destruction not in a task.
class Workers {
 public:
  // threads: 0..256. Starts none yet; they will be as the thread that makes this, whoever has work for them first.
  explicit Workers(int threads);
  ~Workers();  // join()
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  struct Task {
    std::function<void()> run;
    const void* name = nullptr;  // by which forget() knows it
  };
  using Tasks = std::list<Task>;

  // So many that do nothing yet, for submit(): what an earlier one was kept in is used again.
  Tasks make(std::size_t n);
  // Several that come at once, all of them or none, which stay in `tasks` then: if no thread is awake, one is woken, which may do all of them
  // if they are short. HF_E_STATE after join() began; HF_E_NO_MEMORY if not one thread could be started.
  Status submit(Tasks& tasks);
  // Has to be called soon after: the others, as many threads as there are tasks for, no more.
  void wake();
  // A task that still waits is not run; it is destroyed here. False: there is none of that name, or a thread has it.
  bool forget(const void* name);
  // Runs those that wait by now, on this thread.
  void run_waiting();

  // Runs one task on this thread: waits for it for up to timeout_ms (0: takes what is there). HF_E_TIMEOUT if none came,
  // HF_E_STATE once join() began. Not in a task.
  Status run_one(int64_t timeout_ms);
  // Readable (poll) while a task waits for a thread; not to be read, written or closed. From the first call on it costs a system call
  // when the first task waits and when the last one goes. HF_E_IO: no descriptors left.
  Result<int> fd();
  bool has_threads() const;

  // Refuses further tasks, runs all that were submitted (here, if there is no thread), ends the threads and lets those in run_one() go. A
  // task that blocks for ever blocks this for ever.
  void join();

  // Tasks waiting and running, for tests and figures.
  std::size_t unfinished() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hf
