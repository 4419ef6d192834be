// Programs, as a configuration has them: handlers, conditions, and who is asked for the time.
#include "handlers/clock_command.h"
#include "handlers/exec.h"
#include "handlers/exec_probe.h"
#include "handlers/runners.h"

namespace hf {
namespace {

std::vector<std::string> environment_of(const std::string& socket) {
  ExecOptions exec;
  exec.socket = socket;
  return base_environment(exec);
}

}  // namespace

Result<std::shared_ptr<Runner>> exec_runner(Host& host, const HandlerConfig& handler, const std::string& socket, int64_t max_result) {
  ExecOptions options;
  options.argv = handler.exec;
  options.cwd = handler.cwd;
  options.env = handler.env;
  options.socket = socket;
  options.kill_grace_ms = handler.kill_grace_ms;
  options.max_result = max_result;
  options.on_exit = handler.on_exit;
  options.limits = handler.limits;
  options.soft_timeout_ms = handler.soft_timeout_ms;
  options.log_stderr = handler.log_stderr;
  options.batch = handler.batch;
  const auto end = [&host](RunEnded ended) { host.end_run(std::move(ended)); };
  return std::shared_ptr<Runner>(std::make_shared<ExecRunner>(host.loop().uv(), std::move(options), end, teller(host)));
}

Result<std::shared_ptr<Probe>> exec_probe(Host& host, const ConditionConfig& condition, const std::string& socket) {
  return std::shared_ptr<Probe>(std::make_shared<ExecProbe>(host.loop().uv(), condition.exec, environment_of(socket), condition.timeout_ms));
}

Status set_clock_command(Host& host, const ClockConfig& clock, const std::string& socket) {
  auto command = std::make_shared<ClockCommand>(host, clock.command, environment_of(socket), clock.command_every_ms);
  HF_TRY(host.set_clock(clock.options, [command] { command->stop(); }));
  command->start();
  return ok_status();
}

}  // namespace hf
