// One call of the command line: what it was told, whom it asks, where it writes, how it ends.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "apps/client.h"
#include "apps/terminal.h"

namespace CLI {
class App;
}  // namespace CLI

namespace hf {

using Json = nlohmann::ordered_json;

inline constexpr char kDefaultDatabase[] = "/var/lib/holdfast/queue.db";
inline constexpr char kDefaultConfig[] = "/etc/holdfast/holdfast.json";  // what the systemd unit names
inline constexpr char kDefaultSocket[] = "/run/holdfast/holdfast.sock";

// As sysexits(3) has no words for these: documented in holdfast(1).
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,  // the operation failed, or the job did
  kUsage = 2,
  kNotFound = 3,
  kUnreachable = 4,  // no daemon answers
  kRefused = 5       // role, full, too large, conflict
};
ExitCode exit_code_of(std::string_view api_code);  // of an error of the admin API, "not_found"

class Session {
 public:
  bool json = false;
  std::string socket_option;
  int exit_code = kDone;
  const Terminal out = Terminal::of(1);
  const Terminal err = Terminal::of(2);

  // --socket, else $HOLDFAST_SOCKET, else the default.
  Client client() const;

  // Asks and parses. On failure says so on stderr, sets exit_code (the first failure's stays) and
  // returns nothing.
  std::optional<Json> ask(std::string_view method, const std::string& target,
                          const Json& body = nullptr, int64_t timeout_ms = 30'000);
  // The same, and with --json the answer is written to stdout as it came. True: that was all.
  bool asked_for_json(const Json& answer) const;

  void fail(ExitCode code, std::string_view message);
  void fail(const Error& error);
  void print(std::string_view text) const;  // to stdout, as it is
  void print_fact(std::string_view name, std::string_view text) const;  // a line: a name of up to 10 letters, and a text
};

std::string queue_table(const Json& queues, const Terminal& terminal);  // commands_queues.cpp

void add_job_commands(CLI::App& app, Session& session);       // commands_jobs.cpp
void add_schedule_commands(CLI::App& app, Session& session);  // commands_schedules.cpp
void add_event_commands(CLI::App& app, Session& session);     // commands_events.cpp
void add_queue_commands(CLI::App& app, Session& session);     // commands_queues.cpp
void add_clock_commands(CLI::App& app, Session& session);     // commands_clock.cpp
void add_condition_commands(CLI::App& app, Session& session);  // commands_conditions.cpp
void add_link_commands(CLI::App& app, Session& session);      // commands_link.cpp
void add_daemon_commands(CLI::App& app, Session& session);    // commands_daemon.cpp
void add_serve_command(CLI::App& app, Session& session);      // serve.cpp
void add_simulate_command(CLI::App& app, Session& session);   // simulate.cpp

}  // namespace hf
