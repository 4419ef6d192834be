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

#include "platform/memory.h"
#include "platform/thread.h"

namespace hf {

namespace {
constexpr std::size_t kUsedMax = 64;
}

struct Workers::State {
  explicit State(int at_most) : most(static_cast<std::size_t>(at_most)) {}
  ~State() {
    if (ready >= 0) close(ready);
  }

  using Lock = std::unique_lock<std::mutex>;

  const std::size_t most;
  const ThreadKind kind = ThreadKind::of_this_thread();
  mutable std::mutex mutex;
  std::condition_variable work;
  std::condition_variable left;  // visitors
  // all below: guarded by mutex
  Tasks tasks;
  Tasks used;  // empty, for the next ones; at most kUsedMax
  std::vector<Thread> threads;
  std::size_t parked = 0;    // threads that wait for a task, visitors too
  std::size_t called = 0;    // of these, woken but not yet running
  std::size_t starting = 0;  // threads made that do not run yet
  std::size_t running = 0;   // tasks
  std::size_t visitors = 0;  // threads in run_one() and run_waiting()
  std::size_t visiting = 0;  // ... in a task
  int ready = -1;            // fd(): an eventfd that is not 0 while there are tasks; -1: nobody asked for it
  bool joining = false;

  // Threads are started, and `calls` is set to how many are to be woken, so that `wanted` are on their way.
  Status call(std::size_t wanted, std::size_t& calls);
  // Takes it out: what it holds is to be released outside of the lock.
  std::function<void()> take(Tasks::iterator task) {
    std::function<void()> run = std::exchange(task->run, nullptr);
    task->name = nullptr;
    if (used.size() < kUsedMax) used.splice(used.end(), tasks, task);
    else tasks.erase(task);
    if (tasks.empty()) set_ready(false);
    return run;
  }
  void set_ready(bool is) const {
    uint64_t count = 1;
    if (ready >= 0) (void)!(is ? write(ready, &count, sizeof count) : read(ready, &count, sizeof count));
  }

  // These find the lock closed and leave it so.
  template <class Wait>
  void park(Wait wait) {
    ++parked;
    wait();
    --parked;
    if (called > 0) --called;
  }
  void run_first(Lock& lock) noexcept;  // a function that throws ends the process, on whichever thread
  void body();
};

void Workers::State::run_first(Lock& lock) noexcept {
  std::function<void()> run = take(tasks.begin());
  ++running;
  lock.unlock();
  run();
  run = nullptr;
  lock.lock();
  --running;
}

void Workers::State::body() {
  Lock lock(mutex);
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
    Result<Thread> thread = Error{HF_E_NO_MEMORY, {}};
    const bool tried = guarded([&] {
      threads.reserve(threads.size() + 1);  // what throws does so before there is a thread
      thread = Thread::start("hf-worker", [this] { body(); }, &kind);
    });
    if (!tried || !thread) {
      if (threads.empty()) return thread.error();
      break;  // the others do it
    }
    threads.push_back(std::move(thread).value());
    ++starting;
    ++coming;
  }
  called += calls;
  return ok_status();
}

Workers::Workers(int threads) : state_(std::make_unique<State>(std::clamp(threads, 0, 256))) {}

Workers::~Workers() { join(); }

namespace {
// Outside of the lock, so that the woken thread does not run into it.
void wake_threads(std::unique_lock<std::mutex> lock, std::condition_variable& work, std::size_t calls) {
  lock.unlock();
  for (; calls > 0; --calls) work.notify_one();
}
const char* const kEnded = "the workers have ended";
}  // namespace

Workers::Tasks Workers::make(std::size_t n) {
  State& s = *state_;
  Tasks made;
  {
    const State::Lock lock(s.mutex);
    const auto end = std::next(s.used.begin(), static_cast<std::ptrdiff_t>(std::min(n, s.used.size())));
    made.splice(made.end(), s.used, s.used.begin(), end);
  }
  while (made.size() < n) made.emplace_back();
  return made;
}

Status Workers::submit(Tasks& tasks) {
  State& s = *state_;
  State::Lock lock(s.mutex);
  if (s.joining) return Error{HF_E_STATE, kEnded};
  const bool some_awake = s.called + s.starting + (s.running - s.visiting) > 0;
  std::size_t calls = 0;
  HF_TRY(s.call(some_awake ? 0 : 1, calls));
  if (s.tasks.empty() && !tasks.empty()) s.set_ready(true);
  s.tasks.splice(s.tasks.end(), tasks);
  wake_threads(std::move(lock), s.work, calls);
  return ok_status();
}

void Workers::wake() {
  State& s = *state_;
  State::Lock lock(s.mutex);
  if (s.joining) return;
  std::size_t calls = 0;
  (void)s.call(s.tasks.size(), calls);  // one thread is there: submit() has seen to it
  wake_threads(std::move(lock), s.work, calls);
}

bool Workers::forget(const void* name) {
  State& s = *state_;
  std::function<void()> task;  // outlives the lock
  const std::lock_guard lock(s.mutex);
  const auto found = std::find_if(s.tasks.begin(), s.tasks.end(), [&](const Task& one) { return one.name == name; });
  if (found == s.tasks.end()) return false;
  task = s.take(found);
  return true;
}

Status Workers::run_one(int64_t timeout_ms) {
  State& s = *state_;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  bool ran = false;
  bool ended = false;
  {
    State::Lock lock(s.mutex);
    ++s.visitors;
    bool in_time = timeout_ms > 0;
    while (s.tasks.empty() && !s.joining && in_time) {
      s.park([&] { in_time = s.work.wait_until(lock, until) == std::cv_status::no_timeout; });
    }
    ran = !s.tasks.empty() && !s.joining;
    ended = s.joining;
    if (ran) {
      ++s.visiting;
      s.run_first(lock);
      --s.visiting;
    }
    --s.visitors;
    if (s.joining) s.left.notify_all();
  }
  if (ran) return ok_status();
  return ended ? Error{HF_E_STATE, kEnded} : Error{HF_E_TIMEOUT, "nothing came to run in " + std::to_string(timeout_ms) + " ms"};
}

void Workers::run_waiting() {
  State& s = *state_;
  State::Lock lock(s.mutex);
  ++s.visitors;
  ++s.visiting;
  for (std::size_t waiting = s.tasks.size(); waiting > 0 && !s.tasks.empty(); --waiting) s.run_first(lock);
  --s.visiting;
  --s.visitors;
  if (s.joining) s.left.notify_all();
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
  State::Lock lock(s.mutex);
  while (!s.tasks.empty()) s.run_first(lock);
  s.left.wait(lock, [&] { return s.visitors == 0; });
}

std::size_t Workers::unfinished() const {
  const std::lock_guard lock(state_->mutex);
  return state_->tasks.size() + state_->running;
}

}  // namespace hf
