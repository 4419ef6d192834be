// Ends of runs, counted, so that one can wait for the next.
#pragma once

#include <condition_variable>
#include <mutex>

class Ends {
 public:
  void add() {
    std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  int count() {
    std::lock_guard lock(mutex_);
    return count_;
  }
  void wait_beyond(int seen) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_ > seen; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};
