// In place of exec_runners.cpp and what starts programs.
#include "core/left_out.h"
#include "handlers/runners.h"

namespace hf {
namespace {
Error no_programs() { return left_out("programs as handlers are", "EXEC"); }
}  // namespace

Result<std::shared_ptr<Runner>> exec_runner(Host&, const HandlerConfig&, const std::string&, int64_t) { return no_programs(); }
Result<std::shared_ptr<Probe>> exec_probe(Host&, const ConditionConfig&, const std::string&) { return no_programs(); }
Status set_clock_command(Host&, const ClockConfig&, const std::string&) { return no_programs(); }

}  // namespace hf
