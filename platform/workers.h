// Threads for C handlers, which may block as long as they like.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/result.h"

namespace hf {

// A pool of up to `threads` threads, started when there is work for them and then kept, parked on a
// condition variable: an idle pool makes no system call. Tasks begin in the order of submission.
// Not bounded itself: the dispatcher claims no more runs than there are slots.
//
// Owner: the C handlers' runner. Thread: any; join() and destruction on none of its own.
class Workers {
 public:
  // threads: 1..256. Starts none yet.
  explicit Workers(int threads);
  ~Workers();  // join()
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Wakes as many threads as the new tasks need, no more. HF_E_STATE after join() began;
  // HF_E_NO_MEMORY if not one thread could be started (the tasks are dropped).
  Status submit(std::function<void()> task);
  Status submit(std::vector<std::function<void()>> tasks);

  // Refuses further tasks, runs all that were submitted, ends the threads. A task that blocks for ever
  // blocks this for ever.
  void join();

  // Tasks waiting and running, for tests and figures.
  std::size_t unfinished() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hf
