#include "apps/job_view.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/names.h"
#include "core/units.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

constexpr size_t kShownMax = 4096;  // bytes of a payload or result on the screen
constexpr size_t kPayloadMax = 16 << 20;  // the largest limits.max_payload

std::string number(const Json& job, const char* name) {
  return std::to_string(job.value(name, int64_t{0}));
}

// "2026-11-25T02:30:00Z (in 5h)"
std::string moment(const Json& object, const char* name, int64_t now_ms) {
  const int64_t ms = time_of(object, name);
  return ms == 0 ? "" : object.value(name, "") + "  (" + time_in_words(ms, now_ms) + ")";
}

// "job 3, 4", at most so many.
std::string after_in_words(const Json& job, size_t most) {
  if (!job.contains("after")) return "";
  std::string ids;
  for (const Json& id : job["after"]) {
    if (most-- == 0) return ids + ", …";
    ids += (ids.empty() ? "job " : ", ") + id.dump();
  }
  return ids;
}

// When something happened to it, or will.
std::string when(const Json& job, int64_t now_ms) {
  const std::string state = job.value("state", "");
  if (state == "pending" && job.contains("after")) return "after " + after_in_words(job, 2);
  const char* name = state == "pending" ? "due" : job.contains("finished") ? "finished" : "created";
  const int64_t ms = time_of(job, name);
  if (ms == 0) return "";
  if (state == "pending" && ms <= now_ms) return "now";
  return time_in_words(ms, now_ms);
}

class Page {
 public:
  explicit Page(const Terminal& terminal) : terminal_(terminal) {}
  void line(const std::string& name, const std::string& value, Colour colour = Colour::none) {
    if (value.empty()) return;
    const std::string padding(name.size() < 13 ? 13 - name.size() : 1, ' ');
    text_ +=
        terminal_.paint(name, Colour::dim) + padding + terminal_.paint(clean(value), colour) + "\n";
  }
  void block(const std::string& name, const std::string& bytes, int64_t size) {
    if (size == 0) return;
    text_ += "\n" + terminal_.paint(name, Colour::dim) + "  " + format_size_human(size) + "\n";
    if (!valid_utf8(bytes)) {
      text_ += "  (not text; --json gives it in base64)\n";
      return;
    }
    std::string_view rest = cut_utf8(bytes, kShownMax);
    const std::string shown = clean_lines(rest);
    rest = shown;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      text_ += "  " + std::string(rest.substr(0, end)) + "\n";
      rest = end == rest.npos ? "" : rest.substr(end + 1);
    }
    if (bytes.size() > kShownMax) text_ += "  (cut; --json gives all)\n";
  }
  void add(const std::string& text) { text_ += text; }
  std::string take() { return std::move(text_); }

 private:
  const Terminal& terminal_;
  std::string text_;
};

// Behind a line at its left, so that it is seen where it begins and ends.
std::string log_lines(const Json& of, const Terminal& terminal, const std::string& indent) {
  std::string text;
  const std::string shown = clean_lines(of.value("log", ""));
  for (std::string_view rest = shown; !rest.empty();) {
    text += indent + terminal.paint("|", Colour::dim) + " " + std::string(take_until(&rest, '\n')) + "\n";
  }
  return text;
}

std::string history_table(const Json& history, const Terminal& terminal, int64_t now_ms) {
  Table table({{"TRY", Table::Align::right},
               {"STARTED"},
               {"TOOK", Table::Align::right},
               {"OUTCOME"},
               {"ERROR"}});
  for (const Json& attempt : history) {
    const std::string outcome = attempt.value("outcome", "");
    const Colour colour = outcome == "done"       ? Colour::green
                          : outcome == "deferred" ? Colour::none
                                                  : Colour::red;
    const int64_t started = time_of(attempt, "started");
    table.add({number(attempt, "number") + (attempt.value("delivery", false) ? " (upload)" : ""),
               started ? time_in_words(started, now_ms) : "",
               format_duration_human(attempt.value("took_ms", int64_t{0})),
               {outcome, colour},
               attempt.value("error", "")});
  }
  // The log of each below its row, of which each has one line.
  const std::string rows = table.text(terminal, "  ");
  std::string_view rest = rows;
  std::string text = std::string(take_until(&rest, '\n')) + "\n";
  for (const Json& attempt : history) {
    text += std::string(take_until(&rest, '\n')) + "\n" + log_lines(attempt, terminal, "       ");
  }
  return text;
}

}  // namespace

std::string state_word(const Json& job) {
  if (job.value("delivering", false)) return "delivering";
  if (job.value("scheduled", false)) return "scheduled";
  return job.value("state", "");
}

Colour state_colour(std::string_view word) {
  if (word == "running" || word == "delivering") return Colour::cyan;
  if (word == "completed") return Colour::green;
  if (word == "dead") return Colour::red;
  if (word == "scheduled" || word == "cancelled") return Colour::dim;
  return Colour::none;
}

std::string bytes_of(const Json& object, const std::string& name) {
  if (object.contains(name)) return object.value(name, "");
  if (!object.contains(name + "_base64")) return "";
  auto bytes = base64_decode(object.value(name + "_base64", ""));
  return bytes ? *bytes : "";
}

int64_t time_of(const Json& object, const char* name) {
  if (!object.contains(name)) return 0;
  const auto ms = parse_time(object.value(name, ""));
  return ms ? *ms : 0;
}

std::string job_table(const Json& jobs, const Terminal& terminal, int64_t now_ms) {
  if (jobs.empty()) return "no jobs\n";
  Table table({{"ID", Table::Align::right},
               {"TYPE"},
               {"QUEUE"},
               {"STATE"},
               {"TRIES", Table::Align::right},
               {"WHEN"},
               {"TAGS"},
               {"ERROR"}});
  for (const Json& job : jobs) {
    const std::string word = state_word(job);
    table.add({number(job, "id"),
               job.value("type", ""),
               job.value("queue", ""),
               {word, state_colour(word)},
               number(job, "attempts") + "/" + number(job, "max_attempts"),
               when(job, now_ms),
               cut_to(clean(job.value("tags", "")), 24),
               job.value("error", "")});
  }
  return table.text(terminal);
}

std::string job_page(const Json& job, const Terminal& terminal, int64_t now_ms) {
  Page page(terminal);
  const std::string word = state_word(job);
  page.line("job", number(job, "id"), Colour::bold);
  page.line("type", job.value("type", ""));
  page.line("queue", job.value("queue", ""));
  page.line("state", word, state_colour(word));
  if (job.contains("progress") || job.contains("progress_note")) {
    page.line("progress", (job.contains("progress") ? number(job, "progress") + "%  " : "") + job.value("progress_note", ""));
  }
  page.line("tries", number(job, "attempts") + " of " + number(job, "max_attempts"));
  if (job.value("priority", 0) != 0) page.line("priority", number(job, "priority"));
  page.line("created", moment(job, "created", now_ms));
  page.line("due", moment(job, "due", now_ms));
  page.line("finished", moment(job, "finished", now_ms));
  page.line("expires", moment(job, "expires", now_ms));
  page.line("occurrence", moment(job, "occurrence", now_ms));
  page.line("after", after_in_words(job, HF_AFTER_MAX));
  for (const char* name :
       {"schedule", "sink", "callback", "failure_callback", "timeout", "tags", "unique_key", "concurrency_key", "key"}) {
    page.line(name, job.value(name, ""));
  }
  page.line("error", job.value("error", ""), Colour::red);
  page.block("payload", bytes_of(job, "payload"), job.value("payload_size", int64_t{0}));
  page.block("result", bytes_of(job, "result"), job.value("result_size", int64_t{0}));
  if (job.contains("history")) {
    page.add("\n" + terminal.paint("attempts", Colour::dim) + "\n" +
             history_table(job["history"], terminal, now_ms));
  }
  if (job.contains("log")) {
    page.add("\n" + terminal.paint("log", Colour::dim) + "  of attempt " + number(job, "attempts") + ", which runs\n" + log_lines(job, terminal, "  "));
  }
  return page.take();
}

std::string settings_page(const Json& settings, const Terminal& terminal) {
  Page page(terminal);
  for (const auto& [name, value] : settings.items()) page.line(name, value.is_string() ? value.get<std::string>() : value.dump());
  return page.take();
}

std::string why_page(const Json& why, const Terminal& terminal, int64_t now_ms) {
  std::string text = "job " + number(why, "id") + ": " + clean(why.value("summary", "")) + "\n";
  Table table({{"CLOSED GATE"}, {"OPENS"}, {"WHY"}});
  for (const Json& gate : why["gates"]) {
    const int64_t opens = time_of(gate, "opens");
    table.add({{gate.value("gate", ""), Colour::yellow},
               opens ? time_in_words(opens, now_ms) : "not known",
               gate.value("why", "")});
  }
  if (!table.empty()) text += "\n" + table.text(terminal, "  ");
  return text;
}

namespace {
Result<std::string> read_stream(std::FILE* file, const std::string& name) {
  std::string bytes;
  char buffer[16384];
  size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof buffer, file)) > 0) {
    bytes.append(buffer, got);
    if (bytes.size() > kPayloadMax) {
      return Error{HF_E_TOO_LARGE,
                   name + " is larger than any payload may be (" + format_size(kPayloadMax) + ")"};
    }
  }
  if (std::ferror(file)) return Error{HF_E_IO, name + ": " + std::strerror(errno)};
  return bytes;
}
}  // namespace

Result<std::string> read_payload(const std::string& argument) {
  if (argument == "-") return read_stream(stdin, "standard input");
  if (argument.empty() || argument[0] != '@') return argument;
  const std::string name = argument.substr(1);
  if (!name.empty() && name[0] == '@') return name;
  std::FILE* file = std::fopen(name.c_str(), "re");
  if (!file) return Error{HF_E_IO, "payload " + name + ": " + std::strerror(errno)};
  auto bytes = read_stream(file, name);
  std::fclose(file);
  return bytes;
}

void put_payload(Json* body, const std::string& bytes) {
  if (valid_utf8(bytes)) {
    (*body)["payload"] = bytes;
  } else {
    (*body)["payload_base64"] = base64_encode(bytes);
  }
}

void put_text(Json* body, const char* name, const std::string& text) {
  if (!text.empty()) (*body)[name] = text;
}

void JobOptions::describe(CLI::App& app) {
  app.add_option("--queue", queue, "the queue it waits in [default]")->option_text("Q");
  app.add_option("--priority", priority, "higher runs first, -1000 to 1000 [0]")->option_text("N");
  app.add_option("--max-attempts", max_attempts, "tries in all [the handler's, else 5]")
      ->option_text("N");
  app.add_option("--timeout", timeout, "of one run, or none [the handler's, else 5m]")
      ->option_text("5m");
  app.add_option("--ttl", ttl, "not run later than this after now")->option_text("1h");
  app.add_option("--sink", sink, "where its result is delivered [the handler's]")
      ->option_text("NAME");
  app.add_option("--callback", callback, "a sink that is told when it has completed, or job:TYPE, which is started then [the handler's]")
      ->option_text("NAME");
  app.add_option("--failure-callback", failure_callback, "the same, when it is dead [the handler's]")
      ->option_text("NAME");
  app.add_option("--concurrency-key", concurrency_key, "of those with this key one at a time, or key_concurrency of its queue")
      ->option_text("KEY");
  app.add_option("--durability", durability, "sync, grouped, memory or result [sync]")->option_text("HOW");
  app.add_option("--tags", tags, "free text, shown by list and show")->option_text("TEXT");
}

void JobOptions::put(Json* body) const {
  put_text(body, "queue", queue);
  put_text(body, "timeout", timeout);
  put_text(body, "ttl", ttl);
  put_text(body, "sink", sink);
  put_text(body, "callback", callback);
  put_text(body, "failure_callback", failure_callback);
  put_text(body, "tags", tags);
  put_text(body, "concurrency_key", concurrency_key);
  put_text(body, "durability", durability);
  if (priority) (*body)["priority"] = *priority;
  if (max_attempts) (*body)["max_attempts"] = *max_attempts;
}

}  // namespace hf
