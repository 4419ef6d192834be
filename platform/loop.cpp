#include "platform/loop.h"

#include <mutex>
#include <string>
#include <vector>

namespace hf {

// What a Loop shares with its posters; lives as long as the last of them.
class Mailbox {
 public:
  // Before any other call. `wake` is the loop's uv_async_t.
  void open(uv_async_t* wake) { wake_ = wake; }

  bool post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    tasks_.push_back(std::move(task));
    // Under the lock, so that the handle cannot be closed meanwhile. libuv coalesces what follows.
    if (tasks_.size() == 1) uv_async_send(wake_);
    return true;
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    stopping_ = true;
    uv_async_send(wake_);
  }

  // Loop thread. What was posted, in order. After stop() an empty batch closes the mailbox.
  enum class Next { kWait, kAgain, kClosed };
  Next take(std::vector<std::function<void()>>& batch) {
    const std::lock_guard lock(mutex_);
    batch.swap(tasks_);
    if (!stopping_) return Next::kWait;
    closed_ = batch.empty();
    return closed_ ? Next::kClosed : Next::kAgain;
  }

  void set_thread() {
    const std::lock_guard lock(mutex_);
    thread_ = pthread_self();
    has_thread_ = true;
  }

  bool on_thread() {
    const std::lock_guard lock(mutex_);
    return has_thread_ && pthread_equal(thread_, pthread_self());
  }

 private:
  std::mutex mutex_;
  uv_async_t* wake_ = nullptr;                // constant after open()
  std::vector<std::function<void()>> tasks_;  // the rest is guarded by mutex_
  bool stopping_ = false;
  bool closed_ = false;
  bool has_thread_ = false;
  pthread_t thread_{};
};

bool LoopPoster::post(std::function<void()> task) const {
  return mailbox_ && mailbox_->post(std::move(task));
}

bool LoopPoster::on_loop_thread() const { return mailbox_ && mailbox_->on_thread(); }

Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<Loop> loop(new Loop);
  if (const int error = uv_loop_init(&loop->loop_); error != 0)
    return Error{HF_E_IO, std::string("cannot make an event loop: ") + uv_strerror(error)};
  loop->initialised_ = true;
  loop->wake_.data = loop.get();
  const auto on_wake = [](uv_async_t* wake) { static_cast<Loop*>(wake->data)->run_tasks(); };
  if (const int error = uv_async_init(&loop->loop_, &loop->wake_, on_wake); error != 0) {
    uv_loop_close(&loop->loop_);
    loop->initialised_ = false;
    return Error{HF_E_IO, std::string("cannot make a wake-up: ") + uv_strerror(error)};
  }
  auto mailbox = std::make_shared<Mailbox>();
  mailbox->open(&loop->wake_);
  loop->poster_ = LoopPoster(std::move(mailbox));
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
  std::vector<std::function<void()>> batch;
  for (;;) {
    const Mailbox::Next next = poster_.mailbox_->take(batch);
    for (auto& task : batch) {
      task();
      task = nullptr;  // what it holds is released before the next one runs
    }
    batch.clear();
    if (next == Mailbox::Next::kWait) return;
    if (next == Mailbox::Next::kClosed) break;
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
}

}  // namespace hf
