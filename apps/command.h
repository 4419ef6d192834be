// A command is a struct with its options as members and two functions:
//   void describe(CLI::App&)   says them to the parser
//   void run(Session&)
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/session.h"

namespace hf {

template <class Command>
void add_command(CLI::App& parent, Session& session, const char* name, const char* what,
                 const char* group = "Commands") {
  auto command = std::make_shared<Command>();
  CLI::App* app = parent.add_subcommand(name, what);
  app->group(group);
  app->set_help_flag("-h,--help", "show this help")->group("Common options");
  command->describe(*app);
  app->add_flag("--json", session.json, "machine-readable output")->group("Common options");
  app->add_option(
         "--socket", session.socket_option,
         "the daemon's socket [$HOLDFAST_SOCKET, else " + std::string(kDefaultSocket) + "]")
      ->option_text("PATH")
      ->group("Common options");
  app->callback([command, &session] { command->run(session); });
}

}  // namespace hf
