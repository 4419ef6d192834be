// A command is a struct with its options as members.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/session.h"

namespace hf {

struct Command {
  virtual ~Command() = default;
  virtual void describe(CLI::App& app) = 0;  // says its options to the parser
  virtual void run(Session& session) = 0;
};

// The command is the parser's from now on. Adds the options that all have.
void add_command(CLI::App& parent, Session& session, std::shared_ptr<Command> command, const char* name, const char* what,
                 const char* group);

template <class C>
void add_command(CLI::App& parent, Session& session, const char* name, const char* what, const char* group = "Commands") {
  add_command(parent, session, std::shared_ptr<Command>(std::make_unique<C>()), name, what, group);
}

}  // namespace hf
