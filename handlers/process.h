// One child process: its input, its output, its end.
#pragma once

#include <sys/types.h>
#include <uv.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "handlers/exit_watch.h"
#include "handlers/process_limits.h"

namespace hf {

struct ProcessSpec {
  std::vector<std::string> argv;  // as in SpawnSpec
  std::vector<std::string> env;
  std::string cwd;
  std::string input;      // its stdin: a file that lives in memory, read at the child's own pace
  size_t output_max = 0;  // bytes of stdout that are kept; the rest is read and dropped
  size_t error_tail_max = 2048;  // bytes of stderr that are kept, the last ones
  ProcessLimits limits = {};
};

struct ProcessEnd {
  std::optional<Error> not_started;  // as spawn() gives it; nothing else is set then
  int exit_code = -1;                // -1: ended by a signal, or unknown
  int signal = 0;                    // 0: ended by itself, or unknown
  bool killed = false;               // it had not ended when the grace of terminate() was over
  bool unknown = false;  // the host ignores SIGCHLD, or reaped our child with a wait of its own
  std::string output;
  bool output_over = false;  // there was more than output_max
  bool output_lost = false;  // there was no memory for it, or it could not be read
  std::string error_tail;
  bool error_tail_cut = false;  // there was more than error_tail_max
};

// Runs once, on the loop thread of start(). The end is that of the child itself: whatever is left
// of its process group is killed then, and what others still hold of its pipes does not keep it
// open.
//
// Not reached: a grandchild that made a session of its own (setsid) lives on.
class Process {
 public:
  using Ended = std::function<void(ProcessEnd)>;

  // `ended` is called once, from the loop, when nothing of the Process is left there; the Process
  // deletes itself just before.
  // Throws std::bad_alloc if nothing was begun and `ended` will not be called.
  static Process* start(uv_loop_t* loop, ProcessSpec spec, Ended ended,
                        ExitWatch::How watch = ExitWatch::How::pidfd);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // SIGTERM to the group now, and nothing else.
  void ask_to_end();
  // SIGTERM to the group now, SIGKILL once kill_grace_ms (>= 0) are over. Repeated calls do
  // nothing.
  void terminate(int64_t kill_grace_ms);

  pid_t pid() const { return pid_; }  // -1: not started, or reaped

 private:
  struct Pipe {
    Process* owner = nullptr;
    uv_poll_t poll;
    int fd = -1;
  };

  Process(uv_loop_t* loop, ProcessSpec spec, Ended ended);
  ~Process();
  Status begin(ExitWatch::How watch);
  Status open_pipe(Pipe* pipe, int* child_end);
  void read(Pipe* pipe, size_t at_most);
  void take(const Pipe* pipe, const char* bytes, size_t size);
  void take_error(const char* bytes, size_t size);
  void on_exit();
  void close_pipe(Pipe* pipe);
  void close_all();
  void closed_one();

  uv_loop_t* loop_;
  ProcessSpec spec_;
  Ended ended_;
  ProcessEnd end_;
  Pipe out_, err_;
  uv_timer_t kill_timer_;
  ExitWatch* exit_ = nullptr;
  pid_t pid_ = -1;
  int open_handles_ = 0;
  bool terminating_ = false;
};

}  // namespace hf
