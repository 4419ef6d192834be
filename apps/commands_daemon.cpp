// stats, watch, metrics, health, check, backup, prune, version, completion, and what is to come
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>

#include "apps/command.h"
#include "apps/completion.h"
#include "apps/job_view.h"
#include "core/names.h"
#include "core/units.h"
#include "platform/clock.h"

namespace hf {
namespace {

// "1234567" as "1 234 567": long counts can be read at a glance.
std::string grouped(int64_t value) {
  std::string text = std::to_string(value);
  for (int at = static_cast<int>(text.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<size_t>(at), " ");
  }
  return text;
}

struct ShowStats : Command {
  void describe(CLI::App& app) override {
    app.footer("Examples:\n  holdfast stats\n  holdfast stats --json | jq .pending");
  }

  void run(Session& session) override {
    const auto stats = session.ask("GET", "/v1/stats");
    if (!stats || session.asked_for_json(*stats)) return;
    const auto count = [&](const char* name) { return stats->value(name, int64_t{0}); };
    Table jobs(
        {{"JOBS"}, {"NOW", Table::Align::right}, {"SINCE START"}, {"", Table::Align::right}});
    const auto row = [&](const char* state, Colour colour, const char* word, const char* total) {
      jobs.add({{state, count(state) ? colour : Colour::dim},
                grouped(count(state)),
                word,
                grouped(count(total))});
    };
    row("pending", Colour::none, "enqueued", "enqueued_total");
    row("running", Colour::cyan, "started", "started_total");
    row("completed", Colour::green, "completed", "completed_total");
    row("dead", Colour::red, "dead", "dead_total");
    row("cancelled", Colour::dim, "cancelled", "cancelled_total");
    const std::pair<const char*, const char*> more[] = {
        {"retried", "retried_total"},
        {"deferred", "deferred_total"},
        {"expired", "expired_total"},
        {"fired by schedules", "fired_total"},
        {"recovered at the start", "recovered_total"},
        {"quarantined at the start", "quarantined_total"}};
    for (const auto& [word, total] : more) {
      if (count(total) != 0) jobs.add({"", "", word, grouped(count(total))});
    }
    session.print(jobs.text(session.out) + "\n");
    if (!(*stats)["queues"].empty())
      session.print(queue_table((*stats)["queues"], session.out) + "\n");
    print_facts(session, *stats);
  }

  static void print_facts(Session& session, const Json& stats) {
    session.print_fact("file", format_size_human(stats.value("file_bytes", int64_t{0})) + " of " +
                     format_size_human(stats.value("max_bytes", int64_t{0})));
    session.print_fact("commits", grouped(stats.value("commits_total", int64_t{0})) + ", of which " +
                        grouped(stats.value("syncs_total", int64_t{0})) + " waited for the disk");
    std::string flash = format_size_human(stats.value("flash_day_bytes", int64_t{0})) + " written in the last 24 hours";
    if (const int64_t budget = stats.value("flash_budget", int64_t{0}); budget > 0) flash += " of " + format_size_human(budget);
    const int64_t gathered = stats.value("flash_gather_ms", int64_t{0});
    if (gathered > 0) flash += session.out.paint(", so that grouped jobs are gathered for " + format_duration_human(gathered), Colour::yellow);
    session.print_fact("flash", flash + "; " + format_size_human(stats.value("flash_total_bytes", int64_t{0})) + " since the file was made");
    session.print_fact("clock",
         stats.value("clock_trusted", false) ? "trusted" : "not trusted: cron and --at wait");
    const int64_t disk = stats.value("disk_full", int64_t{0});
    const char* const troubles[] = {"full: new jobs are refused, and nothing but deliveries runs", "full: nothing can be written", "the file system is read-only"};
    if (disk >= 1 && disk <= 3) session.print_fact("disk", session.out.paint(troubles[disk - 1], Colour::red) + ": see holdfast health");
    const int64_t safe = stats.value("safe_mode_left_ms", int64_t{0});
    if (safe > 0) {
      session.print_fact("safe mode", session.out.paint("nothing runs", Colour::red) + " for " + format_duration_human(safe) + ", after " +
                            grouped(stats.value("crashes_in_a_row", int64_t{0})) + " crashes: see holdfast health");
    }
    std::string lost;
    for (const Json& loss : stats.value("losses", Json::array())) {
      lost += (lost.empty() ? "" : ", ") + grouped(loss.value("total", int64_t{0})) + " " + clean(loss.value("cause", "")) + " (" +
              clean(loss.value("queue", "")) + ")";
    }
    if (!lost.empty()) session.print_fact("lost", lost);
    if (!stats.value("budgets", Json::array()).empty()) session.print_fact("link", clean(stats.value("link", "")) + ": see holdfast link show");
    const int64_t next = time_of(stats, "next_wake");
    session.print_fact("next wake",
         next ? stats.value("next_wake", "") + "  (" + time_in_words(next, wall_ms()) + ")"
              : "none");
  }
};

// One server-sent event a line of text.
class EventReader {
 public:
  explicit EventReader(std::function<void(const std::string& event, const std::string& data)> take)
      : take_(std::move(take)) {}
  void feed(std::string_view bytes) {
    buffer_ += bytes;
    for (size_t end; (end = buffer_.find('\n')) != std::string::npos; buffer_.erase(0, end + 1)) {
      const std::string line = buffer_.substr(0, end);
      if (line.starts_with("event: ")) event_ = line.substr(7);
      if (line.starts_with("data: ")) data_ = line.substr(6);
      if (!line.empty()) continue;
      if (!event_.empty()) take_(event_, data_);
      event_.clear();
      data_.clear();
    }
  }

 private:
  const std::function<void(const std::string&, const std::string&)> take_;
  std::string buffer_, event_, data_;
};

Colour change_colour(std::string_view change) {
  if (change == "completed") return Colour::green;
  if (change == "died" || change == "expired" || change == "displaced" || change == "disk_full" || change == "file_system_read_only") return Colour::red;
  if (change == "retried" || change == "deferred" || change == "runner_parked")
    return Colour::yellow;
  if (change == "started" || change == "delivering") return Colour::cyan;
  return Colour::none;
}

struct Watch : Command {
  std::string queue, type;
  int64_t id = 0;
  void describe(CLI::App& app) override {
    app.add_option("--queue", queue, "of this queue")->option_text("Q");
    app.add_option("--type", type, "of this type")->option_text("TYPE");
    app.add_option("--id", id, "of this job")->option_text("ID");
    app.footer(
        "What happens from now on, a line each, until it is interrupted.\n"
        "\n"
        "Examples:\n  holdfast watch\n  holdfast watch --queue slow --json");
  }

  void run(Session& session) override {
    std::string target = "/v1/watch?";
    if (!queue.empty()) target += "queue=" + percent_encode(queue) + "&";
    if (!type.empty()) target += "type=" + percent_encode(type) + "&";
    if (id > 0) target += "id=" + std::to_string(id) + "&";
    target.pop_back();
    bool lagged = false;
    EventReader reader([&](const std::string& event, const std::string& data) {
      lagged = lagged || event == "lagged";
      if (lagged) return;
      session.print(session.json ? data + "\n" : line_of(session, data));
      std::fflush(stdout);
    });
    const auto response = session.client().stream(target, [&](std::string_view bytes) {
      reader.feed(bytes);
      return !lagged && !std::ferror(stdout);
    });
    if (!response) return session.fail(response.error());
    if (lagged)
      return session.fail(kFailed, "events came faster than they were read: some are missing");
    if (response->ok()) return;  // the daemon stopped
    const Json answer = Json::parse(response->body, nullptr, false);
    if (!answer.is_object() || !answer.contains("error"))
      return session.fail(kFailed, "the daemon refused");
    session.fail(exit_code_of(std::string_view(answer["error"].value("code", ""))),
                 answer["error"].value("message", ""));
  }

  static std::string line_of(const Session& session, const std::string& data) {
    const Json event = Json::parse(data, nullptr, false);
    if (!event.is_object()) return "";
    const std::string change = event.value("change", "");
    std::string text = session.out.paint(event.value("time", "").substr(11, 8), Colour::dim) + "  ";
    text += session.out.paint(change, change_colour(change)) +
            std::string(change.size() < 13 ? 13 - change.size() : 1, ' ');
    if (event.contains("id")) text += std::to_string(event.value("id", int64_t{0})) + "  ";
    text += clean(event.value("type", ""));
    const std::string in = event.value("queue", "");
    if (!in.empty() && in != "default") text += clean(" in " + in);
    if (event.value("attempt", 0) > 1) text += ", try " + std::to_string(event.value("attempt", 0));
    if (event.contains("took_ms"))
      text += ", took " + format_duration_human(event.value("took_ms", int64_t{0}));
    if (event.contains("wait_ms"))
      text += ", again in " + duration_in_words(event.value("wait_ms", int64_t{0}));
    const std::string detail = clean(event.value("detail", ""));
    return text + (detail.empty() ? "" : ": " + detail) + "\n";
  }
};

struct Metrics : Command {
  void describe(CLI::App& app) override {
    app.footer("The text that Prometheus reads.\n\nExample:\n  holdfast metrics");
  }
  void run(Session& session) override {
    const auto response = session.client().request("GET", "/metrics");
    if (!response) return session.fail(response.error());
    if (response->ok() && !session.json) return session.print(response->body);
    if (response->ok())
      return session.fail(kUsage,
                          "metrics have a format of their own; `holdfast stats --json` is JSON");
    (void)session.ask("GET", "/metrics");  // says why
  }
};

struct ShowHealth : Command {
  void describe(CLI::App& app) override {
    app.footer(
        "The exit status is 1 if work cannot be done, or none can be taken.\n\nExample:\n  "
        "holdfast health");
  }
  void run(Session& session) override {
    const auto health = session.ask("GET", "/healthz");
    if (!health) return;
    const std::string status = health->value("status", "");
    if (status == "failing") session.exit_code = kFailed;
    if (session.asked_for_json(*health)) return;
    const Colour colour = status == "ok"        ? Colour::green
                          : status == "failing" ? Colour::red
                                                : Colour::yellow;
    session.print(session.out.paint(status, colour) + "\n");
    Table table({{"CHECK"}, {"STATE"}, {"WHY"}});
    for (const Json& check : (*health)["checks"]) {
      const bool ok = check.value("ok", false);
      table.add({check.value("name", ""),
                 {ok ? "ok" : "not ok", ok ? Colour::green : colour},
                 check.value("why", "")});
    }
    session.print(table.text(session.out, "  "));
  }
};

struct CheckFile : Command {
  void describe(CLI::App& app) override {
    app.footer(
        "Reads the whole queue file; the daemon does nothing else meanwhile. Damage is healed at once: the\n"
        "file is set aside, what reads of it goes on. The exit status is 1 if there was any.\n\nExample:\n  "
        "holdfast check");
  }
  void run(Session& session) override {
    const auto before = session.ask("GET", "/v1/stats");
    if (!before) return;
    const auto answer = session.ask("GET", "/v1/check", nullptr, 600'000);
    if (!answer) return;
    const bool ok = answer->value("ok", false);
    if (!ok) session.exit_code = kFailed;
    if (session.asked_for_json(*answer)) return;
    const std::string file = clean(answer->value("file", ""));
    if (ok) {
      session.print("the file is " + session.out.paint("sound", Colour::green) + ": " + file + "\n");
      return print_set_aside(session, *answer);
    }
    session.print("the file was " + session.out.paint("damaged", Colour::red) + ": " + file + "\n");
    session.print(indented(clean_lines(answer->value("problems", ""))));
    const auto stats = session.ask("GET", "/v1/stats");  // answered once it is healed
    if (!stats) return;
    const auto more_than_before = [&](const char* name) { return grouped(stats->value(name, int64_t{0}) - before->value(name, int64_t{0})); };
    const bool more = stats->value("salvage_lost_unknown", false);
    session.print("It was healed: " + more_than_before("salvaged_jobs") + " jobs saved, " + more_than_before("salvage_lost_jobs") + (more ? " or more" : "") + " lost.\n");
    const auto now_there = session.ask("GET", "/v1/check", nullptr, 600'000);
    if (!now_there) return;
    print_set_aside(session, *now_there);
    session.print(
        "\nWhat to do: flash that gives wrong bytes once does so again. Look into the system's log for errors of the\n"
        "device, and replace it. Jobs that were lost have to be enqueued anew by whoever made them.\n");
  }

 private:
  static std::string indented(const std::string& lines) {
    std::string out = "  ";
    for (char c : lines) out += c == '\n' ? std::string("\n  ") : std::string(1, c);
    return out + "\n";
  }
  static void print_set_aside(Session& session, const Json& answer) {
    if (!answer.contains("set_aside") || answer["set_aside"].empty()) return;
    session.print("Damaged files are kept beside it; remove them when nobody wants to look into them any more:\n");
    for (const Json& name : answer["set_aside"]) session.print("  " + clean(name.is_string() ? name.get<std::string>() : "") + "\n");
  }
};

struct BackUp : Command {
  std::string file;
  void describe(CLI::App& app) override {
    app.add_option("FILE", file, "the copy; it must not be there yet")->required();
    app.footer(
        "A whole and consistent copy, while work goes on.\n\nExample:\n  holdfast backup "
        "/var/backups/queue.db");
  }
  void run(Session& session) override {
    std::string path = file;
    char folder[PATH_MAX];
    if (path[0] != '/') {
      if (!getcwd(folder, sizeof folder))
        return session.fail(kFailed, "backup: the current folder cannot be read");
      path = std::string(folder) + "/" + path;
    }
    if (access(path.c_str(), F_OK) == 0) {
      return session.fail(kRefused, "backup: " + path + " is there already");
    }
    const auto answer = session.ask("POST", "/v1/backup", {{"path", path}}, 600'000);
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(clean(path) + "\n");
  }
};

struct EndSafeModeNow : Command {
  void describe(CLI::App& app) override {
    app.footer("Jobs run again at once. It would end by itself; `holdfast health` says when.\n\nExample:\n  holdfast end-safe-mode");
  }
  void run(Session& session) override {
    const auto stats = session.ask("GET", "/v1/stats");
    if (!stats) return;
    const auto answer = session.ask("POST", "/v1/safe-mode/end");
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(stats->value("safe_mode", false) ? "jobs run again\n" : "it was not on: jobs run\n");
  }
};

struct PruneJobs : Command {
  void describe(CLI::App& app) override {
    app.footer("Deletes finished jobs whose retention is over, now.\n\nExample:\n  holdfast prune");
  }
  void run(Session& session) override {
    const auto answer = session.ask("POST", "/v1/prune", nullptr, 600'000);
    if (!answer || session.asked_for_json(*answer)) return;
    const int64_t count = answer->value("deleted", int64_t{0});
    session.print(grouped(count) + (count == 1 ? " job deleted\n" : " jobs deleted\n"));
  }
};

struct Version : Command {
  void describe(CLI::App&) override {}
  void run(Session& session) override {
    if (!session.asked_for_json({{"version", HF_VERSION}}))
      session.print("holdfast " HF_VERSION "\n");
  }
};

struct Completion : Command {
  std::string shell;
  void describe(CLI::App& app) override {
    app.add_option("SHELL", shell, "bash")->required()->check(CLI::IsMember({"bash"}));
    app.footer("Example:\n  source <(holdfast completion bash)");
  }
  void run(Session& session) override { session.print(kCompletionBash); }
};

// Named in the interface, not there yet.
struct ToCome : Command {
  const char* message;
  explicit ToCome(const char* what) : message(what) {}
  void describe(CLI::App&) override {}
  void run(Session& session) override { session.fail(kFailed, message); }
};
struct Top : ToCome {
  Top()
      : ToCome{
            "top comes in a later version; `holdfast stats` and `holdfast watch` show what it "
            "will"} {}
};
struct Bundle : ToCome {
  Bundle()
      : ToCome{
            "bundle comes in a later version; `holdfast stats`, `health` and `list --state dead` "
            "say most of it"} {}
};

}  // namespace

void add_daemon_commands(CLI::App& app, Session& session) {
  const char* looking = "Looking after it";
  add_command<ShowStats>(app, session, "stats", "what there is and what was done", looking);
  add_command<Watch>(app, session, "watch", "what happens, as it happens", looking);
  add_command<ShowHealth>(app, session, "health", "whether all is well", looking);
  add_command<Metrics>(app, session, "metrics", "figures for Prometheus", looking);
  add_command<CheckFile>(app, session, "check", "look for damage in the queue file", looking);
  add_command<BackUp>(app, session, "backup", "copy the queue file", looking);
  add_command<EndSafeModeNow>(app, session, "end-safe-mode", "run jobs again after repeated crashes", looking);
  add_command<PruneJobs>(app, session, "prune", "delete what is kept no longer", looking);
  add_command<Top>(app, session, "top", "a live view (to come)", looking);
  add_command<Bundle>(app, session, "bundle", "all that support needs, in one file (to come)",
                      looking);
  add_command<Version>(app, session, "version", "the version", "Other");
  add_command<Completion>(app, session, "completion", "a completion script for a shell", "Other");
}

}  // namespace hf
