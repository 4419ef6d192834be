#include "apps/command.h"

namespace hf {

void add_command(CLI::App& parent, Session& session, std::shared_ptr<Command> command, const char* name, const char* what,
                 const char* group) {
  CLI::App* app = parent.add_subcommand(name, what);
  app->group(group);
  app->set_help_flag("-h,--help", "show this help")->group("Common options");
  command->describe(*app);
  app->add_flag("--json", session.json, "machine-readable output")->group("Common options");
  app->add_option("--socket", session.socket_option, "the daemon's socket [$HOLDFAST_SOCKET, else " + std::string(kDefaultSocket) + "]")
      ->option_text("PATH")
      ->group("Common options");
  app->callback([command = std::move(command), &session] { command->run(session); });
}

}  // namespace hf
