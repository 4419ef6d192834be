#include "platform/workers.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
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
  std::size_t visitors = 0;  // threads in run_one()
  std::condition_variable left;  // ... fewer
  int ready = -1;            // fd(): an eventfd that is not 0 while there are tasks; -1: nobody asked for it
  bool joining = false;

  ~State() {
    if (ready >= 0) close(ready);
  }
  // Under the lock. Threads are started and `calls` is set to how many are to be woken, so that `wanted` are on their way.
  Status call(std::size_t wanted, std::size_t& calls);
  // Opens the lock first, so that the woken thread does not run into it.
  void wake(std::unique_lock<std::mutex> lock, std::size_t calls);
  void add(std::list<std::function<void()>>& added) {
    if (tasks.empty() && !added.empty()) set_ready(true);
    tasks.splice(tasks.end(), added);
  }
  void body();
  // Under `lock`, as they find and leave it.
  template <class Wait>
  void park(Wait wait) {
    ++parked;
    wait();
    --parked;
    if (called > 0) --called;
  }
  void run_first(std::unique_lock<std::mutex>& lock);
  void set_ready(bool is) const {
    uint64_t count = 1;
    if (ready >= 0) (void)!(is ? write(ready, &count, sizeof count) : read(ready, &count, sizeof count));
  }
};

void Workers::State::run_first(std::unique_lock<std::mutex>& lock) {
  auto task = std::exchange(tasks.front(), nullptr);
  if (used.size() < kUsedMax) used.splice(used.end(), tasks, tasks.begin());
  else tasks.pop_front();
  if (tasks.empty()) set_ready(false);
  ++running;
  lock.unlock();
  task();
  task = nullptr;  // what it holds is released outside of the lock
  lock.lock();
  --running;
}

void Workers::State::body() {
  std::unique_lock lock(mutex);
  --starting;
  for (;;) {
    while (tasks.empty()) {
      if (joining) return;
      park([&] { work.wait(lock); });
    }
    run_first(lock);
  }
}

Status Workers::State::call(std::size_t wanted, std::size_t& calls) {
  std::size_t coming = called + starting;
  calls = std::min(parked - std::min(called, parked), wanted - std::min(coming, wanted));
  coming += calls;
  while (coming < wanted && threads.size() < most) {
    threads.reserve(threads.size() + 1);  // what throws does so before there is a thread
    auto thread = Thread::start("hf-worker", [this] { body(); });
    if (!thread) {
      if (threads.empty() && visitors == 0) return thread.error();
      break;  // the others do it
    }
    threads.push_back(std::move(thread).value());
    ++starting;
    ++coming;
  }
  called += calls;
  return ok_status();
}

void Workers::State::wake(std::unique_lock<std::mutex> lock, std::size_t calls) {
  lock.unlock();
  for (; calls > 0; --calls) work.notify_one();
}

Workers::Workers(int threads) : state_(std::make_unique<State>(std::clamp(threads, 0, 256))) {}

Workers::~Workers() { join(); }

Status Workers::submit(std::function<void()> task, Wake wake) {
  State& s = *state_;
  std::list<std::function<void()>> one;  // outlives the lock
  std::unique_lock lock(s.mutex);
  if (s.joining) return Error{HF_E_STATE, "the workers have ended"};
  if (s.used.empty()) one.emplace_back();
  else one.splice(one.end(), s.used, s.used.begin());
  one.front() = std::move(task);
  const bool some_awake = s.called + s.starting + s.running > 0;
  std::size_t calls = 0;
  HF_TRY(s.call(wake == Wake::now ? s.tasks.size() + 1 : some_awake ? 0 : 1, calls));
  s.add(one);
  s.wake(std::move(lock), calls);
  return ok_status();
}

Status Workers::submit(std::vector<std::function<void()>> tasks) {
  State& s = *state_;
  std::list<std::function<void()>> all(std::make_move_iterator(tasks.begin()), std::make_move_iterator(tasks.end()));
  std::unique_lock lock(s.mutex);
  if (s.joining) return Error{HF_E_STATE, "the workers have ended"};
  std::size_t calls = 0;
  HF_TRY(s.call(s.tasks.size() + all.size(), calls));  // each waiting task has a thread of its own on the way to it, while there are threads
  s.add(all);
  s.wake(std::move(lock), calls);
  return ok_status();
}

void Workers::wake() {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  std::size_t calls = 0;
  (void)s.call(s.tasks.size(), calls);  // one thread is there: submit_one_of_many() has seen to it
  s.wake(std::move(lock), calls);
}

Status Workers::run_one(int64_t timeout_ms) {
  State& s = *state_;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  std::unique_lock lock(s.mutex);
  Status ran = Error{HF_E_STATE, "the workers have ended"};
  if (s.joining) return ran;
  ++s.visitors;
  bool in_time = timeout_ms > 0;
  while (s.tasks.empty() && !s.joining && in_time) {
    s.park([&] { in_time = s.work.wait_until(lock, until) == std::cv_status::no_timeout; });
  }
  if (!s.tasks.empty()) {
    s.run_first(lock);
    ran = ok_status();
  } else if (!s.joining) {
    ran = Error{HF_E_TIMEOUT, "nothing came to run in " + std::to_string(timeout_ms) + " ms"};
  }
  --s.visitors;
  if (s.joining) s.left.notify_all();
  return ran;
}

Result<int> Workers::fd() {
  const std::lock_guard lock(state_->mutex);
  if (state_->ready < 0) {
    state_->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (state_->ready < 0) return Error{HF_E_IO, "no descriptors left"};
    if (!state_->tasks.empty()) state_->set_ready(true);
  }
  return state_->ready;
}

bool Workers::has_threads() const { return state_->most > 0; }

void Workers::join() {
  State& s = *state_;
  std::vector<Thread> threads;
  {
    const std::lock_guard lock(s.mutex);
    s.joining = true;
    threads.swap(s.threads);
  }
  s.work.notify_all();
  for (Thread& thread : threads) thread.join();
  std::unique_lock lock(s.mutex);
  while (!s.tasks.empty()) s.run_first(lock);
  s.left.wait(lock, [&] { return s.visitors == 0; });
}

std::size_t Workers::unfinished() const {
  const std::lock_guard lock(state_->mutex);
  return state_->tasks.size() + state_->running;
}

}  // namespace hf
