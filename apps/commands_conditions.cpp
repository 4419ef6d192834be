// condition list, show, set
#include "apps/command.h"
#include "apps/job_view.h"
#include "core/names.h"
#include "core/units.h"
#include "platform/clock.h"

namespace hf {
namespace {

std::string path_of(const std::string& name) { return "/v1/conditions/" + percent_encode(name); }

Colour colour_of(const std::string& state) { return state == "open" ? Colour::green : state == "closed" ? Colour::yellow : Colour::dim; }

// "asked each 30s", "told, else closed", "the link is wifi, ethernet"
std::string how(const Json& condition) {
  if (condition.contains("every")) return "asked each " + condition.value("every", "");
  if (condition.contains("told")) return "told, else " + condition.value("told", "");
  std::string links;
  for (const Json& link : condition["link"]) links += (links.empty() ? "" : ", ") + link.get<std::string>();
  return "the link is " + links;
}

std::string when(const Json& condition, const char* key) {
  const int64_t at = time_of(condition, key);
  return at == 0 ? "-" : time_in_words(at, wall_ms());
}

struct ListConditions : Command {
  void describe(CLI::App& app) override {
    app.footer(
        "What queues, sinks and handlers wait for in the world outside. UNKNOWN is closed, too: one that is asked is asked when\n"
        "a job waits for nothing else.\n\nExample:\n  holdfast condition list");
  }
  void run(Session& session) override {
    const auto answer = session.ask("GET", "/v1/conditions");
    if (!answer || session.asked_for_json(*answer)) return;
    const Json& conditions = (*answer)["conditions"];
    if (conditions.empty()) return session.print("no conditions\n");
    Table table({{"NAME"}, {"STATE"}, {"SAID"}, {"COUNTS UNTIL"}, {"BY"}, {"WHY"}});
    for (const Json& c : conditions) {
      const std::string state = c.value("state", "");
      table.add({c.value("name", ""), {state, colour_of(state)}, when(c, "said"), when(c, "until"), how(c), clean(c.value("why", ""))});
    }
    session.print(table.text(session.out));
  }
};

struct ShowCondition : Command {
  std::string name;
  void describe(CLI::App& app) override {
    app.add_option("NAME", name, "the condition")->required();
    app.footer("Example:\n  holdfast condition show cool");
  }
  void run(Session& session) override {
    const auto answer = session.ask("GET", path_of(name));
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(settings_page(*answer, session.out));
  }
};

struct SetConditionTo : Command {
  std::string name, state, length, reason;
  void describe(CLI::App& app) override {
    app.add_option("NAME", name, "one that is told (\"told\" in the configuration)")->required();
    app.add_option("STATE", state, "open or closed")->required()->check(CLI::IsMember({"open", "closed"}));
    app.add_option("--for", length, "so long, and then as it was configured; default: until it is said otherwise")->option_text("DURATION");
    app.add_option("--reason", reason, "shown by why and list")->option_text("TEXT");
    app.footer(
        "For a hook of whoever knows: a udev rule, the network manager, a person. It is not kept over a restart of the daemon.\n\n"
        "Examples:\n  holdfast condition set door closed --reason 'it rains'\n  holdfast condition set vpn open --for 10m");
  }
  void run(Session& session) override {
    Json body = Json::object();
    body["open"] = state == "open";
    put_text(&body, "why", reason);
    put_text(&body, "for", length);
    const auto answer = session.ask("PUT", path_of(name), body);
    if (!answer || session.asked_for_json(*answer)) return;
    session.print("condition " + clean(name) + " is " + session.out.paint(state, colour_of(state)) + (length.empty() ? "" : " for " + length) + "\n");
  }
};

}  // namespace

void add_condition_commands(CLI::App& app, Session& session) {
  CLI::App* condition = app.add_subcommand("condition", "what jobs wait for in the world outside")->group("Looking after it");
  condition->require_subcommand(1);
  condition->footer("Examples:\n  holdfast condition list\n  holdfast condition set door closed --reason 'it rains'");
  add_command<ListConditions>(*condition, session, "list", "all conditions");
  add_command<ShowCondition>(*condition, session, "show", "all about one condition");
  add_command<SetConditionTo>(*condition, session, "set", "say whether one that is told is open");
}

}  // namespace hf
