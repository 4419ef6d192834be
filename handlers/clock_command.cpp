#include "handlers/clock_command.h"

#include "platform/memory.h"

namespace hf {

namespace {
constexpr int64_t kKillGraceMs = 1000;
}

ClockCommand::ClockCommand(Host& host, std::vector<std::string> argv, std::vector<std::string> env, int64_t every_ms)
    : host_(host), argv_(std::move(argv)), env_(std::move(env)), every_ms_(every_ms) {}

void ClockCommand::start() {
  host_.loop().post([self = shared_from_this()] { self->open(); });
}

void ClockCommand::stop() {
  auto task = patient([&] {
    return LoopPoster::prepare([self = shared_from_this()] {
      self->stopped_ = true;
      self->timer_.reset();
      if (self->process_ != nullptr) self->process_->terminate(0);
    });
  });
  host_.loop().poster().post(std::move(task));
}

void ClockCommand::open() {
  if (stopped_) return;
  auto timer = BootTimer::create(host_.loop().uv(), [this] { ring(); });
  if (!timer) {
    host_.log().error("clock_command_failed", {{"error", timer.error().message}});
    return;
  }
  timer_ = std::move(*timer);
  ring();
}

void ClockCommand::ring() {
  if (process_ != nullptr) return process_->terminate(kKillGraceMs);
  timer_->set(boot_ms() + every_ms_);  // also when there is no memory to ask now
  ProcessSpec spec;
  spec.argv = argv_;
  spec.env = env_;
  process_ = Process::start(host_.loop().uv(), std::move(spec), [self = shared_from_this()](ProcessEnd end) { self->answered(end); });
  timer_->set(boot_ms() + kClockAnswerMs);
}

void ClockCommand::answered(const ProcessEnd& end) {
  process_ = nullptr;
  if (stopped_) return;
  if (end.not_started && !std::exchange(told_missing_, true)) {
    host_.log().error("clock_command_failed", {{"error", end.not_started->message}});
  }
  host_.set_clock_word(end.exit_code == 0);
  timer_->set(boot_ms() + every_ms_);
}

}  // namespace hf
