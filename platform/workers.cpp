#include "platform/workers.h"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <list>
#include <mutex>
#include <utility>

#include "platform/thread.h"

namespace hf {

namespace {
constexpr std::size_t kUsedMax = 64;
}

struct Workers::State {
  explicit State(int at_most) : most(static_cast<std::size_t>(at_most)) {}

  const std::size_t most;
  mutable std::mutex mutex;
  std::condition_variable work;
  // all below: guarded by mutex
  std::list<std::function<void()>> tasks;
  std::list<std::function<void()>> used;  // empty, for the next ones; at most kUsedMax
  std::vector<Thread> threads;
  std::size_t parked = 0;  // threads in wait()
  std::size_t called = 0;    // of these, woken but not yet running
  std::size_t starting = 0;  // threads made that do not run yet
  std::size_t running = 0;
  bool joining = false;

  Status submit(std::list<std::function<void()>> added);
  void body();
};

void Workers::State::body() {
  std::unique_lock lock(mutex);
  --starting;
  for (;;) {
    while (tasks.empty()) {
      if (joining) return;
      ++parked;
      work.wait(lock);
      --parked;
      if (called > 0) --called;
    }
    auto task = std::exchange(tasks.front(), nullptr);
    if (used.size() < kUsedMax) used.splice(used.end(), tasks, tasks.begin());
    else tasks.pop_front();
    ++running;
    lock.unlock();
    task();
    task = nullptr;  // what it holds is released outside of the lock
    lock.lock();
    --running;
  }
}

Status Workers::State::submit(std::list<std::function<void()>> added) {
  std::size_t calls = 0;
  {
    const std::lock_guard lock(mutex);
    if (joining) return Error{HF_E_STATE, "the workers have ended"};
    // Each waiting task has a thread of its own on the way to it, while there are threads.
    const std::size_t wanted = tasks.size() + added.size();
    std::size_t coming = called + starting;
    calls = std::min(parked - std::min(called, parked), wanted - std::min(coming, wanted));
    coming += calls;
    while (coming < wanted && threads.size() < most) {
      threads.reserve(threads.size() + 1);  // what throws does so before there is a thread
      auto thread = Thread::start("hf-worker", [this] { body(); });
      if (!thread) {
        if (threads.empty()) return thread.error();
        break;  // the others do it
      }
      threads.push_back(std::move(thread).value());
      ++starting;
      ++coming;
    }
    tasks.splice(tasks.end(), added);
    called += calls;
  }
  // Outside of the lock, so that the woken thread does not run into it.
  for (; calls > 0; --calls) work.notify_one();
  return ok_status();
}

Workers::Workers(int threads) : state_(std::make_unique<State>(std::clamp(threads, 1, 256))) {}

Workers::~Workers() { join(); }

Status Workers::submit(std::function<void()> task) {
  std::list<std::function<void()>> one;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->used.empty()) one.splice(one.end(), state_->used, state_->used.begin());
  }
  if (one.empty()) one.emplace_back();
  one.front() = std::move(task);
  return state_->submit(std::move(one));
}

Status Workers::submit(std::vector<std::function<void()>> tasks) {
  return state_->submit({std::make_move_iterator(tasks.begin()), std::make_move_iterator(tasks.end())});
}

void Workers::join() {
  std::vector<Thread> threads;
  {
    const std::lock_guard lock(state_->mutex);
    state_->joining = true;
    threads.swap(state_->threads);
  }
  state_->work.notify_all();
  for (Thread& thread : threads) thread.join();
}

std::size_t Workers::unfinished() const {
  const std::lock_guard lock(state_->mutex);
  return state_->tasks.size() + state_->running;
}

}  // namespace hf
