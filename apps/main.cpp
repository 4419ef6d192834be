// holdfast: the daemon and its command line.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "apps/help.h"
#include "apps/session.h"

namespace {

constexpr const char* kDescription =
    "An embedded job queue for one device. Jobs survive crashes and power cuts; results reach "
    "their\n"
    "servers when the link allows.";
constexpr const char* kFooter =
    "`holdfast COMMAND --help` says more. Durations: 500ms 30s 5m 1h 3d. Times: RFC 3339. Exit "
    "status: 0 done,\n"
    "1 failed, 2 usage, 3 not found, 4 the daemon is not reachable, 5 refused.";

}  // namespace

int main(int argc, char** argv) {
  hf::Session session;
  CLI::App app(kDescription, "holdfast");
  app.footer(kFooter);
  app.require_subcommand(1);
  bool version = false;
  app.set_help_flag("-h,--help", "show this help");
  app.add_flag("--version", version, "print the version");
  app.formatter(std::make_shared<hf::HelpFormatter>());
  hf::add_serve_command(app, session);
  hf::add_simulate_command(app, session);
  hf::add_job_commands(app, session);
  hf::add_schedule_commands(app, session);
  hf::add_event_commands(app, session);
  hf::add_queue_commands(app, session);
  hf::add_clock_commands(app, session);
  hf::add_condition_commands(app, session);
  hf::add_link_commands(app, session);
  hf::add_daemon_commands(app, session);
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("holdfast %s\n", HF_VERSION);
    return hf::kDone;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    session.print(hf::innermost(app).help());
    return std::fflush(stdout) == 0 ? hf::kDone : hf::kFailed;
  } catch (const CLI::ParseError& error) {
    session.fail(hf::kUsage, hf::usage_error(app, error));
    return hf::kUsage;
  }
  if (std::fflush(stdout) != 0 && session.exit_code == hf::kDone) return hf::kFailed;
  return session.exit_code;
}
