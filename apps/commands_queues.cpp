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

// What `queue set` takes.
struct Setting {
  std::string_view key, value;  // an example of it, as `KEY=...`
  bool in_line;                 // among those that are told of a queue, but for `concurrency`, which always is
};
constexpr Setting kSettings[] = {
    {"concurrency", "N", false},   {"rate_limit", "N/TIME", true},     {"throttle", "N/TIME", true},     {"key_concurrency", "N", true},
    {"key_rate_limit", "N/TIME", true}, {"key_throttle", "N/TIME", true}, {"order", "fifo|lifo", true}, {"aging", "TIME", true},
    {"fair", "true|false", true},  {"slack", "TIME", true}, {"when", "NAMES", true}, {"windows", "TEXT", false},       {"tz", "ZONE", false},
    {"max_pending", "N", true}, {"when_full", "reject|drop_oldest|drop_lowest|coalesce", true}, {"enqueue_limit", "N/TIME", true}, {"key_enqueue_limit", "N/TIME", true},
    {"retry_budget", "N/TIME", true}, {"retention_completed", "TIME", true}, {"retention_dead", "TIME", true},
    {"retention_completed_count", "N", true}, {"retention_dead_count", "N", true},
};

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

// "9998 of 10000", where there is a limit.
std::string pending_of(const Json& queue) {
  const int64_t most = queue.value("max_pending", int64_t{0});
  return std::to_string(queue.value("pending", int64_t{0})) + (most == 0 ? "" : " of " + std::to_string(most));
}

// " until Fri 22:00", of its pause, else of its windows.
std::string until(const Json& queue) {
  const char* const key = queue.value("paused", false) ? "resumes" : queue.value("open", true) ? "closes" : "opens";
  const int64_t at = time_of(queue, key);
  return at == 0 ? "" : " until " + queue.value(key, "") + " (" + time_in_words(at, wall_ms()) + ")";
}

std::string reason_of(const Json& queue) {
  return queue.contains("pause_reason") ? ": " + queue.value("pause_reason", "") : "";
}

std::string queue_line(const Json& queue) {
  std::string line = "queue " + queue.value("name", "") + " is " + state_of(queue) + until(queue) + reason_of(queue) + ", concurrency " + limit_of(queue);
  for (const Setting& setting : kSettings) {
    const auto found = queue.find(setting.key);
    if (!setting.in_line || found == queue.end()) continue;
    line += ", " + std::string(setting.key) + " " + (found->is_string() ? found->get<std::string>() : found->dump());
  }
  return clean(line) + "\n";
}

struct ListQueues : Command {
  void describe(CLI::App& app) override { app.footer("Example:\n  holdfast queue list"); }
  void run(Session& session) override {
    const auto answer = session.ask("GET", "/v1/queues");
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(queue_table((*answer)["queues"], session.out));
  }
};

// pause, resume, drain
struct ChangeQueue : Command {
  std::string name;
  const char* verb;
  const char* footer;
  ChangeQueue(const char* how, const char* help) : verb(how), footer(help) {}
  void describe(CLI::App& app) override {
    app.add_option("Q", name, "the queue")->required();
    app.footer(footer);
  }
  void run(Session& session) override { post(session, {}); }
  void post(Session& session, const Json& body) {
    const auto answer = session.ask("POST", queue_path(name, verb), body);
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(queue_line(*answer));
  }
};
struct PauseQueue : ChangeQueue {
  std::string reason, length, until;
  PauseQueue()
      : ChangeQueue{"/pause",
                    "Jobs that run go on; no more are started. Kept over a restart. Replaces what a pause before\n"
                    "said.\n"
                    "\n"
                    "Examples:\n  holdfast queue pause default\n"
                    "  holdfast queue pause mail --for 2h --reason 'printer is broken'"} {}
  void describe(CLI::App& app) override {
    ChangeQueue::describe(app);
    app.add_option("--reason", reason, "why, up to 200 bytes")->option_text("TEXT");
    auto* for_long = app.add_option("--for", length, "it is open again after so long, up to 366d")->option_text("2h");
    app.add_option("--until", until, "... at this time; the clock has to be trusted")->option_text("TIME")->excludes(for_long);
  }
  void run(Session& session) override {
    Json body = Json::object();
    put_text(&body, "reason", reason);
    put_text(&body, "for", length);
    put_text(&body, "until", until);
    post(session, body);
  }
};
struct ResumeQueue : ChangeQueue {
  ResumeQueue()
      : ChangeQueue{"/resume",
                    "Ends pause and drain.\n\nExample:\n  holdfast queue resume default"} {}
};
struct DrainQueue : ChangeQueue {
  DrainQueue()
      : ChangeQueue{
            "/drain",
            "Takes no new jobs, runs those that are there. Ends with resume, or with the daemon.\n"
            "\n"
            "Example:\n  holdfast queue drain default"} {}
};

struct SetQueue : Command {
  std::string name;
  std::vector<std::string> settings;
  void describe(CLI::App& app) override {
    app.add_option("Q", name, "the queue")->required();
    app.add_option("SETTING", settings, "the settings that change (below); KEY=none: as configured")
        ->required()
        ->option_text("KEY=VALUE");
    app.footer(
        "Settings:\n"
        "  concurrency=N           runs at once\n"
        "  rate_limit=10/1m        ten may begin at once, and then one each 6 s; '10/1m burst 3': three\n"
        "  throttle=10/1m          one may begin each 6 s\n"
        "  key_concurrency=N       runs at once of the jobs with one concurrency key [1]\n"
        "  key_rate_limit=10/1m    how fast these may begin\n"
        "  key_throttle=10/1m      the same, spread\n"
        "  order=fifo|lifo         of one priority the job that is due longest goes first, or the newest\n"
        "  aging=TIME              a wait that is worth a point of priority; 0s: none is [1m]\n"
        "  fair=true|false         the concurrency keys take turns\n"
        "  slack=TIME              delayed jobs and retries may be so late, to share a wake-up [0s]\n"
        "  windows=TEXT            it is open at these times alone, such as '0 2 * * * for 1h' or\n"
        "                          'mon-fri 22:00-06:00; sat,sun 00:00-24:00'; empty: always\n"
        "  tz=ZONE                 of the windows [UTC]\n"
        "  when=NAME,NAME          conditions that have to be open; empty: none\n"
        "  max_pending=N           jobs that may wait in it; 0: no limit [0]\n"
        "  when_full=reject        ... then one more is refused; drop_oldest: the oldest gives way to it;\n"
        "                          drop_lowest: the one of the lowest priority does; coalesce: of the same\n"
        "                          type and concurrency key the next to run\n"
        "  enqueue_limit=10/1m     how fast jobs may come in; one more is refused\n"
        "  key_enqueue_limit=10/1m the same, of those with one concurrency key\n"
        "  retry_budget=60/1h      how many runs that failed are tried again; others wait for their turn\n"
        "  retention_completed=TIME, retention_dead=TIME\n"
        "                          how long its completed and cancelled jobs, its dead ones are kept; 0s: not at all\n"
        "  retention_completed_count=N, retention_dead_count=N\n"
        "                          so many of them are kept at most, the newest\n"
        "\n"
        "Kept in the file, over what the configuration says; what is not named stays as it is. A sink's\n"
        "queue is sink:NAME.\n\n"
        "Examples:\n  holdfast queue set default concurrency=2\n"
        "  holdfast queue set default fair=true key_concurrency=2\n"
        "  holdfast queue set readings max_pending=10000 when_full=drop_oldest\n"
        "  holdfast queue set sink:cloud windows='22:00-06:00' tz=Europe/Berlin");
  }
  // Puts KEY=VALUE into what is set; false after it told what is wrong.
  static bool put(Session& session, const std::string& given, Json* set) {
    const size_t equals = given.find('=');
    const std::string key = given.substr(0, equals);
    const Setting* setting = std::find_if(std::begin(kSettings), std::end(kSettings), [&](const Setting& s) { return s.key == key; });
    if (equals == std::string::npos || setting == std::end(kSettings)) {
      std::string expected;
      std::vector<std::string_view> keys;
      for (const Setting& one : kSettings) {
        expected += std::string(keys.empty() ? "" : ", ") + std::string(one.key) + "=" + std::string(one.value);
        keys.push_back(one.key);
      }
      session.fail(kUsage, "queue set: found " + hf::quoted(given) + ", expected " + expected + did_you_mean(key, keys));
      return false;
    }
    const std::string value = given.substr(equals + 1);
    if (value == "none") {
      set->erase(key);
    } else if (setting->value == "true|false" && (value == "true" || value == "false")) {
      (*set)[key] = value == "true";
    } else if (setting->value == "NAMES") {
      Json names = Json::array();
      for (std::string_view rest = value; !rest.empty();) names.push_back(std::string(take_until(&rest, ',')));
      (*set)[key] = names;
    } else if (setting->value == "N") {
      int64_t number = 0;
      const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (failure != std::errc() || end != value.data() + value.size() || value.empty()) {
        session.fail(kUsage, "queue set: " + key + ": found " + hf::quoted(value) + ", expected a whole number" + (key.ends_with("concurrency") ? " from 1 to 10000" : "") + ", or none");
        return false;
      }
      (*set)[key] = number;
    } else {
      (*set)[key] = value;
    }
    return true;
  }
  void run(Session& session) override {
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
               pending_of(queue),
               std::to_string(queue.value("running", int64_t{0})),
               limit_of(queue),
               {state + until(queue) + reason_of(queue), state == "open" ? Colour::green : Colour::yellow}});
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
