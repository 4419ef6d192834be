// serve: the daemon. The main thread waits for signals; all else has threads of its own.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "apps/command.h"
#include "core/units.h"
#include "handlers/apply_config.h"
#include "platform/admin.h"
#include "platform/code_pages.h"
#include "platform/host.h"
#include "platform/sd_notify.h"

namespace hf {
namespace {

// ---- signals

sigset_t awaited_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// Waits at most wait_ms, or for ever if that is 0. 0: the time is over.
int next_signal(int64_t wait_ms) {
  const sigset_t set = awaited_signals();
  for (;;) {
    const struct timespec time = {static_cast<time_t>(wait_ms / 1000),
                                  static_cast<long>(wait_ms % 1000) * 1000000};
    const int signal =
        wait_ms > 0 ? sigtimedwait(&set, nullptr, &time) : sigwaitinfo(&set, nullptr);
    if (signal > 0) return signal;
    if (errno == EAGAIN) return 0;
  }
}

// ---- the daemon

struct Settings {
  std::string config_file, database, socket;
};

constexpr int64_t kSettle_ms = 500;  // so long after the start nothing that only it needed is under way

class Daemon {
 public:
  Daemon(Settings settings, Config config)
      : settings_(std::move(settings)),
        config_(std::move(config)),
        log_(descriptor_sink(STDERR_FILENO,
                             is_journal_stream(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))),
             config_.log_level),
        manager_(std::getenv("NOTIFY_SOCKET")) {}

  Status run() {
    HF_TRY(start());
    const int64_t watchdog_ms =
        watchdog_interval_ms(std::getenv("WATCHDOG_USEC"), std::getenv("WATCHDOG_PID"), getpid()) /
        2;
    host_->nudge();
    bool settling = true;  // it has started, or read its configuration: its threads have their first turns
    for (;;) {
      const int64_t settled_ms = watchdog_ms > 0 ? std::min(watchdog_ms, kSettle_ms) : kSettle_ms;
      const int signal = next_signal(settling ? settled_ms : watchdog_ms);
      if (signal == 0) {
        if (watchdog_ms > 0) ping();
        if (std::exchange(settling, false)) let_go_of_code();
      } else if (signal == SIGHUP) {
        reload();
        settling = true;
      } else {
        return stop(signal);
      }
    }
  }

 private:
  Status start() {
    HostOptions options;
    options.device = config_.device;
    options.limits = config_.limits;
    options.clock = config_.clock.options;  // from the first turn on
    if (options.limits.concurrency == 0) options.limits.concurrency = Limits().concurrency;
    options.log = log_;
    auto host = Host::open(config_.database, std::move(options));
    if (!host) return host.error();
    host_ = std::move(*host);
    for (const std::string& warning : config_.warnings) log_.warn("config", {{"note", warning}});
    HF_TRY(apply_config(*host_, config_, nullptr));
    AdminOptions admin;
    admin.group = config_.admin.group;
    admin.open_view = config_.admin.open_view;
    admin.max_clients = config_.admin.max_clients;
    admin.listen_fd =
        systemd_listen_fd(std::getenv("LISTEN_PID"), std::getenv("LISTEN_FDS"), getpid());
    auto server = AdminServer::start(*host_, config_.socket, admin);
    if (!server) return server.error();
    server_ = std::move(*server);
    HF_TRY(host_->start());
    log_.info("ready", {{"version", HF_VERSION},
                        {"database", config_.database},
                        {"socket", config_.socket},
                        {"device", host_->device()},
                        {"handlers", config_.handlers.size()},
                        {"sinks", config_.sinks.size()},
                        {"schedules", config_.schedules.size()}});
    manager_.ready();
    return ok_status();
  }

  // Tells the manager that we live, if both threads went round since the last time, or the engine is at long work.
  void ping() {
    const Host::Pulse pulse = host_->pulse();
    if (pulse.alive_since(last_)) manager_.watchdog();
    last_ = pulse;
    host_->nudge();
  }

  void reload() {
    manager_.reloading();
    const Status reloaded = reload_config();
    if (!reloaded) {
      log_.error("reload_refused",
                 {{"reason", reloaded.error().message}, {"configuration", "the old one stays"}});
    }
    manager_.ready();
  }

  Status reload_config() {
    if (settings_.config_file.empty())
      return Error{HF_E_STATE, "the daemon was started without --config"};
    auto loaded = load_config(settings_.config_file);
    if (!loaded) return loaded.error();
    Config next = std::move(*loaded);
    settle(&next, settings_);
    // What was opened at the start stays as it is.
    const std::pair<const char*, bool> fixed[] = {{"database", next.database != config_.database},
                                                  {"socket", next.socket != config_.socket},
                                                  {"device", next.device != config_.device},
                                                  {"admin", next.admin != config_.admin}};
    for (const auto& [key, changed] : fixed) {
      if (changed) log_.warn("config", {{"note", std::string(key) + " changes at the next start"}});
    }
    next.database = config_.database;
    next.socket = config_.socket;
    next.device = config_.device;
    next.admin = config_.admin;
    for (const std::string& warning : next.warnings) log_.warn("config", {{"note", warning}});
    HF_TRY(apply_config(*host_, next, &config_));
    log_.set_lowest(next.log_level);
    config_ = std::move(next);
    log_.info("reloaded", {{"handlers", config_.handlers.size()},
                           {"sinks", config_.sinks.size()},
                           {"schedules", config_.schedules.size()}});
    return ok_status();
  }

  Status stop(int signal) {
    manager_.stopping();
    log_.info("stopping", {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"},
                           {"grace", format_duration(config_.stop_grace_ms)}});
    // Who presses ^C again does not want to wait: the file is safe without us.
    sigset_t again;
    sigemptyset(&again);
    sigaddset(&again, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &again, nullptr);
    // On a disk that cannot be written runs are not handed back here; the next start finds that they were interrupted.
    const Status stopped = host_->stop(config_.stop_grace_ms);
    if (!stopped) log_.warn("stop_failed", {{"error", stopped.error().message}});
    server_.reset();
    host_->close();
    log_.info("stopped");
    return ok_status();
  }

 public:
  // Fills in what was given on the command line, and the defaults.
  static void settle(Config* config, const Settings& settings) {
    if (!settings.database.empty()) config->database = settings.database;
    if (config->database.empty()) config->database = kDefaultDatabase;
    if (!settings.socket.empty()) config->socket = settings.socket;
    const char* variable = std::getenv("HOLDFAST_SOCKET");
    if (config->socket.empty() && variable) config->socket = variable;
    if (config->socket.empty()) config->socket = kDefaultSocket;
  }

 private:
  const Settings settings_;
  Config config_;  // what holds now
  Logger log_;
  SdNotify manager_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<AdminServer> server_;  // ends before the host
  Host::Pulse last_;
};

struct Serve : Command {
  Settings settings;
  bool check = false;

  void describe(CLI::App& app) override {
    app.add_option("--config", settings.config_file, "the configuration, a JSON file")
        ->option_text("FILE");
    app.add_option(
           "--db", settings.database,
           "the queue file [the configuration's, else " + std::string(kDefaultDatabase) + "]")
        ->option_text("FILE");
    app.add_flag("--check", check, "check the configuration, and that is all");
    app.footer(
        "SIGHUP reads the configuration again; a bad one is refused and the old one stays. SIGTERM "
        "and ^C stop\n"
        "it: running jobs have stop_grace to end, then they are handed back with no attempt "
        "spent.\n"
        "\n"
        "Examples:\n"
        "  holdfast serve --config /etc/holdfast/holdfast.json\n"
        "  holdfast serve --config holdfast.json --db ./queue.db --socket ./holdfast.sock\n"
        "  holdfast serve --config holdfast.json --check");
  }

  void run(Session& session) override {
    settings.socket = session.socket_option;
    Config config;
    if (!settings.config_file.empty()) {
      auto loaded = load_config(settings.config_file);
      if (!loaded) return session.fail(kFailed, loaded.error().message);
      config = std::move(*loaded);
    }
    if (check) return report_check(session, config);
    Daemon::settle(&config, settings);
    // Before any thread is there, so that all of them leave these to us. What jobs start has them
    // open again.
    const sigset_t set = awaited_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    Daemon daemon(settings, std::move(config));
    const Status ended = daemon.run();
    if (!ended) session.fail(ended.error());
  }

  void report_check(Session& session, const Config& config) const {
    if (settings.config_file.empty())
      return session.fail(kUsage, "serve --check: --config is missing");
    if (session.json) {
      (void)session.asked_for_json({{"ok", true}, {"warnings", config.warnings}});
      return;
    }
    for (const std::string& warning : config.warnings)
      session.print("warning: " + clean(warning) + "\n");
    const std::string subscriptions =
        config.subscriptions.empty() ? "" : ", " + std::to_string(config.subscriptions.size()) + " subscriptions";
    session.print(settings.config_file + ": ok (" + std::to_string(config.handlers.size()) +
                  " handlers, " + std::to_string(config.sinks.size()) + " sinks, " +
                  std::to_string(config.schedules.size()) + " schedules" + subscriptions + ")\n");
  }
};

}  // namespace

void add_serve_command(CLI::App& app, Session& session) {
  add_command<Serve>(app, session, "serve", "the daemon", "The daemon");
}

}  // namespace hf
