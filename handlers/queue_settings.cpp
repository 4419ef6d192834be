// What a configuration says of queues.
#include "core/names.h"
#include "handlers/apply_config.h"

namespace hf {
namespace {

void take_retention(QueueSettings& to, const QueueSettings& from) {
  to.keep_completed_ms = from.keep_completed_ms;
  to.keep_dead_ms = from.keep_dead_ms;
  to.keep_completed_count = from.keep_completed_count;
  to.keep_dead_count = from.keep_dead_count;
}

}  // namespace

std::map<std::string, QueueSettings> queue_settings(const Config& config) {
  std::map<std::string, QueueSettings> queues;
  for (const QueueConfig& queue : config.queues) queues[queue.name] = queue.settings;
  for (const SinkConfig& sink : config.sinks) queues[std::string(kSinkPrefix) + sink.name] = sink.queue;
  return queues;
}

std::map<std::string, QueueSettings> queue_settings(const Config& config, const Config* kept) {
  std::map<std::string, QueueSettings> queues = queue_settings(config);
  for (auto& [name, settings] : queues) take_retention(settings, {});
  if (kept == nullptr) return queues;
  for (const QueueConfig& queue : kept->queues) {
    if (queue.settings.keeps()) take_retention(queues[queue.name], queue.settings);
  }
  return queues;
}

}  // namespace hf
