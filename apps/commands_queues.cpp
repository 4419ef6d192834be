// queue list, pause, resume, drain, set
#include <algorithm>
#include <charconv>

#include "apps/command.h"
#include "apps/job_view.h"
#include "core/names.h"
#include "platform/clock.h"
#include "platform/json_fields.h"

namespace hf {
namespace {

std::string queue_path(const std::string& name, const char* verb = "") {
  return "/v1/queues/" + percent_encode(name) + verb;
}

std::string state_of(const Json& queue) {
  if (queue.value("paused", false)) return "paused";
  if (queue.value("draining", false)) return "draining";
  return queue.value("open", true) ? "open" : "closed";
}

std::string limit_of(const Json& queue) {
  return queue.contains("concurrency") && queue["concurrency"].is_number()
             ? std::to_string(queue.value("concurrency", 0))
             : "-";
}

// " until Fri 22:00", of its windows.
std::string until(const Json& queue) {
  const char* const key = queue.value("open", true) ? "closes" : "opens";
  const int64_t at = time_of(queue, key);
  return at == 0 ? "" : " until " + queue.value(key, "") + " (" + time_in_words(at, wall_ms()) + ")";
}

std::string queue_line(const Json& queue) {
  std::string line = "queue " + queue.value("name", "") + " is " + state_of(queue) + until(queue) + ", concurrency " + limit_of(queue);
  if (queue.contains("slack")) line += ", slack " + queue.value("slack", "");
  return clean(line) + "\n";
}

struct ListQueues {
  void describe(CLI::App& app) { app.footer("Example:\n  holdfast queue list"); }
  void run(Session& session) {
    const auto answer = session.ask("GET", "/v1/queues");
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(queue_table((*answer)["queues"], session.out));
  }
};

// pause, resume, drain
struct ChangeQueue {
  std::string name;
  const char* verb;
  const char* footer;
  void describe(CLI::App& app) {
    app.add_option("Q", name, "the queue")->required();
    app.footer(footer);
  }
  void run(Session& session) {
    const auto answer = session.ask("POST", queue_path(name, verb));
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(queue_line(*answer));
  }
};
struct PauseQueue : ChangeQueue {
  PauseQueue()
      : ChangeQueue{"", "/pause",
                    "Jobs that run go on; no more are started. Kept over a restart.\n"
                    "\n"
                    "Example:\n  holdfast queue pause default"} {}
};
struct ResumeQueue : ChangeQueue {
  ResumeQueue()
      : ChangeQueue{"", "/resume",
                    "Ends pause and drain.\n\nExample:\n  holdfast queue resume default"} {}
};
struct DrainQueue : ChangeQueue {
  DrainQueue()
      : ChangeQueue{
            "", "/drain",
            "Takes no new jobs, runs those that are there. Ends with resume, or with the daemon.\n"
            "\n"
            "Example:\n  holdfast queue drain default"} {}
};

constexpr std::string_view kSettings[] = {"concurrency", "slack", "windows", "tz"};

struct SetQueue {
  std::string name;
  std::vector<std::string> settings;
  void describe(CLI::App& app) {
    app.add_option("Q", name, "the queue")->required();
    app.add_option("SETTING", settings, "concurrency=N, slack=30s, windows='22:00-06:00', tz=ZONE; KEY=none: as configured")
        ->required()
        ->option_text("KEY=VALUE");
    app.footer(
        "Kept in the file, over what the configuration says; what is not named stays as it is. A queue with windows is open\n"
        "at these times alone: 'mon-fri 22:00-06:00; sat,sun 00:00-24:00', '0 2 * * * for 1h'; windows= is always.\n"
        "Slack lets delayed jobs and retries be late, so that they share a wake-up.\n\n"
        "Examples:\n  holdfast queue set default concurrency=2\n"
        "  holdfast queue set sink:cloud windows='22:00-06:00' tz=Europe/Berlin");
  }
  // Puts KEY=VALUE into what is set; false after it told what is wrong.
  static bool put(Session& session, const std::string& setting, Json* set) {
    const size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals);
    if (equals == std::string::npos || std::find(std::begin(kSettings), std::end(kSettings), key) == std::end(kSettings)) {
      session.fail(kUsage, "queue set: found " + hf::quoted(setting) + ", expected concurrency=N, slack=TIME, windows=TEXT or tz=ZONE" +
                               did_you_mean(key, kSettings));
      return false;
    }
    const std::string value = setting.substr(equals + 1);
    if (value == "none") {
      set->erase(key);
    } else if (key != "concurrency") {
      (*set)[key] = value;
    } else {
      int number = 0;
      const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (failure != std::errc() || end != value.data() + value.size() || value.empty()) {
        session.fail(kUsage, "queue set: concurrency: found " + hf::quoted(value) + ", expected a whole number from 1 to 10000, or none");
        return false;
      }
      (*set)[key] = number;
    }
    return true;
  }
  void run(Session& session) {
    Json set = Json::object();
    const auto queues = session.ask("GET", "/v1/queues");
    if (!queues) return;
    for (const Json& queue : (*queues)["queues"]) {
      if (queue.value("name", "") == name && queue.contains("set")) set = queue["set"];
    }
    for (const std::string& setting : settings) {
      if (!put(session, setting, &set)) return;
    }
    const auto answer = session.ask("PUT", queue_path(name), set);
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(queue_line(*answer));
  }
};

}  // namespace

std::string queue_table(const Json& queues, const Terminal& terminal) {
  if (queues.empty()) return "no queues\n";
  Table table({{"QUEUE"},
               {"PENDING", Table::Align::right},
               {"RUNNING", Table::Align::right},
               {"AT ONCE", Table::Align::right},
               {"STATE"}});
  for (const Json& queue : queues) {
    const std::string state = state_of(queue);
    table.add({queue.value("name", ""),
               std::to_string(queue.value("pending", int64_t{0})),
               std::to_string(queue.value("running", int64_t{0})),
               limit_of(queue),
               {state + until(queue), state == "open" ? Colour::green : Colour::yellow}});
  }
  return table.text(terminal);
}

void add_queue_commands(CLI::App& app, Session& session) {
  CLI::App* queue =
      app.add_subcommand("queue", "queues and their limits")->group("Schedules and queues");
  queue->require_subcommand(1);
  queue->footer(
      "Examples:\n  holdfast queue list\n  holdfast queue pause default\n  holdfast queue set "
      "default concurrency=2");
  add_command<ListQueues>(*queue, session, "list", "all queues");
  add_command<PauseQueue>(*queue, session, "pause", "start no more jobs of a queue");
  add_command<ResumeQueue>(*queue, session, "resume", "open it again");
  add_command<DrainQueue>(*queue, session, "drain", "take no new jobs");
  add_command<SetQueue>(*queue, session, "set", "change a queue's limits and windows");
}

}  // namespace hf
