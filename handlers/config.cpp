#include "handlers/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/callbacks.h"
#include "core/cron.h"
#include "core/names.h"
#include "core/units.h"
#include "handlers/config_fields.h"
#include "handlers/limits_fields.h"
#include "handlers/target_check.h"
#include "platform/descriptor.h"
#include "platform/listen_socket.h"
#include "platform/net/url.h"
#include "platform/zones.h"

namespace hf {
namespace {

std::string reason(int error) {
  return std::strerror(error);
}

Result<std::string> read_file(const std::string& file) {
  const Descriptor in(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (in.fd < 0) {
    const int code = errno == ENOENT ? HF_E_NOT_FOUND : errno == EACCES ? HF_E_DENIED : HF_E_IO;
    return Error{code, file + ": " + reason(errno)};
  }
  struct stat info;
  if (fstat(in.fd, &info) != 0) return Error{HF_E_IO, file + ": " + reason(errno)};
  if (!S_ISREG(info.st_mode)) return Error{HF_E_INVALID, file + ": this is not a regular file"};
  std::string text(kConfigBytesMax + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(in.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{HF_E_IO, file + ": " + reason(errno)};
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kConfigBytesMax) {
    return Error{HF_E_TOO_LARGE, file + ": larger than " + format_size_human(kConfigBytesMax) +
                                     ", which is the limit of a configuration"};
  }
  text.resize(size);
  return text;
}

// ---- what needs other parts of the document, or other files
// ------------------------------------------

bool check_sink_name(const JsonValue& v, const Config& config) {
  std::vector<std::string_view> names;
  for (const SinkConfig& sink : config.sinks) {
    if (sink.name == v.node().text) return true;
    names.push_back(sink.name);
  }
  return v.fail(
      "there is no sink " + quoted(v.node().text) + did_you_mean(v.node().text, names) +
      (names.empty() ? " (\"sinks\" has none)" : " (\"sinks\" has: " + list_of(names) + ")"));
}

// Of a handler, queue or sink.
bool check_when(const JsonValue& object, const Config& config) {
  const auto when = member_of(object, "when");
  if (!when) return true;
  std::vector<std::string_view> names;
  for (const ConditionConfig& condition : config.conditions) names.push_back(condition.spec.name);
  names.insert(names.end(), config.other_conditions.begin(), config.other_conditions.end());
  for (size_t i = 0; i < when->node().items.size(); ++i) {
    const JsonValue v = when->item(i);
    if (std::find(names.begin(), names.end(), v.node().text) != names.end()) continue;
    return v.fail("there is no condition " + quoted(v.node().text) + did_you_mean(v.node().text, names) +
                  (names.empty() ? " (\"conditions\" has none)" : " (\"conditions\" has: " + list_of(names) + ")"));
  }
  return true;
}

// Of a handler, schedule or subscription.
bool check_named_sinks(const JsonValue& object, const Config& config) {
  if (const auto sink = member_of(object, "sink"); sink && !check_sink_name(*sink, config)) return false;
  for (const char* key : {"callback", "failure_callback"}) {
    const auto told = member_of(object, key);
    if (!told || starts_job(told->node().text)) continue;
    if (!check_sink_name(*told, config)) return false;
    const auto sink = std::find_if(config.sinks.begin(), config.sinks.end(), [&](const SinkConfig& s) { return s.name == told->node().text; });
    if (!sink->files.root.empty()) return told->fail("sink " + quoted(sink->name) + " takes files (\"files\"): a callback is none");
  }
  return true;
}

// A program as execvp would find it.
bool check_program(const JsonValue& argv, const std::string& program) {
  const JsonValue first = argv.item(0);
  struct stat info;
  if (program.find('/') != std::string::npos) {
    if (stat(program.c_str(), &info) != 0)
      return first.fail(quoted(program, 200) + ": " + reason(errno));
    if (!S_ISREG(info.st_mode)) return first.fail(quoted(program, 200) + ": this is not a program");
    if (access(program.c_str(), X_OK) != 0) {
      return first.fail(quoted(program, 200) + ": " + reason(errno) + " (is it executable?)");
    }
    return true;
  }
  const char* path = getenv("PATH");
  std::string_view rest = path ? path : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string file = std::string(rest.substr(0, colon)) + "/" + program;
    if (access(file.c_str(), X_OK) == 0) return true;
    rest = colon == rest.npos ? "" : rest.substr(colon + 1);
  }
  return first.fail(quoted(program, 200) +
                    ": there is no such program in the search path; its full path is meant");
}

bool check_conditions(const JsonValue& section, Config& config) {
  if (config.of == ConfigOf::another) return true;
  for (size_t i = 0; i < config.conditions.size(); ++i) {
    const JsonValue object = section.member(i);
    const auto argv = member_of(object, "exec");
    if (argv && !check_program(*argv, config.conditions[i].exec[0])) return false;
  }
  return true;
}

bool check_handlers(const JsonValue& section, Config& config) {
  for (size_t i = 0; i < config.handlers.size(); ++i) {
    HandlerConfig& handler = config.handlers[i];
    const JsonValue object = section.member(i);
    const bool here = config.of == ConfigOf::this_device;
    if (handler.is_exec()) {
      const auto argv = member_of(object, "exec");
      if (here && !check_program(*argv, handler.exec[0])) return false;
    } else {
      const auto http = member_of(object, "http");
      if (!check_target(*http, handler.http, config)) return false;
    }
    if (const auto cwd = member_of(object, "cwd"); here && cwd && access(handler.cwd.c_str(), X_OK) != 0) {
      return cwd->fail(quoted(handler.cwd, 200) + ": " + reason(errno));
    }
    if (here && !find_limits(object, &handler.limits)) return false;
    if (!check_named_sinks(object, config) || !check_when(object, config)) return false;
  }
  return true;
}

// Where there is no database of zones at all, nothing says that the name is wrong: a device whose tzdata was lost does the
// rest of its work.
bool check_zone(const JsonValue& place, const std::string& zone) {
  const SystemZones zones;
  const auto found = zones.find(zone);
  if (found) return true;
  if (found.error().code != HF_E_NOT_FOUND || !zones.names().empty()) return place.fail(found.error().message);
  place.warn(found.error().message + "; what goes by it waits until it is there");
  return true;
}
// Of windows.
bool check_zone(const JsonValue& object, const std::optional<std::string>& zone) {
  return !zone || check_zone(*member_of(object, "tz"), *zone);
}

bool check_queues(const JsonValue& section, Config& config) {
  int keep = 0;
  for (size_t i = 0; i < config.queues.size(); ++i) {
    const JsonValue object = section.member(i);
    if (config.queues[i].settings.keeps() && ++keep > kQueuesKeepMax) {
      return object.fail("it has a retention of its own, as " + std::to_string(kQueuesKeepMax) + " queues before it have; the limit is " + std::to_string(kQueuesKeepMax));
    }
    if (!check_zone(object, config.queues[i].settings.zone) || !check_when(object, config)) return false;
  }
  return true;
}

// Perhaps it is on a card that is not there at the moment.
bool check_root(const JsonValue& sink, const std::string& root) {
  const auto files = member_of(sink, "files");
  const auto value = member_of(*files, "root");
  struct stat info;
  if (stat(root.c_str(), &info) != 0) {
    value->warn(quoted(root, 200) + ": " + reason(errno) + "; uploads wait until it can be opened");
    return true;
  }
  return S_ISDIR(info.st_mode) || value->fail(quoted(root, 200) + ": this is not a folder");
}

bool check_sinks(const JsonValue& section, Config& config) {
  for (size_t i = 0; i < config.sinks.size(); ++i) {
    const JsonValue object = section.member(i);
    SinkConfig& sink = config.sinks[i];
    if (!check_zone(object, sink.queue.zone) || !check_when(object, config)) return false;
    if (is_broker_url(sink.http.url)) {
      if (!check_broker(object, sink, config)) return false;
      continue;
    }
    for (const auto& [name, url] : {std::pair("mqtt", "mqtts://"), std::pair("nats", "tls://")}) {
      if (const auto broker = member_of(object, name))
        return broker->fail(std::string("it is for a broker: the URL begins with ") + url + " then");
    }
    if (!check_target(object, sink.http, config)) return false;
    const std::string& root = sink.files.root;
    if (!root.empty() && config.of == ConfigOf::this_device && !check_root(object, root)) return false;
  }
  return true;
}

// What the core says again, of schedules that come another way; here it has its place.
bool check_times(const JsonValue& object, const ScheduleSpec& schedule, const CronExpr& line) {
  const auto slack = member_of(object, "slack"), start = member_of(object, "start"), end = member_of(object, "end");
  const bool every = line.kind() == CronLine::Kind::every;
  if (slack && every && schedule.slack_ms >= line.every_ms()) {
    return slack->fail("of " + quoted(schedule.cron) + " the slack has to be less than its period");
  }
  if ((start || end) && line.kind() != CronLine::Kind::calendar) {
    return (start ? start : end)->fail("this is for lines of the calendar; " + quoted(schedule.cron) + " goes by elapsed time");
  }
  return !start || !end || schedule.end_wall_ms > schedule.start_wall_ms || end->fail("it is not after \"start\"");
}

bool check_schedules(const JsonValue& section, Config& config) {
  for (size_t i = 0; i < config.schedules.size(); ++i) {
    const ScheduleSpec& schedule = config.schedules[i];
    const JsonValue object = section.member(i);
    const auto cron = member_of(object, "cron");
    const auto line = CronExpr::parse(schedule.cron);
    if (!line) return cron->fail(line.error().message);
    if (!check_times(object, schedule, *line)) return false;
    if (const auto tz = member_of(object, "tz")) {
      if (!line->zone_name().empty())
        return tz->fail("the cron line names a zone of its own: one of them");
      if (!check_zone(*tz, schedule.zone)) return false;
    } else if (!line->zone_name().empty() && !check_zone(*cron, line->zone_name())) {
      return false;
    }
    if (!check_named_sinks(object, config)) return false;
  }
  return true;
}

bool check_subscriptions(const JsonValue& section, Config& config) {
  for (size_t i = 0; i < config.subscriptions.size(); ++i) {
    if (!check_named_sinks(section.member(i), config)) return false;
  }
  return true;
}

bool check_link(const JsonValue& link, Config& config) {
  const auto file = member_of(link, "file");
  if (!file) return true;
  const std::string& name = config.link.file;
  if (name[0] != '/' || name.back() == '/') return file->fail("expected the full path of a file");
  const std::string folder = name.substr(0, std::max<size_t>(name.rfind('/'), 1));
  struct stat info;
  if (config.of == ConfigOf::another || (stat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode))) return true;
  return file->fail("there is no folder " + quoted(folder, 200) + ": the file need not be there yet, its folder must");
}

bool check_losses(const JsonValue& losses, Config& config) { return check_sink_name(*member_of(losses, "sink"), config); }

bool check_group(const JsonValue& admin, Config& config) {
  const auto group = member_of(admin, "group");
  if (!group || config.of == ConfigOf::another) return true;
  const auto found = group_id(config.admin.group);
  return found || group->fail(found.error().message);
}

// What is named in it is read, too.
bool check_config(const JsonValue& document, Config& config) {
  using Check = bool (*)(const JsonValue&, Config&);
  static constexpr std::pair<const char*, Check> kChecks[] = {{"conditions", check_conditions},
                                                              {"handlers", check_handlers},
                                                              {"queues", check_queues},
                                                              {"sinks", check_sinks},
                                                              {"schedules", check_schedules},
                                                              {"subscriptions", check_subscriptions},
                                                              {"link", check_link},
                                                              {"losses", check_losses},
                                                              {"admin", check_group}};
  for (const auto& [name, check] : kChecks) {
    const auto section = member_of(document, name);
    if (section && !check(*section, config)) return false;
  }
  return true;
}

}  // namespace

bool SignConfig::operator==(const SignConfig& other) const {
  if (names != other.names || !keys != !other.keys) return false;
  return !keys || std::equal(keys->begin(), keys->end(), other.keys->begin(), other.keys->end(),
                             [](const Secret& a, const Secret& b) { return a.bytes() == b.bytes(); });
}

bool SecretConfig::operator==(const SecretConfig& other) const {
  if (name != other.name || !secret != !other.secret) return false;
  return !secret || secret->bytes() == other.secret->bytes();
}

Result<Config> parse_config(std::string_view text, const std::string& file, ConfigOf of, const std::vector<std::string>& other_conditions) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) {
    return Error{HF_E_INVALID, file + ": the file is empty: expected a JSON object, {} at least"};
  }
  const auto tree = parse_json(text);
  if (!tree) return Error{HF_E_INVALID, file + ":" + tree.error().message};
  JsonReport report(file);
  const JsonValue document(*tree, report);
  Config config;
  config.file = file;
  config.of = of;
  config.other_conditions = other_conditions;
  if (!read_config(document, &config) || !check_config(document, config)) return report.error();
  config.warnings = report.warnings();
  return config;
}

Result<Config> load_config(const std::string& file, ConfigOf of, const std::vector<std::string>& other_conditions) {
  auto text = read_file(file);
  if (!text) return text.error();
  return parse_config(*text, file, of, other_conditions);
}

}  // namespace hf
