#include "handlers/exec_probe.h"

#include <algorithm>
#include <utility>

#include "platform/clock.h"
#include "platform/function_probe.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr size_t kOutputMax = 4096;

// Without what surrounds it; "": there is none.
std::string last_line(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
  const size_t newline = text.find_last_of("\r\n");
  if (newline != text.npos) text.remove_prefix(newline + 1);
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return std::string(text);
}

}  // namespace

ProbeAnswer exec_answer(const ProcessEnd& end) {
  if (end.not_started) return {false, end.not_started->message};
  if (end.unknown) return {false, "how it ended is unknown: this process ignores SIGCHLD, or waits for all children"};
  std::string why = last_line(end.error_tail);
  if (why.empty()) why = last_line(end.output);
  if (end.exit_code == 0) return {true, std::move(why)};
  if (why.empty()) why = end.signal != 0 ? "killed by signal " + std::to_string(end.signal) : "exit code " + std::to_string(end.exit_code);
  return {false, std::move(why)};
}

ExecProbe::ExecProbe(uv_loop_t* loop, std::vector<std::string> argv, std::vector<std::string> env, int64_t timeout_ms)
    : loop_(loop), argv_(std::move(argv)), env_(std::move(env)), timeout_ms_(timeout_ms), no_answer_(no_answer_text(timeout_ms)) {}

void ExecProbe::ask(Answer answer) {
  if (process_ != nullptr) return answer({false, still_looking_text(boot_ms() - asked_ms_)});
  if (!timer_) timer_ = std::make_unique<LoopTimer>(loop_, handles_, [this] { late(); });
  ProcessSpec spec;
  spec.argv = argv_;
  spec.env = env_;
  spec.output_max = kOutputMax;
  process_ = Process::start(loop_, std::move(spec), [this](ProcessEnd end) { ended(end); });
  asked_ms_ = boot_ms();
  answer_ = std::move(answer);
  timer_->start(timeout_ms_);
}

void ExecProbe::ended(const ProcessEnd& end) {
  process_ = nullptr;
  if (closed_) return close();
  timer_->stop();
  if (!answer_) return;  // it was late
  ProbeAnswer said;
  if (!guarded([&] { said = exec_answer(end); })) said = {};
  std::exchange(answer_, nullptr)(std::move(said));
}

void ExecProbe::late() {
  process_->terminate(0);
  ProbeAnswer said;
  (void)guarded([&] { said.why = no_answer_; });
  std::exchange(answer_, nullptr)(std::move(said));
}

void ExecProbe::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  timer_.reset();
  if (answer_) std::exchange(answer_, nullptr)({false, "replaced"});
  process_ != nullptr ? process_->terminate(0) : close();
}

void ExecProbe::close() {
  const HandleCountPtr handles = handles_;  // `closed_` may be the last to hold this
  handles->when_none(std::exchange(closed_, nullptr));
}

}  // namespace hf
