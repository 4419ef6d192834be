#include "platform/net/blocking_pool.h"

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "platform/memory.h"
#include "platform/thread.h"

namespace hf {
namespace {

class Lock {
 public:
  explicit Lock(uv_mutex_t* mutex) : mutex_(mutex) { uv_mutex_lock(mutex_); }
  ~Lock() { uv_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  uv_mutex_t* const mutex_;
};

struct Task {
  BlockingPool::TaskId id;
  std::function<void()> work;
  std::function<void()> done;
  bool abandoned = false;
};

using Tasks = std::list<Task>;  // they move from one to the next, which needs no memory

struct Worker {
  Thread thread;
  Tasks task;                  // what it runs: one, or none
  bool ended = false;          // past its last lock of the mutex: to be joined
};

}  // namespace

// What the loop's side and the threads have in common. The threads share in its ownership.
struct BlockingPool::Shared {
  struct Async {  // on the loop; frees itself when closed
    uv_async_t handle;
    HandleCountPtr handles;
    BlockingPool* pool;
  };

  uv_mutex_t mutex;
  uv_cond_t work_or_stop;
  // Guarded by `mutex`.
  Tasks waiting;
  Tasks finished;
  std::vector<std::shared_ptr<Worker>> workers;
  int idle = 0;
  int hung = 0;
  bool stop = false;
  Async* async = nullptr;  // nullptr once the loop's side is gone
  // Loop's thread.
  TaskId last_id = 0;
  size_t pending = 0;  // tasks whose `done` is owed

  Shared() {
    uv_mutex_init(&mutex);
    uv_cond_init(&work_or_stop);
  }
  ~Shared() {
    uv_cond_destroy(&work_or_stop);
    uv_mutex_destroy(&mutex);
  }

  void run(Worker* self, int64_t idle_exit_ms);
  bool wait_for_task(int64_t idle_exit_ms);  // under the lock; false: end
  void wake_loop() {
    if (async) uv_async_send(&async->handle);
  }
};

bool BlockingPool::Shared::wait_for_task(int64_t idle_exit_ms) {
  const uint64_t until = uv_hrtime() + static_cast<uint64_t>(idle_exit_ms) * 1000000;
  ++idle;
  while (!stop && waiting.empty()) {
    if (idle_exit_ms == 0) {
      uv_cond_wait(&work_or_stop, &mutex);
      continue;
    }
    const uint64_t now = uv_hrtime();
    if (now >= until) break;
    uv_cond_timedwait(&work_or_stop, &mutex, until - now);
  }
  --idle;
  return !stop && !waiting.empty();
}

void BlockingPool::Shared::run(Worker* self, int64_t idle_exit_ms) {
  const Lock lock(&mutex);
  while (wait_for_task(idle_exit_ms)) {
    self->task.splice(self->task.end(), waiting, waiting.begin());
    Task& task = self->task.front();
    uv_mutex_unlock(&mutex);
    (void)guarded(task.work);
    uv_mutex_lock(&mutex);
    if (task.abandoned) --hung;
    // Also an abandoned task goes back: its functions hold things of the loop's thread.
    finished.splice(finished.end(), self->task);
    wake_loop();
  }
  self->ended = true;
  wake_loop();  // to be joined; an idle thread that ends costs this one wake-up
}

BlockingPool::BlockingPool(uv_loop_t* loop, HandleCountPtr handles, BlockingPoolOptions options)
    : options_(options), shared_(std::make_shared<Shared>()) {
  auto* async = new Shared::Async{{}, std::move(handles), this};
  const auto on_wake = [](uv_async_t* handle) {
    auto* self = static_cast<Shared::Async*>(handle->data);
    if (self->pool) self->pool->deliver();
  };
  if (uv_async_init(loop, &async->handle, on_wake) != 0) {  // out of descriptors: submit() says so
    delete async;
    return;
  }
  async->handle.data = async;
  async->handles->opened();
  uv_unref(reinterpret_cast<uv_handle_t*>(&async->handle));
  shared_->async = async;
}

BlockingPool::~BlockingPool() {
  std::vector<std::shared_ptr<Worker>> workers;
  Tasks waiting, finished;
  Shared::Async* async;
  {
    const Lock lock(&shared_->mutex);
    shared_->stop = true;
    async = std::exchange(shared_->async, nullptr);
    waiting.swap(shared_->waiting);
    finished.swap(shared_->finished);
    workers.swap(shared_->workers);
    for (auto& worker : workers) {
      if (!worker->task.empty()) worker->thread.detach();
    }
    uv_cond_broadcast(&shared_->work_or_stop);
  }
  for (auto& worker : workers) worker->thread.join();  // nothing, for those that were detached
  if (!async) return;
  async->pool = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&async->handle), [](uv_handle_t* handle) {
    auto* block = static_cast<Shared::Async*>(handle->data);
    const HandleCountPtr handles = std::move(block->handles);
    delete block;
    handles->closed();
  });
}

Status BlockingPool::start_thread() {
  auto worker = std::make_shared<Worker>();
  shared_->workers.reserve(shared_->workers.size() + 1);  // what throws does so before there is a thread
  auto thread = Thread::start("hf-blocking", [shared = shared_, worker, idle_exit_ms = options_.idle_exit_ms] {
    shared->run(worker.get(), idle_exit_ms);
  });
  if (!thread) return thread.error();
  worker->thread = std::move(*thread);
  shared_->workers.push_back(std::move(worker));
  return ok_status();
}

Result<BlockingPool::TaskId> BlockingPool::submit(std::function<void()> work,
                                                  std::function<void()> done) {
  Tasks task;
  task.push_back({0, std::move(work), std::move(done)});
  const Lock lock(&shared_->mutex);
  if (!shared_->async) return Error{HF_E_NO_MEMORY, "the event loop has no descriptor left"};
  // One that has just ended, and is not joined yet, takes no task.
  const int threads = static_cast<int>(std::count_if(shared_->workers.begin(), shared_->workers.end(), [](const auto& worker) { return !worker->ended; }));
  if (!options_.wait_for_hung && shared_->hung >= options_.max_threads)
    return Error{HF_E_BUSY, "all " + std::to_string(options_.max_threads) + " threads hang"};
  if (shared_->waiting.size() >= options_.max_waiting)
    return Error{HF_E_BUSY, std::to_string(options_.max_waiting) + " others wait already"};
  const int free = shared_->idle - static_cast<int>(shared_->waiting.size());
  if (free <= 0 && threads < options_.max_threads) {
    const Status started = start_thread();
    if (!started && threads == 0) return started.error();
  }
  const TaskId id = task.front().id = ++shared_->last_id;
  shared_->waiting.splice(shared_->waiting.end(), task);
  if (shared_->pending++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&shared_->async->handle));
  uv_cond_signal(&shared_->work_or_stop);
  return id;
}

void BlockingPool::abandon(TaskId id) {
  Tasks dropped;  // destroyed without the lock: it is the caller's code
  const Lock lock(&shared_->mutex);
  const auto has_id = [id](const Task& task) { return task.id == id; };
  const auto owed = [this](Task& task) {
    if (task.abandoned) return false;
    task.abandoned = true;
    if (--shared_->pending == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&shared_->async->handle));
    return true;
  };
  const auto it = std::find_if(shared_->waiting.begin(), shared_->waiting.end(), has_id);
  if (it != shared_->waiting.end()) {
    owed(*it);
    dropped.splice(dropped.end(), shared_->waiting, it);
    return;
  }
  for (auto& worker : shared_->workers)
    for (Task& task : worker->task)
      if (has_id(task) && owed(task)) ++shared_->hung;
  for (Task& task : shared_->finished)
    if (has_id(task)) owed(task);
}

void BlockingPool::deliver() {
  for (;;) {
    std::shared_ptr<Worker> ended;
    {
      const Lock lock(&shared_->mutex);
      auto& workers = shared_->workers;
      const auto it = std::find_if(workers.begin(), workers.end(), [](const auto& worker) { return worker->ended; });
      if (it == workers.end()) break;
      ended = std::move(*it);
      workers.erase(it);
    }
    ended->thread.join();
  }
  // One at a time: `done` may abandon another one, or destroy the pool.
  const std::shared_ptr<Shared> shared = shared_;
  const HandleCountPtr handles = shared->async->handles;
  for (;;) {
    Tasks task;
    {
      const Lock lock(&shared->mutex);
      if (!shared->async || shared->finished.empty()) return;
      task.splice(task.end(), shared->finished, shared->finished.begin());
      if (!task.front().abandoned && --shared->pending == 0)
        uv_unref(reinterpret_cast<uv_handle_t*>(&shared->async->handle));
    }
    if (!task.front().abandoned) handles->guard(task.front().done);
  }
}

int BlockingPool::threads() const {
  const Lock lock(&shared_->mutex);
  return static_cast<int>(shared_->workers.size());
}

int BlockingPool::hung() const {
  const Lock lock(&shared_->mutex);
  return shared_->hung;
}

}  // namespace hf
