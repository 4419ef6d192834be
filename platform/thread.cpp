#include "platform/thread.h"

#include <signal.h>

#include <memory>
#include <string>

namespace hf {
namespace {

struct Start {
  std::function<void()> body;
  std::string name;
};

void* run(void* argument) {
  std::unique_ptr<Start> start(static_cast<Start*>(argument));
  pthread_setname_np(pthread_self(), start->name.c_str());
  start->body();
  return nullptr;
}

sigset_t all_but_faults() {
  sigset_t set;
  sigfillset(&set);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&set, fault);
  return set;
}

}  // namespace

Result<Thread> Thread::start(const char* name, std::function<void()> body) {
  constexpr std::size_t kNameMax = 15;  // TASK_COMM_LEN - 1
  auto start = std::make_unique<Start>(Start{std::move(body), std::string(name).substr(0, kNameMax)});
  // The mask is inherited: set around the creation, so that no signal arrives in between.
  const sigset_t blocked = all_but_faults();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  Thread thread;
  const int error = pthread_create(&thread.id_, nullptr, run, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return Error{HF_E_NO_MEMORY, "cannot start thread " + start->name};
  start.release();
  thread.running_ = true;
  return thread;
}

Thread::Thread(Thread&& other) noexcept : id_(other.id_), running_(other.running_) {
  other.running_ = false;
}

Thread& Thread::operator=(Thread&& other) noexcept {
  assert(!running_);
  id_ = other.id_;
  running_ = other.running_;
  other.running_ = false;
  return *this;
}

void Thread::join() {
  if (!running_) return;
  pthread_join(id_, nullptr);
  running_ = false;
}

void Thread::detach() {
  if (!running_) return;
  pthread_detach(id_);
  running_ = false;
}

}  // namespace hf
