// A configuration file: read twice it says the same, written compactly it says the same, and what is
// wrong with it is told with its place.
#include "handlers/config.h"
#include "platform/json_tree.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

constexpr std::string_view kFile = "holdfast.json:";

bool same(const Config& a, const Config& b) {
  const auto same_queue = [](const QueueConfig& x, const QueueConfig& y) {
    return x.name == y.name && x.settings.concurrency == y.settings.concurrency;
  };
  const auto numbers = [](const Limits& l) {
    return std::vector<int64_t>{l.concurrency,       l.max_payload,  l.max_jobs,             l.max_bytes,
                                l.keep_completed_ms, l.keep_dead_ms, l.keep_completed_count, l.keep_dead_count};
  };
  return a.database == b.database && a.socket == b.socket && a.device == b.device && a.handlers == b.handlers &&
         a.sinks == b.sinks && std::equal(a.queues.begin(), a.queues.end(), b.queues.begin(), b.queues.end(), same_queue) &&
         a.schedules == b.schedules && numbers(a.limits) == numbers(b.limits) && a.admin == b.admin &&
         a.log_level == b.log_level && a.stop_grace_ms == b.stop_grace_ms && a.warnings.size() == b.warnings.size();
}

// The message behind "holdfast.json:LINE[:COLUMN]: ".
std::string_view without_place(std::string_view message) {
  must(message.starts_with(kFile));
  return message.substr(message.find(' '));
}

void check_meaning(const Config& config) {
  for (const HandlerConfig& handler : config.handlers) {
    must(check_name("job type", handler.type).ok());
    must(handler.exec.empty() != handler.http.url.empty());  // one of the two
    must(handler.concurrency >= 0 && handler.defer_ms >= 0 && handler.kill_grace_ms >= 0);
    for (const int code : {-1, 0, 256}) must(!handler.on_exit.of(code));
    for (const int status : {0, 199, 600}) must(!handler.http.on_status.of(status));
  }
  for (const SinkConfig& sink : config.sinks) must(check_name("sink", sink.name) && !sink.http.url.empty());
  for (const ScheduleSpec& schedule : config.schedules) must(check_name("schedule", schedule.name).ok());
  for (const std::string& warning : config.warnings) must(valid_utf8(warning) && warning.starts_with(kFile));
}

}  // namespace

HF_FUZZ(input) {
  const std::string_view text = input.rest();
  const std::string file(kFile.substr(0, kFile.size() - 1));
  const auto config = parse_config(text, file);
  const auto again = parse_config(text, file);
  must(config.ok() == again.ok());
  const auto tree = parse_json(text);
  if (config) {
    must(tree.ok() && same(*config, *again));
    check_meaning(*config);
    const auto compact = parse_config(compact_json(*tree), file);
    must(compact && same(*config, *compact));
    return;
  }
  must_be_told(config.error());
  must(config.error().code == HF_E_INVALID && config.error().message == again.error().message);
  must(config.error().message.starts_with(kFile));
  if (!tree) return;
  const auto compact = parse_config(compact_json(*tree), file);
  must(!compact && without_place(compact.error().message) == without_place(config.error().message));
}
