#include "platform/loop.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "platform/memory.h"

namespace hf {
namespace {

// libuv ends the process if the table of what it watches, by descriptor, cannot grow. It grows here, at the beginning, to
// what most programs use (8 KiB), so that it need not do so later.
constexpr rlim_t kWatched = 1022;
constexpr int kUvPatienceMs = 1000;

void* asked_again(void* (*ask)(void*, size_t, size_t), void* old, size_t n, size_t size) {
  void* memory = ask(old, n, size);
  for (int waited = 0; memory == nullptr && n * size != 0 && waited < kUvPatienceMs; ++waited) {
    pause_ms(1);
    memory = ask(old, n, size);
  }
  return memory;
}

// And what it allocates all the same is asked for again for a second. Where its libuv is the library's own: that of the host
// is not to be touched.
void make_libuv_patient() {
#ifdef uv_replace_allocator
  static std::once_flag once;
  std::call_once(once, [] {
    uv_replace_allocator([](size_t n) { return asked_again([](void*, size_t all, size_t) { return std::malloc(all); }, nullptr, n, 1); },
                         [](void* old, size_t n) { return asked_again([](void* p, size_t all, size_t) { return std::realloc(p, all); }, old, n, 1); },
                         [](size_t n, size_t size) { return asked_again([](void*, size_t k, size_t each) { return std::calloc(k, each); }, nullptr, n, size); },
                         std::free);
  });
#endif
}

void grow_watched(uv_loop_t* loop) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  const int high = fcntl(ends[0], F_DUPFD_CLOEXEC, static_cast<int>(std::min(limit.rlim_cur, kWatched) - 1));
  uv_poll_t watcher;
  if (high >= 0 && uv_poll_init(loop, &watcher, high) == 0) {
    uv_poll_start(&watcher, UV_READABLE, [](uv_poll_t*, int, int) {});
    uv_close(reinterpret_cast<uv_handle_t*>(&watcher), nullptr);
    uv_run(loop, UV_RUN_NOWAIT);
  }
  for (const int fd : {high, ends[0], ends[1]}) {
    if (fd >= 0) ::close(fd);
  }
}

}  // namespace

// What a Loop shares with its posters; lives as long as the last of them.
class Mailbox {
 public:
  // Before any other call. `wake` is the loop's uv_async_t.
  void open(uv_async_t* wake) { wake_ = wake; }

  bool post(LoopPoster::Prepared& task) {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    // Under the lock, so that the handle cannot be closed meanwhile. Once is enough until they are taken.
    if (tasks_.empty()) uv_async_send(wake_);
    tasks_.splice(tasks_.end(), task);
    return true;
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    stopping_ = true;
    uv_async_send(wake_);
  }

  // One that is empty, of those that were done, or none.
  LoopPoster::Prepared used() {
    LoopPoster::Prepared one;
    const std::lock_guard lock(mutex_);
    if (!used_.empty()) one.splice(one.end(), used_, used_.begin());
    return one;
  }

  // Takes what is to be kept of them; they are empty.
  void use_again(LoopPoster::Prepared& done) {
    const std::lock_guard lock(mutex_);
    const auto most = static_cast<std::ptrdiff_t>(std::min(kUsedMax - used_.size(), done.size()));
    used_.splice(used_.end(), done, done.begin(), std::next(done.begin(), most));
  }

  // Loop thread. What was posted, in order. After stop() an empty batch closes the mailbox.
  enum class Next { kWait, kAgain, kClosed };
  Next take(LoopPoster::Prepared& batch) {
    const std::lock_guard lock(mutex_);
    batch.swap(tasks_);
    if (!stopping_) return Next::kWait;
    closed_ = batch.empty();
    return closed_ ? Next::kClosed : Next::kAgain;
  }

  void set_thread() {
    thread_ = pthread_self();
    has_thread_.store(true, std::memory_order_release);
  }
  bool on_thread() const { return has_thread_.load(std::memory_order_acquire) && pthread_equal(thread_, pthread_self()); }

 private:
  std::mutex mutex_;
  uv_async_t* wake_ = nullptr;                // constant after open()
  LoopPoster::Prepared tasks_;  // the rest is guarded by mutex_
  static constexpr std::size_t kUsedMax = 128;
  LoopPoster::Prepared used_;  // of tasks that were done; at most kUsedMax
  bool stopping_ = false;
  bool closed_ = false;
  std::atomic<bool> has_thread_{false};
  pthread_t thread_{};  // not changed any more then
};

LoopPoster::Prepared LoopPoster::prepare(std::function<void()> task) {
  Prepared one;
  one.push_back(std::move(task));
  return one;
}

LoopPoster::Prepared LoopPoster::prepare_again(std::function<void()> task) const {
  Prepared one = mailbox_ ? mailbox_->used() : Prepared();
  if (one.empty()) return prepare(std::move(task));
  one.front() = std::move(task);
  return one;
}

bool LoopPoster::post(Prepared task) const noexcept { return mailbox_ && mailbox_->post(task); }

bool LoopPoster::on_loop_thread() const { return mailbox_ && mailbox_->on_thread(); }

Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<Loop> loop(new Loop);
  auto mailbox = std::make_shared<Mailbox>();
  loop->poster_ = LoopPoster(mailbox);
  make_libuv_patient();
  if (const int error = uv_loop_init(&loop->loop_); error != 0) {
    if (loop->loop_.backend_fd > 0) ::close(loop->loop_.backend_fd);  // libuv 1.50 forgets it; 0: it has none yet
    return Error{HF_E_IO, std::string("cannot make an event loop: ") + uv_strerror(error)};
  }
  loop->initialised_ = true;
  grow_watched(&loop->loop_);
  loop->wake_.data = loop.get();
  const auto on_wake = [](uv_async_t* wake) { static_cast<Loop*>(wake->data)->run_tasks(); };
  if (const int error = uv_async_init(&loop->loop_, &loop->wake_, on_wake); error != 0) {
    uv_loop_close(&loop->loop_);
    loop->initialised_ = false;
    return Error{HF_E_IO, std::string("cannot make a wake-up: ") + uv_strerror(error)};
  }
  mailbox->open(&loop->wake_);
  return loop;
}

Loop::~Loop() { stop(); }

Status Loop::start() {
  if (started_) return Error{HF_E_STATE, "the loop was started before"};
  auto thread = Thread::start("hf-loop", [this] {
    poster_.mailbox_->set_thread();
    run();
  });
  if (!thread) return thread.error();
  thread_ = std::move(thread).value();
  started_ = true;
  return ok_status();
}

void Loop::stop() {
  if (!initialised_ || stopped_) return;
  assert(!on_loop_thread());
  stopped_ = true;
  poster_.mailbox_->stop();
  if (started_)
    thread_.join();
  else
    run();  // never started: tasks and closing handles get their end here
}

void Loop::run() {
  // Ends when nothing is open: the wake-up, which stop() closes, keeps it going until then.
  uv_run(&loop_, UV_RUN_DEFAULT);
  const int error = uv_loop_close(&loop_);
  assert(error == 0 && "a handle was left open on the loop");
  (void)error;
}

void Loop::run_tasks() {
  LoopPoster::Prepared batch;
  for (;;) {
    const Mailbox::Next next = poster_.mailbox_->take(batch);
    for (auto& task : batch) {
      (void)guarded(task);
      task = nullptr;  // what it holds is released before the next one runs
    }
    if (!batch.empty()) poster_.mailbox_->use_again(batch);
    batch.clear();  // what is too much
    if (next == Mailbox::Next::kWait) return;
    if (next == Mailbox::Next::kClosed) break;
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
}

}  // namespace hf
