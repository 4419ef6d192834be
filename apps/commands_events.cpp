// emit; subscription list, show
#include "apps/command.h"
#include "apps/job_view.h"
#include "core/names.h"

namespace hf {
namespace {

struct EmitEvent : Command {
  std::string event, payload, key;
  void describe(CLI::App& app) override {
    app.add_option("EVENT", event, "its name")->required();
    app.add_option("PAYLOAD", payload, "text, @FILE, or - for standard input");
    app.add_option("--key", key, "each subscription starts one job for it at most, in 24 h")->option_text("KEY");
    app.footer(
        "Starts the jobs of all subscriptions to the event whose filters match, all or none; prints their ids.\n"
        "\n"
        "Examples:\n"
        "  holdfast emit door.opened '{\"door\": 3}'\n"
        "  holdfast emit sample.ready @sample.json --key sample-4711");
  }
  void run(Session& session) override {
    Json body = Json::object();
    if (!payload.empty()) {
      auto bytes = read_payload(payload);
      if (!bytes) return session.fail(bytes.error().code == HF_E_IO ? kFailed : kRefused, bytes.error().message);
      put_payload(&body, *bytes);
    }
    put_text(&body, "key", key);
    const auto answer = session.ask("POST", "/v1/events/" + percent_encode(event), body);
    if (!answer || session.asked_for_json(*answer)) return;
    for (const Json& id : (*answer)["ids"]) session.print(std::to_string(id.get<int64_t>()) + "\n");
    if ((*answer)["ids"].empty()) session.print("no job: no subscription to " + clean(event) + " matches\n");
  }
};

struct ListSubscriptions : Command {
  void describe(CLI::App& app) override { app.footer("Example:\n  holdfast subscription list"); }
  void run(Session& session) override {
    const auto answer = session.ask("GET", "/v1/subscriptions");
    if (!answer || session.asked_for_json(*answer)) return;
    const Json& subscriptions = (*answer)["subscriptions"];
    if (subscriptions.empty()) return session.print("no subscriptions\n");
    Table table({{"NAME"}, {"EVENT"}, {"FILTER"}, {"TYPE"}, {"QUEUE"}, {"MATCHED", Table::Align::right}});
    for (const Json& s : subscriptions) {
      table.add({s.value("name", ""), s.value("event", ""), s.contains("filter") ? clean(s["filter"].dump()) : "-", s.value("type", ""),
                 s.value("queue", ""), std::to_string(s.value("matched", int64_t{0}))});
    }
    session.print(table.text(session.out));
  }
};

struct ShowSubscription : Command {
  std::string name;
  void describe(CLI::App& app) override {
    app.add_option("NAME", name, "the subscription")->required();
    app.footer("Example:\n  holdfast subscription show on-door");
  }
  void run(Session& session) override {
    const auto answer = session.ask("GET", "/v1/subscriptions/" + percent_encode(name));
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(settings_page(*answer, session.out));
  }
};

}  // namespace

void add_event_commands(CLI::App& app, Session& session) {
  constexpr const char* kGroup = "Events";
  add_command<EmitEvent>(app, session, "emit", "start the jobs of all who subscribed to an event", kGroup);
  CLI::App* subscription = app.add_subcommand("subscription", "which events start which jobs")->group(kGroup);
  subscription->require_subcommand(1);
  subscription->footer("They are the configuration's, or the program's.\n\nExamples:\n  holdfast subscription list\n  holdfast subscription show on-door");
  add_command<ListSubscriptions>(*subscription, session, "list", "all subscriptions");
  add_command<ShowSubscription>(*subscription, session, "show", "all about one subscription");
}

}  // namespace hf
