// link show, set, up
#include "apps/command.h"
#include "apps/job_view.h"
#include "core/units.h"
#include "platform/clock.h"

namespace hf {
namespace {

// "1.2 MiB of 19.0 MiB (6 %)"
std::string of_budget(const Json& budget, const char* spent, const char* most) {
  const int64_t bytes = budget.value(spent, int64_t{0});
  const int64_t limit = budget.value(most, int64_t{0});
  if (limit == 0) return format_size_human(bytes);
  return format_size_human(bytes) + " of " + format_size_human(limit) + " (" + std::to_string(bytes * 100 / limit) + " %)";
}

void print_link(Session& session, const Json& answer) {
  const std::string link = answer.value("link", "");
  const Json& budgets = answer["budgets"];
  bool has = false;
  for (const Json& budget : budgets) has = has || budget.value("in_force", false);
  session.print_fact("link", session.out.paint(clean(link), Colour::bold) + (has ? "" : "  (it has no budget)"));
  if (budgets.empty()) return;
  Table table({{"BUDGET"}, {"LAST 24 H"}, {"LAST 31 DAYS"}, {"A SECOND"}, {"KEPT"}, {"OPEN"}});
  for (const Json& budget : budgets) {
    const int64_t rate = budget.value("rate", int64_t{0});
    const int64_t opens = budget.value("opens_in_ms", int64_t{0});
    const int64_t reserve = budget.value("reserve", int64_t{0});
    table.add({clean(budget.value("link", "")), of_budget(budget, "day_spent", "day"), of_budget(budget, "month_spent", "month"),
               rate > 0 ? format_size_human(rate) : "-",
               reserve > 0 ? std::to_string(reserve) + " % for priority " + std::to_string(budget.value("reserve_priority", int64_t{1})) + "+" : "-",
               opens > 0 ? "in " + format_duration_human(opens) : "yes"});
  }
  session.print("\n" + table.text(session.out) + "\n");
}

struct ShowLink : Command {
  void describe(CLI::App& app) override {
    app.footer(
        "Which link there is, and what the budgets have left. OPEN says when something of priority 0 may be sent again.\n\n"
        "Example:\n  holdfast link show");
  }
  void run(Session& session) override {
    const auto answer = session.ask("GET", "/v1/link");
    if (!answer || session.asked_for_json(*answer)) return;
    print_link(session, *answer);
  }
};

struct SetLinkTo : Command {
  std::string name;
  bool none = false;
  void describe(CLI::App& app) override {
    auto* option = app.add_option("NAME", name, "metered, unmetered, or another one that has a budget");
    app.add_flag("--default", none, "as the configuration says")->excludes(option);
    app.footer(
        "For a hook of the modem or the network manager: what is sent from now on is charged to the budget of this link.\n"
        "It is kept over restarts, until somebody says otherwise.\n\nExamples:\n  holdfast link set metered\n  holdfast link set --default");
  }
  void run(Session& session) override {
    if (name.empty() && !none) return session.fail(kUsage, "which link there is, or --default, is missing");
    Json body = Json::object();
    body["link"] = none ? Json() : Json(name);
    const auto answer = session.ask("PUT", "/v1/link", body);
    if (!answer || session.asked_for_json(*answer)) return;
    print_link(session, *answer);
  }
};

struct LinkIsUp : Command {
  void describe(CLI::App& app) override {
    app.footer(
        "A network came up: sinks and handlers that wait for theirs try it soon, each within its splay. The daemon sees\n"
        "new addresses and routes by itself; this is for a hook of what it cannot see, such as a modem's.\n\nExample:\n  holdfast link up");
  }
  void run(Session& session) override {
    const auto answer = session.ask("POST", "/v1/link/up");
    if (!answer || session.asked_for_json(*answer)) return;
    session.print("what waits for the network tries it soon\n");
  }
};

}  // namespace

void add_link_commands(CLI::App& app, Session& session) {
  CLI::App* link = app.add_subcommand("link", "the network, as a hook knows it, and what it may cost")->group("Looking after it");
  link->require_subcommand(1);
  link->footer("Examples:\n  holdfast link show\n  holdfast link set metered\n  holdfast link up");
  add_command<ShowLink>(*link, session, "show", "which link there is, and its budget");
  add_command<SetLinkTo>(*link, session, "set", "say which link there is");
  add_command<LinkIsUp>(*link, session, "up", "say that a network came up");
}

}  // namespace hf
