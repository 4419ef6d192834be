// clock show, confirm, reset; next-wake
#include "apps/command.h"
#include "apps/job_view.h"
#include "core/units.h"
#include "platform/clock.h"

namespace hf {
namespace {

void print_clock(Session& session, const Json& clock) {
  const auto number = [&](const char* name) { return clock.value(name, int64_t{0}); };
  const bool trusted = clock.value("trusted", false);
  session.print_fact("clock", (trusted ? session.out.paint("trusted", Colour::green) : session.out.paint("not trusted", Colour::yellow)) + ": " + clean(clock.value("why", "")));
  session.print_fact("time", clean(clock.value("time", "")) + (trusted ? "" : "  (cron and --at wait; the rest goes on)"));
  session.print_fact("floor", clean(clock.value("floor", "")) + "  (no right clock shows less)");
  session.print_fact("ceiling", clean(clock.value("ceiling", "")) + "  (nor more)");
  std::string steps = std::to_string(number("steps_total"));
  if (clock.contains("last_step_ms")) {
    const int64_t by = number("last_step_ms");
    steps += ", the last one " + format_duration_human(number("last_step_age_ms")) + " ago: set " + (by < 0 ? "back" : "forward") + " by " +
             format_duration_human(by < 0 ? -by : by) + " to " + clean(clock.value("last_step_to", ""));
  }
  session.print_fact("steps", steps);
}

// show, confirm, reset
struct AskClock : Command {
  const char* method;
  const char* path;
  const char* footer;
  AskClock(const char* with, const char* what, const char* help) : method(with), path(what), footer(help) {}
  void describe(CLI::App& app) override { app.footer(footer); }
  void run(Session& session) override {
    const auto answer = session.ask(method, path);
    if (!answer || session.asked_for_json(*answer)) return;
    print_clock(session, *answer);
  }
};
struct ShowClock : AskClock {
  ShowClock()
      : AskClock{"GET", "/v1/clock",
                 "The wall clock, whether it is trusted and why, and the steps that were seen. What says when it is right is\n"
                 "\"clock\" in the configuration.\n\nExample:\n  holdfast clock show"} {}
};
struct ConfirmClockNow : AskClock {
  ConfirmClockNow()
      : AskClock{"POST", "/v1/clock/confirm",
                 "For a device that no time server reaches: set the clock, look at it, then confirm. It is trusted until\n"
                 "somebody sets it again, and the floor is where it stands now.\n\nExample:\n  date -s '2026-11-27 16:00 UTC' && holdfast clock confirm"} {}
};
struct ResetClock : AskClock {
  ResetClock()
      : AskClock{"POST", "/v1/clock/reset",
                 "When a wrong time was confirmed once, every right one lies before the floor. This forgets it: the floor is\n"
                 "that of the configuration, or of the release.\n\nExample:\n  holdfast clock reset"} {}
};

struct NextWake : Command {
  bool unix_time = false;
  void describe(CLI::App& app) override {
    app.add_flag("--unix", unix_time, "seconds since 1970, rounded down, or nothing: as /sys/class/rtc/rtc0/wakealarm takes it");
    app.footer(
        "When the engine has something to do again by itself: the time for which a board that sleeps sets its alarm.\n"
        "Nothing is due ever: it prints \"none\" (with --unix: nothing) and the exit status is 3.\n\n"
        "Example:\n  holdfast next-wake --unix >/sys/class/rtc/rtc0/wakealarm");
  }
  void run(Session& session) override {
    const auto stats = session.ask("GET", "/v1/stats");
    if (!stats) return;
    const int64_t next = time_of(*stats, "next_wake");
    Json answer = Json::object();
    answer["next_wake"] = next ? Json(stats->value("next_wake", "")) : Json();
    answer["next_wake_in_ms"] = next ? Json(stats->value("next_wake_in_ms", int64_t{0})) : Json();
    if (!next) session.exit_code = kNotFound;
    if (session.asked_for_json(answer)) return;
    if (unix_time) {
      if (next) session.print(std::to_string(next / 1000) + "\n");
      return;
    }
    session.print(next ? clean(stats->value("next_wake", "")) + "  (" + time_in_words(next, wall_ms()) + ")\n" : "none\n");
  }
};

}  // namespace

void add_clock_commands(CLI::App& app, Session& session) {
  const char* looking = "Looking after it";
  CLI::App* clock = app.add_subcommand("clock", "the wall clock, and whether it is trusted")->group(looking);
  clock->require_subcommand(1);
  clock->footer("Examples:\n  holdfast clock show\n  holdfast clock confirm");
  add_command<ShowClock>(*clock, session, "show", "the clock, and why it is trusted or not");
  add_command<ConfirmClockNow>(*clock, session, "confirm", "say that it is right now");
  add_command<ResetClock>(*clock, session, "reset", "forget the latest time that was confirmed");
  add_command<NextWake>(app, session, "next-wake", "when something is due next", looking);
}

}  // namespace hf
