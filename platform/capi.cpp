// The C API over the Host: engines and jobs that come in. Jobs that are there: capi_jobs.cpp. Handlers are registered in capi_handlers.cpp; what
// they call is in capi_job.cpp. Queues: capi_queues.cpp.
#include "platform/capi.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include "core/names.h"
#include "core/rate.h"
#include "core/units.h"

namespace hf::capi {

// ---- handles -------------------------------------------------------------------------------------------

namespace {

// A hf_engine * is no address but a slot and a generation, so that a handle that was closed is recognised for good
// (well, for four million opens of the same slot on 32 bits).
struct Slot {
  std::mutex mutex;
  uintptr_t generation = 1;
  std::shared_ptr<Engine> engine;
};
std::array<Slot, HF_ENGINES_MAX> slots;
constexpr unsigned kSlotBits = 6;
static_assert(HF_ENGINES_MAX == 1 << kSlotBits);

hf_engine* handle_of(size_t slot, uintptr_t generation) {
  return reinterpret_cast<hf_engine*>(generation << kSlotBits | slot);
}

Error full() { return Error{HF_E_FULL, std::to_string(HF_ENGINES_MAX) + " engines are open (HF_ENGINES_MAX)"}; }

bool has_room() {
  for (Slot& slot : slots) {
    std::lock_guard lock(slot.mutex);
    if (!slot.engine) return true;
  }
  return false;
}

Result<hf_engine*> add(std::shared_ptr<Engine> engine) {
  for (size_t i = 0; i < slots.size(); ++i) {
    std::lock_guard lock(slots[i].mutex);
    if (slots[i].engine) continue;
    slots[i].engine = std::move(engine);
    return handle_of(i, slots[i].generation);
  }
  return full();
}

std::shared_ptr<Engine> take(hf_engine* handle) {
  uintptr_t value = reinterpret_cast<uintptr_t>(handle);
  Slot& slot = slots[value & (HF_ENGINES_MAX - 1)];
  std::lock_guard lock(slot.mutex);
  if (slot.generation != value >> kSlotBits || !slot.engine) return nullptr;
  ++slot.generation;
  return std::move(slot.engine);
}

struct LastError {
  hf_engine* handle = nullptr;
  std::string message;
};
thread_local LastError last_error;
thread_local int callbacks_here = 0;

}  // namespace

bool in_callback() { return callbacks_here > 0; }
CallbackScope::CallbackScope() { ++callbacks_here; }
CallbackScope::~CallbackScope() { --callbacks_here; }

std::shared_ptr<Engine> find(hf_engine* handle) {
  uintptr_t value = reinterpret_cast<uintptr_t>(handle);
  Slot& slot = slots[value & (HF_ENGINES_MAX - 1)];
  {
    std::lock_guard lock(slot.mutex);
    if (slot.engine && slot.generation == value >> kSlotBits) return slot.engine;
  }
  fail(handle, HF_E_STATE, handle == nullptr ? "the engine is null" : "the engine is closed");
  return nullptr;
}

int fail(hf_engine* handle, const Error& error) {
  last_error = {handle, error.message};
  return error.code;
}
int fail(hf_engine* handle, int code, std::string message) {
  last_error = {handle, std::move(message)};
  return code;
}
int thrown(hf_engine* handle) noexcept {
  last_error.handle = handle;
  last_error.message.clear();
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return HF_E_NO_MEMORY;
  } catch (...) {
    return HF_E_INTERNAL;
  }
}
int answer(hf_engine* handle, const Status& status) { return status ? HF_OK : fail(handle, status.error()); }

namespace {

Result<ClockOptions> clock_of(const hf_clock_options* given) {
  hf_clock_options c = HF_CLOCK_OPTIONS_INIT;
  if (given != nullptr && !import(given, &c, sizeof c, sizeof(size_t))) {
    return Error{HF_E_INVALID, "struct_size of the clock options is not set; begin with HF_CLOCK_OPTIONS_INIT"};
  }
  ClockOptions o;
  o.rule.plausible = c.confirmed_only == 0;
  o.kernel = c.ignore_kernel == 0;
  if (c.sync_file != nullptr) o.sync_file = c.sync_file;
  if (!o.sync_file.empty() && o.sync_file[0] != '/') return Error{HF_E_INVALID, "sync_file is " + quoted(o.sync_file) + ", and not an absolute path"};
  if (c.holdover_ms != 0) o.rule.holdover_ms = c.holdover_ms == -1 ? 0 : c.holdover_ms;
  if (c.floor_unix_ms != 0) o.rule.floor_ms = c.floor_unix_ms;
  o.rule.ceiling_ms = c.ceiling_unix_ms;
  HF_TRY(validate(o.rule));
  return o;
}

Result<HostOptions> options_of(const hf_options* given, int& workers) {
  hf_options c = HF_OPTIONS_INIT;
  if (given != nullptr && !import(given, &c, sizeof c, sizeof(size_t))) {
    return Error{HF_E_INVALID, "struct_size of the options is not set; begin with HF_OPTIONS_INIT"};
  }
  HostOptions o;
  if (c.device != nullptr) o.device = c.device;
  workers = c.workers == 0 ? 4 : c.workers == HF_NO_WORKERS ? 0 : c.workers;
  if (workers < 0 || workers > 256) return not_allowed("workers", c.workers, "1 to 256, or HF_NO_WORKERS (-1)");
  o.limits.concurrency = c.concurrency;
  o.limits.max_payload = c.max_payload;
  o.limits.max_jobs = c.max_jobs;
  o.limits.max_bytes = c.max_bytes;
  o.limits.keep_completed_ms = c.keep_completed_ms;
  o.limits.keep_dead_ms = c.keep_dead_ms;
  o.limits.keep_completed_count = c.keep_completed_count;
  o.limits.keep_dead_count = c.keep_dead_count;
  o.limits.crash_loop = c.crash_loop;
  o.limits.ballast = c.ballast;
  o.limits.grouped_within_ms = c.grouped_within_ms;
  o.limits.flash_budget = c.flash_budget;
  if (c.when_full < HF_FULL_REJECT || c.when_full > HF_FULL_COALESCE) return Error{HF_E_INVALID, "when_full is no value of hf_when_full"};
  o.limits.when_full = static_cast<WhenFull>(c.when_full);
  if (c.page_size != 0) o.page_size = c.page_size;
  o.seed = c.seed;
  if (c.vfs != nullptr) o.vfs = c.vfs;
  Result<ClockOptions> clock = clock_of(c.clock);
  if (!clock) return Error{clock.error().code, "clock: " + clock.error().message};
  o.clock = std::move(*clock);
  o.log = logger_of(c.log, c.log_user);
  return o;
}

int close_engine(std::shared_ptr<Engine> engine) {
  engine->host->begin_close();
  {
    // Whoever serves or applies a configuration at the moment ends first; whoever comes later is refused.
    std::lock_guard config_lock(engine->config_mutex);
    std::vector<std::function<void()>> closers;
    {
      std::lock_guard lock(engine->mutex);
      engine->closing = true;
      closers.swap(engine->closers);
    }
    for (auto it = closers.rbegin(); it != closers.rend(); ++it) (*it)();
  }
  engine->ends->stop_all();
  engine->workers->join();  // C handlers that still run
  engine->ends->close();
  engine->host->close();
  if (engine->host_loop) engine->host_loop->close();
  return HF_OK;
}

}  // namespace

int may_wait(hf_engine* handle, Engine& engine, const char* why_not) {
  return engine.host->loop().on_loop_thread() ? fail(handle, HF_E_THREAD, why_not) : HF_OK;
}

int may_configure(hf_engine* handle, Engine& engine) {
  static constexpr const char* kWhyNot = "this call reads files and waits for the disk; it cannot be made in a callback";
  return engine.host->on_engine_thread() ? fail(handle, HF_E_THREAD, kWhyNot) : may_wait(handle, engine, kWhyNot);
}

}  // namespace hf::capi

using namespace hf;
using namespace hf::capi;

// ---- errors ----------------------------------------------------------------------------------------------

extern "C" const char* hf_strerror(int code) {
#define HF_CASE(name, value, api, text) case name: return text;
  switch (code) {
    HF_ERRORS(HF_CASE)
    default: return "unknown error";
  }
#undef HF_CASE
}

extern "C" const char* hf_errname(int code) {
#define HF_CASE(name, value, api, text) case name: return #name;
  switch (code) {
    HF_ERRORS(HF_CASE)
    default: return nullptr;
  }
#undef HF_CASE
}

extern "C" const char* hf_errmsg(hf_engine* handle) {
  return last_error.handle == handle ? last_error.message.c_str() : "";
}
extern "C" const char* hf_version(void) { return HF_VERSION; }
extern "C" void hf_free(void* memory) { std::free(memory); }

// ---- opening and closing -----------------------------------------------------------------------------------

extern "C" int hf_open(const char* path, const hf_options* opts, hf_engine** out) try {
  if (out == nullptr) return fail(nullptr, HF_E_INVALID, "out is null");
  *out = nullptr;
  if (path == nullptr) return fail(nullptr, HF_E_INVALID, "path is null");
  int workers = 0;
  Result<HostOptions> options = options_of(opts, workers);
  if (!options) return fail(nullptr, options.error());
  if (!has_room()) return fail(nullptr, full());  // before a file is made for nothing
  auto engine = std::make_shared<capi::Engine>();
  Result<std::unique_ptr<Host>> host = Host::open(path, std::move(*options));
  if (!host) return fail(nullptr, host.error());
  engine->host = std::move(*host);
  engine->workers = std::make_unique<Workers>(workers);
  Host* raw = engine->host.get();  // until RunEnds::close()
  engine->ends = std::make_shared<RunEnds>(
      [raw](Op op) { (void)raw->submit(std::move(op), [](Request&) {}); },  // progress, a line of the log: may be lost
      [raw](RunEnded&& ended) { raw->end_run(std::move(ended)); }, [raw](RunEnded&& ended) { raw->end_run_here(std::move(ended)); },
      [weak = std::weak_ptr(engine)](Op op) -> Reply {
        auto alive = weak.lock();
        return alive ? alive->host->call(std::move(op)) : Error{HF_E_STATE, "the engine is closed"};
      },
      [raw] { return raw->limits().max_payload; }, raw->stuck_runs());
  raw->stuck_runs()->set_threads(workers);  // none: how many there are of the program's is not known
  Result<hf_engine*> handle = add(engine);
  if (!handle) {
    close_engine(std::move(engine));
    return fail(nullptr, handle.error());
  }
  *out = *handle;
  return HF_OK;
} HF_NO_THROW(nullptr)

extern "C" int hf_start(hf_engine* handle) try {
  auto engine = find(handle);
  return engine ? answer(handle, engine->host->start()) : HF_E_STATE;
} HF_NO_THROW(handle)

extern "C" int hf_start_on(hf_engine* handle, void* uv_loop) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  std::lock_guard lock(engine->mutex);
  if (engine->host_loop) {
    if (engine->host_loop->loop() != uv_loop) return fail(handle, HF_E_STATE, "it was started on another loop before, and holds a handle there");
    return answer(handle, engine->host->start());
  }
  Result<std::shared_ptr<HostLoop>> bridge = HostLoop::create(uv_loop);
  if (!bridge) return fail(handle, bridge.error());
  engine->on_host_loop.store(true, std::memory_order_release);  // first: what a handler asks for that runs by then waits for us
  Status started = engine->host->start();
  if (started) {
    engine->host_loop = std::move(*bridge);
  } else {
    (*bridge)->close();
    engine->on_host_loop.store(false, std::memory_order_release);
  }
  return answer(handle, started);
} HF_NO_THROW(handle)

extern "C" int hf_stop(hf_engine* handle, int64_t grace_ms) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (on_handler_thread()) return fail(handle, HF_E_THREAD, "hf_stop waits for the handlers; it cannot be called from one");
  if (grace_ms < 0) return fail(handle, HF_E_INVALID, "grace_ms is " + std::to_string(grace_ms) + "; allowed is 0 and more");
  return answer(handle, engine->host->stop(grace_ms, [&] {
    if (engine->workers->has_threads()) return;
    // Nobody need come for what waits for hf_work(): it is not waited for.
    engine->ends->drop_waiting();
    engine->workers->run_waiting();
  }));
} HF_NO_THROW(handle)

extern "C" int hf_close(hf_engine* handle) try {
  if (handle == nullptr) return HF_OK;
  if (on_handler_thread() || in_callback()) return fail(handle, HF_E_THREAD, "hf_close waits for handlers and callbacks; it cannot be called from one");
  std::shared_ptr<capi::Engine> engine = take(handle);
  if (!engine) return fail(handle, HF_E_STATE, "the engine is closed");
  return close_engine(std::move(engine));
} HF_NO_THROW(handle)

// ---- jobs --------------------------------------------------------------------------------------------------

extern "C" int hf_enqueue_many(hf_engine* handle, const hf_job_spec* specs, size_t n, hf_job_id* out) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (int code = may_wait(handle, *engine); code != HF_OK) return code;
  if (specs == nullptr) return fail(handle, HF_E_INVALID, "specs is null");
  if (n < 1 || n > HF_ENQUEUE_MANY_MAX) return fail(handle, HF_E_INVALID, "n is " + std::to_string(n) + "; allowed is 1 to 10000 (HF_ENQUEUE_MANY_MAX)");
  Enqueue event;
  event.specs.reserve(n);
  // An array of an older program's structs has that program's size as its stride.
  size_t stride = specs->struct_size;
  for (size_t i = 0; i < n; ++i) {
    const void* bytes = reinterpret_cast<const char*>(specs) + i * stride;
    auto* at = static_cast<const hf_job_spec*>(bytes);
    if (Status ok = read_spec(at, &event.specs.emplace_back()); !ok) {
      return fail(handle, ok.error().code, n > 1 ? "job " + std::to_string(i) + ": " + ok.error().message : ok.error().message);
    }
  }
  std::vector<JobId> ids;
  int code = ask(handle, *engine, std::move(event), &ids);
  if (code == HF_OK && out != nullptr) std::copy(ids.begin(), ids.end(), out);
  return code;
} HF_NO_THROW(handle)

extern "C" int hf_enqueue(hf_engine* handle, const hf_job_spec* spec, hf_job_id* out) try {
  if (spec == nullptr) return find(handle) ? fail(handle, HF_E_INVALID, "the job spec is null") : HF_E_STATE;
  return hf_enqueue_many(handle, spec, 1, out);
} HF_NO_THROW(handle)

namespace {
// All that the answer to a hf_enqueue_async() needs: what was taken is told, also when there is no memory. Closures that hold no more
// than its address need none.
struct AsyncCall {
  int code = HF_OK;
  hf_job_id id = 0;
  hf_enqueued_fn done;
  void* user;
  Host* to;
  bool asked_on_loop;
  std::shared_ptr<HostLoop> host_loop = nullptr;
  LoopPoster::Prepared task = {};

  static void tell(AsyncCall* raw) {
    const std::unique_ptr<AsyncCall> call(raw);
    CallbackScope scope;
    call->done(call->code, call->id, call->user);
  }
  // On the engine thread. Owns itself from here on.
  void answered(const Request& request) {
    if (auto* error = std::get_if<Error>(&request.reply)) {
      code = error->code;
    } else if (auto* ids = std::get_if<std::vector<JobId>>(&request.reply)) {
      id = ids->front();
    }
    if (const auto host = std::move(host_loop)) {
      host->post(std::move(task));  // may have told, and freed it, when it returns
    } else {
      to->answer_on_loop(std::move(task), asked_on_loop);
    }
  }
};

// Memory for the spec of a hf_enqueue_async(), which came back with the one before. A thread may call from what ends after this, such as
// the destructor of a global: then there is none.
thread_local bool spec_memory_gone = false;
struct SpecMemory {
  std::vector<JobSpec> specs;  // empty
  ~SpecMemory() { spec_memory_gone = true; }
};
thread_local SpecMemory spec_memory;
}  // namespace

extern "C" int hf_enqueue_async(hf_engine* handle, const hf_job_spec* given, hf_enqueued_fn done, void* user) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (done == nullptr) return fail(handle, HF_E_INVALID, "done is null");
  Op event = Enqueue{spec_memory_gone ? std::vector<JobSpec>() : std::move(spec_memory.specs)};
  if (Status ok = read_spec(given, &std::get<Enqueue>(event).specs.emplace_back()); !ok) return fail(handle, ok.error());
  auto call = std::make_unique<AsyncCall>(AsyncCall{.done = done, .user = user, .to = engine->host.get(), .asked_on_loop = engine->host->loop().on_loop_thread()});
  if (engine->on_host_loop.load(std::memory_order_acquire)) {
    std::lock_guard lock(engine->mutex);
    call->host_loop = engine->host_loop;
  }
  call->task = engine->host->loop().prepare_again([raw = call.get()] { AsyncCall::tell(raw); });
  const Status taken = engine->host->submit(std::move(event), [raw = call.get()](Request& request) { raw->answered(request); });
  if (taken) (void)call.release();  // the answer has it
  if (auto* before = taken && !spec_memory_gone ? std::get_if<Enqueue>(&event) : nullptr) {
    spec_memory.specs = std::move(before->specs);
    spec_memory.specs.clear();
  }
  return answer(handle, taken);
} HF_NO_THROW(handle)

// ---- schedules, queues ---------------------------------------------------------------------------------------


extern "C" int hf_schedule_put(hf_engine* handle, const hf_schedule_spec* given) try {
  if (given == nullptr) return find(handle) ? fail(handle, HF_E_INVALID, "the schedule spec is null") : HF_E_STATE;
  hf_schedule_spec c = HF_SCHEDULE_SPEC_INIT;
  if (!import(given, &c, sizeof c, offsetof(hf_schedule_spec, job) + offsetof(hf_job_spec, queue))) {
    return fail(handle, HF_E_INVALID, "struct_size of the schedule spec is not set; begin with HF_SCHEDULE_SPEC_INIT");
  }
  if (c.name == nullptr || c.cron == nullptr) return fail(handle, HF_E_INVALID, c.name == nullptr ? "name is null" : "cron is null");
  if (c.catch_up < HF_CATCH_UP_ONCE || c.catch_up > HF_CATCH_UP_ALL) return fail(handle, HF_E_INVALID, "catch_up is no value of hf_catch_up");
  if (c.overlap < HF_OVERLAP_SKIP || c.overlap > HF_OVERLAP_CANCEL) return fail(handle, HF_E_INVALID, "overlap is no value of hf_overlap");
  Result<JobSpec> job = spec_of(&c.job);
  if (!job) return fail(handle, job.error().code, "job: " + job.error().message);
  ScheduleSpec s;
  s.name = c.name;
  s.cron = c.cron;
  if (c.time_zone != nullptr && c.time_zone[0] != 0) s.zone = c.time_zone;
  s.jitter_ms = c.jitter_ms;
  s.catch_up = static_cast<CatchUp>(c.catch_up);
  s.overlap = static_cast<Overlap>(c.overlap);
  if (c.options != nullptr) {
    hf_schedule_options o = HF_SCHEDULE_OPTIONS_INIT;
    if (!import(c.options, &o, sizeof o, offsetof(hf_schedule_options, splay_ms))) {
      return fail(handle, HF_E_INVALID, "struct_size of the schedule options is not set; begin with HF_SCHEDULE_OPTIONS_INIT");
    }
    if (o.dst < HF_DST_VIXIE || o.dst > HF_DST_BOTH) return fail(handle, HF_E_INVALID, "dst is no value of hf_dst");
    s.dst = static_cast<DstPolicy>(o.dst);
    s.splay_ms = o.splay_ms;
    s.catch_up_window_ms = o.catch_up_window_ms;
    if (o.catch_up_max != 0) s.catch_up_max = o.catch_up_max;
    s.start_wall_ms = o.start_unix_ms;
    s.end_wall_ms = o.end_unix_ms;
    s.limit = o.limit;
    s.pause_after_failures = o.pause_after_failures;
    s.slack_ms = o.slack_ms;
  }
  s.job = std::move(*job);
  return one(handle, SchedulePut{std::move(s)});
} HF_NO_THROW(handle)

extern "C" int hf_schedule_remove(hf_engine* handle, const char* name) try {
  if (name == nullptr) return fail(handle, HF_E_INVALID, "name is null");
  return one(handle, ScheduleRemove{name});
} HF_NO_THROW(handle)

extern "C" int hf_clock_confirm(hf_engine* handle) try {
  return one(handle, ConfirmClock{});
} HF_NO_THROW(handle)

extern "C" int hf_link_up(hf_engine* handle) try {
  return one(handle, LinkUp{});
} HF_NO_THROW(handle)

extern "C" int hf_link_set(hf_engine* handle, const char* name) try {
  return one(handle, SetLink{name == nullptr ? "" : name});
} HF_NO_THROW(handle)

extern "C" int hf_end_safe_mode(hf_engine* handle) try {
  return one(handle, EndSafeMode{});
} HF_NO_THROW(handle)

extern "C" int hf_stats(hf_engine* handle, hf_stats_info* out) try {
  if (out == nullptr) return fail(handle, HF_E_INVALID, "out is null");
  if (out->struct_size < sizeof(size_t) || out->struct_size > 65536) {
    return fail(handle, HF_E_INVALID, "struct_size of the stats is not set; begin with HF_STATS_INFO_INIT");
  }
  Stats s;
  if (int code = one(handle, GetStats{}, &s); code != HF_OK) return code;
  hf_stats_info c = HF_STATS_INFO_INIT;
  c.pending = s.by_state[0];
  c.running = s.by_state[1];
  c.completed = s.by_state[2];
  c.dead = s.by_state[3];
  c.cancelled = s.by_state[4];
  c.enqueued_total = s.enqueued;
  c.completed_total = s.completed;
  c.failed_total = s.failed;
  c.retried_total = s.retried;
  c.dead_total = s.dead;
  c.deferred_total = s.deferred;
  c.commits_total = s.commits;
  c.syncs_total = s.synced_commits;
  c.file_bytes = s.file_bytes;
  c.clock_trusted = s.clock.trusted;
  c.safe_mode_left_ms = s.safe_mode_left_ms;
  c.disk_full = static_cast<int>(s.room);
  c.flash_day_bytes = s.flash_day_bytes;
  c.flash_total_bytes = s.flash_total_bytes;
  c.flash_budget = s.flash_budget;
  c.flash_gather_ms = s.flash_gather_ms;
  c.struct_size = std::min(out->struct_size, sizeof c);
  std::memcpy(out, &c, c.struct_size);
  return HF_OK;
} HF_NO_THROW(handle)

extern "C" int hf_next_wake(hf_engine* handle, int64_t* unix_ms) try {
  auto engine = find(handle);
  if (!engine) return HF_E_STATE;
  if (unix_ms == nullptr) return fail(handle, HF_E_INVALID, "unix_ms is null");
  int64_t wake = engine->host->next_wake_wall_ms();
  *unix_ms = wake == kNever ? -1 : wake;
  return HF_OK;
} HF_NO_THROW(handle)
