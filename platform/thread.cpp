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

// What it cannot have is as whoever starts it has it.
class Attributes {
 public:
  explicit Attributes(const ThreadKind* kind) {
    if (kind == nullptr || pthread_attr_init(&attributes_) != 0) return;
    const bool scheduled = pthread_attr_setinheritsched(&attributes_, PTHREAD_EXPLICIT_SCHED) == 0 &&
                           pthread_attr_setschedpolicy(&attributes_, kind->policy) == 0 && pthread_attr_setschedparam(&attributes_, &kind->priority) == 0;
    if (!scheduled) (void)pthread_attr_setinheritsched(&attributes_, PTHREAD_INHERIT_SCHED);
#ifdef __GLIBC__
    if (kind->has_cpus) (void)pthread_attr_setaffinity_np(&attributes_, sizeof kind->cpus, &kind->cpus);
#endif
    made_ = &attributes_;
  }
  ~Attributes() {
    if (made_ != nullptr) pthread_attr_destroy(made_);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  const pthread_attr_t* get() const { return made_; }

 private:
  pthread_attr_t attributes_{};
  pthread_attr_t* made_ = nullptr;
};

}  // namespace

ThreadKind ThreadKind::of_this_thread() {
  ThreadKind kind;
  if (pthread_getschedparam(pthread_self(), &kind.policy, &kind.priority) != 0) kind = ThreadKind();
#ifdef __GLIBC__
  kind.has_cpus = pthread_getaffinity_np(pthread_self(), sizeof kind.cpus, &kind.cpus) == 0;
#endif
  return kind;
}

const sigset_t& Thread::signals_left_alone() {
  static const sigset_t signals = all_but_faults();
  return signals;
}

Result<Thread> Thread::start(const char* name, std::function<void()> body, const ThreadKind* kind) {
  constexpr std::size_t kNameMax = 15;  // TASK_COMM_LEN - 1
  auto start = std::make_unique<Start>(Start{std::move(body), std::string(name).substr(0, kNameMax)});
  // The mask is inherited: set around the creation, so that no signal arrives in between.
  const Attributes attributes(kind);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &signals_left_alone(), &before);
  Thread thread;
  int error = pthread_create(&thread.id_, attributes.get(), run, start.get());
  // What it is to be like may be no more: rights that were given up, a processor that is away.
  if (error != 0 && attributes.get() != nullptr) error = pthread_create(&thread.id_, nullptr, run, start.get());
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
