// add, list, show, why, wait, cancel, retry, rm, edit
#include "apps/command.h"
#include "apps/job_view.h"
#include "core/names.h"
#include "core/units.h"
#include "platform/clock.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

constexpr int64_t kPollMs = 60'000;  // one long poll

std::string job_path(const std::string& id, const char* verb = "") {
  return "/v1/jobs/" + percent_encode(id) + verb;
}

// Byte for byte, but a terminal's prompt begins on a line of its own.
void print_result(const Session& session, const std::string& result) {
  session.print(result);
  if (session.out.is_tty && !result.empty() && result.back() != '\n') session.print("\n");
}

// Waits until the job is final, or the time is over (< 0: never); says what came of it.
void wait_and_tell(Session& session, const std::string& id, int64_t timeout_ms) {
  const int64_t until = boot_ms() + timeout_ms;
  for (;;) {
    const int64_t left =
        timeout_ms < 0 ? kPollMs : std::min(kPollMs, std::max<int64_t>(0, until - boot_ms()));
    const auto job = session.ask("GET", job_path(id, "/wait?timeout=") + format_duration(left),
                                 nullptr, left + 30'000);
    if (!job) return;
    const std::string state = job->value("state", "");
    const bool final = state == "completed" || state == "dead" || state == "cancelled";
    if (!final && (timeout_ms < 0 || boot_ms() < until)) continue;
    if (!session.asked_for_json(*job) && final) print_result(session, bytes_of(*job, "result"));
    if (state == "completed") return;
    std::string message =
        "job " + id + " is " + (final ? state : "not finished: " + state_word(*job));
    if (job->contains("error")) message += ": " + job->value("error", "");
    return session.fail(kFailed, message);
  }
}

// What add and schedule put say about their jobs alike is in job_options.h; these are for one job.
struct Add : Command {
  std::string payload;
  JobOptions options;
  std::string type, delay, at, unique, unique_by, unique_for, on_conflict, debounce_max, after_failure;
  std::vector<int64_t> after;
  bool wait = false;

  void describe(CLI::App& app) override {
    app.add_option("TYPE", type, "what runs it: the name of a handler")->required();
    app.add_option("PAYLOAD", payload, "text, @FILE, or - for standard input");
    app.add_option("--delay", delay, "due so long from now")->option_text("30s");
    app.add_option("--at", at, "due at this time")->option_text("TIME");
    options.describe(app);
    app.add_option("--unique", unique, "at most one unfinished job with this key")
        ->option_text("KEY");
    app.add_option("--unique-by", unique_by, "payload: at most one unfinished job of this type with this payload")
        ->option_text("payload");
    app.add_option("--unique-for", unique_for, "and none for so long after it")->option_text("1h");
    app.add_option("--on-conflict", on_conflict, "if there is one: keep, replace, reject, debounce, keep_last")
        ->option_text("WHAT");
    app.add_option("--debounce-max", debounce_max, "with debounce: due so long after the first one at the latest")
        ->option_text("1h");
    app.add_option("--after", after, "wait until these jobs have completed")->option_text("ID,...")->delimiter(',')->check(CLI::PositiveNumber);
    app.add_option("--after-failure", after_failure, "if one of them does not: dead, or run all the same [dead]")->option_text("WHAT");
    app.add_flag("--wait", wait, "wait until it is finished, print its result");
    app.footer(
        "Prints the job's id. With --wait: its result, and the exit status is 0 if it completed, 1 "
        "if not.\n"
        "\n"
        "Examples:\n"
        "  holdfast add report '{\"day\": \"2026-11-24\"}'\n"
        "  holdfast add upload @measurements.bin --queue slow --priority 5\n"
        "  df -h | holdfast add mail - --delay 10m\n"
        "  holdfast add report --unique daily-report --wait\n"
        "  holdfast add merge --after 17,18");
  }

  void run(Session& session) override {
    Json body = {{"type", type}};
    if (!payload.empty()) {
      auto bytes = read_payload(payload);
      if (!bytes)
        return session.fail(bytes.error().code == HF_E_IO ? kFailed : kRefused,
                            bytes.error().message);
      put_payload(&body, *bytes);
    }
    options.put(&body);
    put_text(&body, "delay", delay);
    put_text(&body, "at", at);
    put_text(&body, "unique_key", unique);
    put_text(&body, "unique_by", unique_by);
    put_text(&body, "unique_for", unique_for);
    put_text(&body, "on_conflict", on_conflict);
    put_text(&body, "debounce_max", debounce_max);
    if (!after.empty()) body["after"] = after;
    put_text(&body, "after_failure", after_failure);
    const auto answer = session.ask("POST", "/v1/jobs", body);
    if (!answer) return;
    const std::string id = std::to_string(answer->value("id", int64_t{0}));
    if (wait) return wait_and_tell(session, id, -1);
    if (!session.asked_for_json(*answer)) session.print(id + "\n");
  }
};

struct ListJobs : Command {
  std::string state, queue, type;
  int limit = 50;
  int64_t after = 0;

  void describe(CLI::App& app) override {
    app.add_option("--state", state,
                   "pending, ready, scheduled, running, completed, dead, cancelled")
        ->option_text("STATE");
    app.add_option("--queue", queue, "of this queue")->option_text("Q");
    app.add_option("--type", type, "of this type")->option_text("TYPE");
    app.add_option("--limit", limit, "at most so many, 1 to 1000 [50]")->option_text("N");
    app.add_option("--after", after, "go on behind this job, as the end of a page says")
        ->option_text("ID");
    app.footer(
        "Newest first.\n"
        "\n"
        "Examples:\n"
        "  holdfast list\n"
        "  holdfast list --state dead --type report\n"
        "  holdfast list --json | jq '.jobs[].id'");
  }

  void run(Session& session) override {
    std::string target = "/v1/jobs?limit=" + std::to_string(limit);
    for (const auto& [name, value] :
         {std::pair("state", &state), std::pair("queue", &queue), std::pair("type", &type)}) {
      if (!value->empty()) target += "&" + std::string(name) + "=" + percent_encode(*value);
    }
    if (after > 0) target += "&after=" + std::to_string(after);
    const auto answer = session.ask("GET", target);
    if (!answer || session.asked_for_json(*answer)) return;
    session.print(job_table((*answer)["jobs"], session.out, wall_ms()));
    if (answer->contains("next")) {
      session.print(session.out.paint(
          "more: --after " + std::to_string(answer->value("next", int64_t{0})) + "\n",
          Colour::dim));
    }
  }
};

struct Show : Command {
  std::string id;
  void describe(CLI::App& app) override {
    app.add_option("ID", id, "the job")->required();
    app.footer("Example:\n  holdfast show 42");
  }
  void run(Session& session) override {
    const auto job = session.ask("GET", job_path(id));
    if (!job || session.asked_for_json(*job)) return;
    session.print(job_page(*job, session.out, wall_ms()));
  }
};

struct WhyJob : Command {
  std::string id;
  void describe(CLI::App& app) override {
    app.add_option("ID", id, "the job")->required();
    app.footer(
        "Names each gate that is closed for a job that waits, and when it may open.\n"
        "\n"
        "Example:\n  holdfast why 42");
  }
  void run(Session& session) override {
    const auto why = session.ask("GET", job_path(id, "/why"));
    if (!why || session.asked_for_json(*why)) return;
    session.print(why_page(*why, session.out, wall_ms()));
  }
};

struct Wait : Command {
  std::string id, timeout;
  void describe(CLI::App& app) override {
    app.add_option("ID", id, "the job")->required();
    app.add_option("--timeout", timeout, "give up after so long")->option_text("5m");
    app.footer(
        "Prints the job's result. The exit status is 0 if it completed, 1 if it is dead, "
        "cancelled, or not\n"
        "finished in time.\n"
        "\n"
        "Example:\n  holdfast wait $(holdfast add report) --timeout 5m");
  }
  void run(Session& session) override {
    int64_t timeout_ms = -1;
    if (!timeout.empty()) {
      const auto parsed = parse_duration(timeout);
      if (!parsed) return session.fail(kUsage, "--timeout: " + parsed.error().message);
      timeout_ms = *parsed;
    }
    wait_and_tell(session, id, timeout_ms);
  }
};

// Does the same to each; goes on after a failure, whose exit status is the command's.
void for_each_job(Session& session, const std::vector<std::string>& ids, const char* method,
                  const char* verb) {
  Json done = Json::array();
  for (const std::string& id : ids) {
    const auto answer = session.ask(method, job_path(id, verb));
    if (answer) done.push_back(answer->value("id", int64_t{0}));
  }
  (void)session.asked_for_json({{"ids", std::move(done)}});
}

struct CancelJobs : Command {
  std::vector<std::string> ids;
  void describe(CLI::App& app) override {
    app.add_option("ID", ids, "the jobs")->required();
    app.footer(
        "A job that runs is asked to end; its program is killed if it does not.\n"
        "\n"
        "Example:\n  holdfast cancel 42 43");
  }
  void run(Session& session) override { for_each_job(session, ids, "POST", "/cancel"); }
};

// For the program of a run, which has the three of its environment.
struct ReportProgress : Command {
  std::string id, note, log, checkpoint;
  int attempt = 0, percent = 0;
  CLI::App* self = nullptr;
  void describe(CLI::App& app) override {
    self = &app;
    app.add_option("ID", id, "the job [$HOLDFAST_JOB_ID]")->envname("HOLDFAST_JOB_ID")->required();
    app.add_option("--attempt", attempt, "which run speaks [$HOLDFAST_ATTEMPT]")->envname("HOLDFAST_ATTEMPT")->required()->option_text("N");
    app.add_option("--percent", percent, "how far it has got")->option_text("0-100");
    app.add_option("--note", note, "what it is doing, for show and list")->option_text("TEXT");
    app.add_option("--log", log, "a line for the log of the run, shown with its attempt")->option_text("TEXT");
    app.add_option("--checkpoint", checkpoint, "what the next attempt gets as $HOLDFAST_CHECKPOINT: text, @FILE, or - for standard input")
        ->option_text("TEXT");
    app.footer(
        "For the program of a job, while it runs. Each call is a sign of life for the handler's heartbeat. Fails if\n"
        "the run is over: then the program has been given up, and should end.\n"
        "\n"
        "Examples:\n  holdfast progress --percent 40 --note \"4 of 10 files\"\n  holdfast progress --log \"file 4 has no date\"\n"
        "  holdfast progress --checkpoint \"$last_file\"\n  holdfast progress");
  }
  void run(Session& session) override {
    const auto given = [this](const char* name) { return self->get_option(name)->count() > 0; };
    std::optional<Json> answer;
    if (given("--checkpoint")) {
      auto bytes = read_payload(checkpoint);
      if (!bytes) return session.fail(kFailed, bytes.error().message);
      answer = session.ask("POST", job_path(id, "/checkpoint"), {{"attempt", attempt}, {"checkpoint", *bytes}});
      if (!answer) return;
    }
    if (given("--log")) {
      answer = session.ask("POST", job_path(id, "/log"), {{"attempt", attempt}, {"line", log}});
      if (!answer) return;
    }
    Json body = {{"attempt", attempt}};
    if (given("--percent")) body["percent"] = percent;
    if (given("--note")) body["note"] = note;
    if (!answer || body.size() > 1) answer = session.ask("POST", job_path(id, "/progress"), body);
    if (answer) (void)session.asked_for_json(*answer);
  }
};

struct RetryJobs : Command {
  std::vector<std::string> ids;
  bool all_dead = false;
  std::string queue, type, over;
  void describe(CLI::App& app) override {
    auto* jobs = app.add_option("ID", ids, "the jobs");
    auto* dead = app.add_flag("--all-dead", all_dead, "every dead letter")->excludes(jobs);
    app.add_option("--queue", queue, "... of this queue")->option_text("Q")->needs(dead);
    app.add_option("--type", type, "... of this type")->option_text("TYPE")->needs(dead);
    app.add_option("--over", over, "they become due spread over so long, not all at once")->option_text("10m")->needs(dead);
    app.footer(
        "Dead and cancelled jobs are pending again, with all their attempts; pending ones are due "
        "now.\n"
        "\n"
        "Examples:\n  holdfast retry 42\n  holdfast retry --all-dead\n  holdfast retry --all-dead --type upload --over 1h");
  }
  void run(Session& session) override {
    if (!all_dead && ids.empty())
      return session.fail(kUsage, "retry: an ID is missing, or --all-dead");
    if (!all_dead) return for_each_job(session, ids, "POST", "/retry");
    std::string target = "/v1/jobs/retry-dead?limit=" + std::to_string(kRetryAllMax);
    for (const auto& [name, value] : {std::pair("queue", &queue), std::pair("type", &type), std::pair("over", &over)}) {
      if (!value->empty()) target += "&" + std::string(name) + "=" + percent_encode(*value);
    }
    int64_t total = 0;
    // As long as there are more than one call takes: what dies again at once is not retried again.
    for (int64_t more = kRetryAllMax; more == kRetryAllMax; total += more) {
      const auto answer = session.ask("POST", target);
      if (!answer) return;
      more = answer->value("retried", int64_t{0});
    }
    if (session.asked_for_json({{"retried", total}})) return;
    session.print(std::to_string(total) + (total == 1 ? " job is" : " jobs are") +
                  " pending again\n");
  }
};

struct RemoveJobs : Command {
  std::vector<std::string> ids;
  void describe(CLI::App& app) override {
    app.add_option("ID", ids, "the jobs")->required();
    app.footer("A job that runs is not removed: cancel it first.\n\nExample:\n  holdfast rm 42");
  }
  void run(Session& session) override { for_each_job(session, ids, "DELETE", ""); }
};

struct EditJob : Command {
  std::string id, payload, delay, at, tags;
  int priority = 0;
  int max_attempts = 0;
  CLI::App* self = nullptr;
  void describe(CLI::App& app) override {
    self = &app;
    app.add_option("ID", id, "the job")->required();
    app.add_option("--payload", payload, "text, @FILE, or - for standard input")
        ->option_text("PAYLOAD");
    app.add_option("--priority", priority, "higher runs first, -1000 to 1000")->option_text("N");
    app.add_option("--delay", delay, "due so long from now")->option_text("30s");
    app.add_option("--at", at, "due at this time")->option_text("TIME");
    app.add_option("--max-attempts", max_attempts, "tries in all")->option_text("N");
    app.add_option("--tags", tags, "free text; \"\" takes them away")->option_text("TEXT");
    app.footer(
        "For a job that does not run and is not completed.\n"
        "\n"
        "Examples:\n  holdfast edit 42 --priority 10 --delay 0s\n  holdfast edit 42 --payload "
        "@fixed.json && holdfast retry 42");
  }
  void run(Session& session) override {
    const auto given = [this](const char* name) { return self->get_option(name)->count() > 0; };
    Json body = Json::object();
    if (given("--payload")) {
      auto bytes = read_payload(payload);
      if (!bytes) return session.fail(kFailed, bytes.error().message);
      put_payload(&body, *bytes);
    }
    if (given("--priority")) body["priority"] = priority;
    if (given("--delay")) body["delay"] = delay;
    if (given("--at")) body["at"] = at;
    if (given("--max-attempts")) body["max_attempts"] = max_attempts;
    if (given("--tags")) body["tags"] = tags;
    if (body.empty())
      return session.fail(kUsage, "edit: say what to change, such as --priority 10");
    const auto answer = session.ask("PATCH", job_path(id), body);
    if (answer) (void)session.asked_for_json(*answer);
  }
};

}  // namespace

void add_job_commands(CLI::App& app, Session& session) {
  const char* group = "Jobs";
  add_command<Add>(app, session, "add", "put a job into the queue", group);
  add_command<ListJobs>(app, session, "list", "jobs, newest first", group);
  add_command<Show>(app, session, "show", "all about one job", group);
  add_command<WhyJob>(app, session, "why", "why a job does not run", group);
  add_command<Wait>(app, session, "wait", "wait for a job and print its result", group);
  add_command<CancelJobs>(app, session, "cancel", "cancel jobs", group);
  add_command<ReportProgress>(app, session, "progress", "say how far a run has got, from its program", group);
  add_command<RetryJobs>(app, session, "retry", "run dead jobs again", group);
  add_command<RemoveJobs>(app, session, "rm", "delete jobs", group);
  add_command<EditJob>(app, session, "edit", "change a job that waits", group);
}

}  // namespace hf
