#include "platform/metrics.h"

#include <holdfast.h>
#include <unistd.h>

#include <cstdio>
#include <initializer_list>
#include <utility>

#include "core/names.h"

namespace hf {
namespace {

// Seconds, or a bound of a bucket: as short as it is exact.
std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Exposition {
 public:
  // Begins a metric: the samples that follow are its own.
  void metric(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "holdfast_" + std::string(name);
    describe(type, help);
  }
  // One whose name is common to all programs.
  void common_metric(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    describe(type, help);
  }
  void sample(const std::string& value, Labels labels = {}, std::string_view suffix = "") {
    text_ += name_ + std::string(suffix);
    std::string_view before = "{";
    for (const auto& [name, label] : labels) {
      text_ += std::string(before) + std::string(name) + "=\"" + escape_label(label) + "\"";
      before = ",";
    }
    if (labels.size() > 0) text_ += '}';
    text_ += ' ' + value + '\n';
  }
  void one(std::string_view name, std::string_view type, std::string_view help, int64_t value) {
    metric(name, type, help);
    sample(std::to_string(value));
  }
  std::string take() { return std::move(text_); }

 private:
  void describe(std::string_view type, std::string_view help) {
    text_ += "# HELP " + name_ + ' ' + std::string(help) + '\n';
    text_ += "# TYPE " + name_ + ' ' + std::string(type) + '\n';
  }

  std::string name_;
  std::string text_;
};

void add_jobs(Exposition& out, const Stats& stats) {
  out.metric("jobs", "gauge", "Jobs in the file, by state.");
  for (int i = 0; i < kStates; ++i) {
    out.sample(std::to_string(stats.by_state[i]), {{"state", state_name(static_cast<State>(i))}});
  }
  const std::pair<std::string_view, std::pair<std::string_view, int64_t>> counters[] = {
      {"jobs_enqueued_total", {"Jobs taken since the start.", stats.enqueued}},
      {"runs_started_total", {"Runs and deliveries started since the start.", stats.started}},
      {"jobs_completed_total", {"Jobs completed since the start.", stats.completed}},
      {"runs_failed_total", {"Runs and deliveries that failed since the start.", stats.failed}},
      {"jobs_retried_total", {"Failed runs that are tried again, since the start.", stats.retried}},
      {"jobs_dead_total", {"Jobs that went to the dead letters since the start.", stats.dead}},
      {"runs_deferred_total",
       {"Runs put off with no attempt spent, since the start.", stats.deferred}},
      {"jobs_cancelled_total", {"Jobs cancelled since the start.", stats.cancelled}},
      {"jobs_expired_total", {"Jobs whose time to live was over, since the start.", stats.expired}},
      {"schedules_fired_total", {"Firings of schedules since the start.", stats.fired}},
      {"jobs_recovered_total",
       {"Jobs that a dead process left running.", stats.recovered}},
      {"jobs_quarantined_total",
       {"Of these: too often, so that they went to the dead letters.", stats.quarantined}},
  };
  for (const auto& [name, what] : counters) out.one(name, "counter", what.first, what.second);
}

void add_queues(Exposition& out, const Stats& stats) {
  if (stats.queues.empty()) return;
  out.metric("queue_jobs", "gauge", "Jobs of a queue, by state.");
  for (const QueueInfo& queue : stats.queues) {
    out.sample(std::to_string(queue.pending), {{"queue", queue.name}, {"state", "pending"}});
    out.sample(std::to_string(queue.running), {{"queue", queue.name}, {"state", "running"}});
  }
  out.metric("queue_paused", "gauge", "1 while the queue is paused.");
  for (const QueueInfo& queue : stats.queues) {
    out.sample(queue.paused ? "1" : "0", {{"queue", queue.name}});
  }
  out.metric("queue_concurrency", "gauge",
             "Runs at once that the queue allows; +Inf: no limit of its own.");
  for (const QueueInfo& queue : stats.queues) {
    out.sample(queue.settings.concurrency ? std::to_string(*queue.settings.concurrency) : "+Inf",
               {{"queue", queue.name}});
  }
}

void add_engine(Exposition& out, const Stats& stats) {
  out.one("ticks_total", "counter", "Turns of the engine.", stats.ticks);
  out.one("commits_total", "counter", "Transactions committed.", stats.commits);
  out.one("syncs_total", "counter", "Transactions that waited for the disk.", stats.synced_commits);
  out.one("file_bytes", "gauge", "Size of the queue file.", stats.file_bytes);
  out.one("flash_written_bytes_total", "counter", "Bytes written to the queue file and its log since it was made.", stats.flash_total_bytes);
  out.one("flash_day_bytes", "gauge", "Bytes written in the last 24 hours.", stats.flash_day_bytes);
  out.metric("flash_budget_bytes", "gauge", "What may be written in them before jobs are gathered; +Inf: as much as it takes.");
  out.sample(stats.flash_budget > 0 ? std::to_string(stats.flash_budget) : "+Inf", {});
  out.one("file_max_bytes", "gauge", "Size at which jobs are refused.", stats.max_bytes);
  out.one("jobs_max", "gauge", "Number of jobs at which more are refused.", stats.max_jobs);
  out.one("clock_trusted", "gauge", "1 while wall-clock work goes on.", stats.clock.trusted ? 1 : 0);
  out.one("clock_steps_total", "counter", "Steps of the wall clock that were seen.",
          stats.clock_steps);
  out.one("unclean_start", "gauge", "1 if the last process did not close the file.",
          stats.unclean_start ? 1 : 0);
  out.one("disk_full", "gauge", "1 while nothing is added for want of room, 2 while nothing can be written for want of it, 3 while the file system is read-only.", static_cast<int>(stats.room));
  out.one("safe_mode", "gauge", "1 while nothing runs, because the process ended again and again.",
          stats.safe_mode_left_ms > 0 ? 1 : 0);
  out.one("salvages_total", "counter", "Times that the file was found damaged and healed.", stats.salvages);
  out.one("log_losses_total", "counter", "Times that the log was found lost, cut short or another's.", stats.log_losses);
  out.one("salvaged_jobs", "gauge", "Jobs that were saved from damaged files.", stats.salvaged_jobs);
  out.one("salvage_lost_jobs", "gauge", "Jobs that were lost with damaged files, as far as they can be counted.",
          stats.salvage_lost_jobs);
  if (!stats.losses.empty()) {
    out.metric("lost_jobs_total", "counter", "What the queue gave up since the file was made; with cause log: how often, of what nobody knows.");
    for (const Loss& loss : stats.losses) out.sample(std::to_string(loss.total), {{"cause", loss_cause_name(loss.cause)}, {"queue", loss.queue}});
  }
  if (!stats.budgets.empty()) {
    out.metric("link_spent_bytes", "gauge", "What a link with a budget has sent and received: in the last 24 hours, in the last 31 days.");
    for (const BudgetInfo& budget : stats.budgets) {
      out.sample(std::to_string(budget.day_spent), {{"link", budget.spec.link}, {"span", "day"}});
      out.sample(std::to_string(budget.month_spent), {{"link", budget.spec.link}, {"span", "month"}});
    }
    out.metric("link_budget_bytes", "gauge", "What it may send and receive in them; +Inf: as much as it takes.");
    for (const BudgetInfo& budget : stats.budgets) {
      for (const auto& [span, bytes] : {std::pair("day", budget.spec.day_bytes), std::pair("month", budget.spec.month_bytes)}) {
        out.sample(bytes > 0 ? std::to_string(bytes) : "+Inf", {{"link", budget.spec.link}, {"span", span}});
      }
    }
    out.metric("link_in_use", "gauge", "1 if it is the link that there is.");
    for (const BudgetInfo& budget : stats.budgets) out.sample(budget.in_force ? "1" : "0", {{"link", budget.spec.link}});
  }
  if (!stats.conditions.empty()) {
    out.metric("condition_open", "gauge", "1 if the condition is open, as it was said last; 0: closed, or nobody has said.");
    for (const ConditionInfo& condition : stats.conditions) out.sample(condition.open ? "1" : "0", {{"condition", condition.spec.name}});
  }
  if (stats.next_wake_wall_ms != 0) {
    out.metric("next_wake_timestamp_seconds", "gauge", "When something is due next.");
    out.sample(number(static_cast<double>(stats.next_wake_wall_ms) / 1000));
  }
}

void add_peers(Exposition& out, const PeerReport& report) {
  if (report.peers.empty()) return;
  out.metric("tls_unverified", "gauge", "1 if the server is not verified, as it was configured.");
  for (const PeerTls& peer : report.peers) out.sample(peer.verified ? "0" : "1", {{"peer", peer.name}});
  if (!report.clock.trusted) return;
  out.metric("cert_days_left", "gauge", "Whole days until the first certificate ends: ours, an authority's that is configured, the server's as last seen.");
  for (const PeerTls& peer : report.peers) {
    for (size_t i = 0; i < kCertsOf.size(); ++i) {
      if (peer.ends[i] != 0) out.sample(std::to_string(days_until(peer.ends[i], report.clock.wall_ms)), {{"peer", peer.name}, {"which", kCertsOf[i]}});
    }
  }
}

void add_run_times(Exposition& out, const RunTimes& times) {
  out.metric("run_duration_seconds", "histogram", "How long runs and deliveries took.");
  const auto counts = times.cumulative();
  for (size_t i = 0; i < RunTimes::kBoundsMs.size(); ++i) {
    const std::string bound = number(static_cast<double>(RunTimes::kBoundsMs[i]) / 1000);
    out.sample(std::to_string(counts[i]), {{"le", bound}}, "_bucket");
  }
  out.sample(std::to_string(counts.back()), {{"le", "+Inf"}}, "_bucket");
  out.sample(number(times.sum_s()), {}, "_sum");
  out.sample(std::to_string(counts.back()), {}, "_count");
}

}  // namespace

void RunTimes::count(const Transition& transition) {
  switch (transition.change) {
    case Change::completed:
    case Change::delivering:
    case Change::retried:
    case Change::died:
      break;
    default:
      return;
  }
  size_t bucket = 0;
  while (bucket < kBoundsMs.size() && transition.took_ms > kBoundsMs[bucket]) ++bucket;
  ++counts_[bucket];
  sum_ms_ += transition.took_ms;
}

std::array<uint64_t, RunTimes::kBoundsMs.size() + 1> RunTimes::cumulative() const {
  auto counts = counts_;
  for (size_t i = 1; i < counts.size(); ++i) counts[i] += counts[i - 1];
  return counts;
}

int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (!file) return 0;
  long long size = 0;
  long long resident = 0;
  if (std::fscanf(file, "%lld %lld", &size, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

std::string prometheus_text(const Stats& stats, const RunTimes& times,
                            const ProcessFigures& process, const PeerReport& peers) {
  Exposition out;
  out.metric("build_info", "gauge", "1; the version is its label.");
  out.sample("1", {{"version", HF_VERSION}});
  add_jobs(out, stats);
  add_queues(out, stats);
  add_run_times(out, times);
  add_engine(out, stats);
  add_peers(out, peers);
  out.one("admin_clients", "gauge", "Connections to the admin socket.", process.clients);
  out.common_metric("process_start_time_seconds", "gauge",
                    "Start of the process, by the wall clock.");
  out.sample(number(static_cast<double>(process.start_wall_ms) / 1000));
  if (process.resident_bytes > 0) {
    out.common_metric("process_resident_memory_bytes", "gauge", "Memory in use.");
    out.sample(std::to_string(process.resident_bytes));
  }
  return out.take();
}

bool has_metrics() { return true; }

std::string escape_label(std::string_view value) {
  std::string text;
  while (!value.empty()) {
    const char c = value[0];
    size_t length = 1;
    if (c == '\\') {
      text += "\\\\";
    } else if (c == '"') {
      text += "\\\"";
    } else if (c == '\n') {
      text += "\\n";
    } else {
      // The longest of 1..4 bytes that is one character.
      while (length <= 4 && length <= value.size() && !valid_utf8(value.substr(0, length)))
        ++length;
      if (length > 4 || length > value.size()) {
        text += "\xef\xbf\xbd";
        length = 1;
      } else {
        text += value.substr(0, length);
      }
    }
    value.remove_prefix(length);
  }
  return text;
}

}  // namespace hf
