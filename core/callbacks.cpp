// Callbacks: a sink is told how a job ended, or a job is started for it. What a sink is told is a delivery without a run; both are put in
// by the transaction that ended the job, so that neither is ever without the other. The rest of class Jobs is in jobs.cpp.
#include "core/callbacks.h"

#include <utility>

#include "core/job_info.h"
#include "core/jobs.h"
#include "core/losses.h"

namespace hf {

namespace {
constexpr const char* kMetaHandlers = "callbacks";  // a line each: type, callback, failure_callback; "-": none
constexpr const char* kNobody = "-";
const std::string kNone;
}  // namespace

Status check_sink(const char* field, const std::string& name) {
  HF_TRY(check_name(field, name));
  if (!starts_job(name)) return ok_status();
  return Error{HF_E_INVALID, std::string(field) + " " + quoted(name) + ": names that begin with \"job:\" are for callbacks that start a job"};
}

Status check_callback(const char* field, const std::string& name) {
  HF_TRY(check_name(field, name));
  if (!starts_job(name)) return ok_status();
  const std::string type = type_started(name);
  HF_TRY(check_name(field, type));
  if (!is_sink_queue(type)) return ok_status();
  return Error{HF_E_INVALID, std::string(field) + " " + quoted(name) + ": names that begin with \"sink:\" are for deliveries"};
}

// ---- what handlers say for their jobs. Kept in the file: jobs end before a process has told us of its handlers, too.

void Jobs::load_handler_callbacks() {
  const std::string lines = turn_.store.meta_text(kMetaHandlers);
  for (std::string_view rest = lines; !rest.empty() && handlers_.size() < kCallbackHandlersMax;) {
    std::string_view line = take_until(&rest, '\n');
    const std::string type(take_until(&line, ' '));
    HandlerCallbacks& of = handlers_[type];
    for (std::string* sink : {&of.completed, &of.dead}) {
      const std::string_view name = take_until(&line, ' ');
      if (check_name("sink", name)) *sink = name;
    }
  }
}

void Jobs::set_handler(const RunnerSpec& spec) {
  const auto there = handlers_.find(spec.name);
  if (spec.callback.empty() && spec.failure_callback.empty()) {
    if (there == handlers_.end()) return;
    handlers_.erase(there);
  } else {
    const HandlerCallbacks now{spec.callback, spec.failure_callback};
    if (there != handlers_.end() && there->second == now) return;
    if (there == handlers_.end() && handlers_.size() >= kCallbackHandlersMax) {
      std::erase_if(handlers_, [&](const auto& one) { return !turn_.lanes.runner(one.first).present; });
    }
    handlers_[spec.name] = now;
  }
  handlers_changed_ = true;
  turn_.lanes.front().forget();  // who counts there goes by them
}

void Jobs::save_handler_callbacks() {
  if (!std::exchange(handlers_changed_, false)) return;
  std::string lines;
  size_t left = kCallbackHandlersMax;
  for (const auto& [type, of] : handlers_) {
    if (left-- == 0) break;
    lines += type + " " + (of.completed.empty() ? kNobody : of.completed) + " " + (of.dead.empty() ? kNobody : of.dead) + "\n";
  }
  turn_.store.set_meta_text(kMetaHandlers, lines);
}

const std::string& Jobs::sink_of(const Lane& lane, const JobOpts& opts) const {
  if (lane.delivery()) return kNone;
  return opts.sink.empty() ? lane.runner->spec.sink : opts.sink;
}

const std::string& Jobs::callback_of(const Lane& lane, const JobOpts& opts, State end) const {
  const std::string& type = (lane.delivery() ? lane.origin : &lane)->type;
  if ((end != State::completed && end != State::dead) || type == kCallbackType) return kNone;
  const std::string& own = end == State::completed ? opts.callback : opts.failure_callback;
  if (!own.empty()) return own;
  const auto handler = handlers_.find(type);
  if (handler == handlers_.end()) return kNone;
  const std::string& its = end == State::completed ? handler->second.completed : handler->second.dead;
  return opts.chain >= HF_CHAIN_MAX && starts_job(its) ? kNone : its;
}

// REQUIRES: the row says how it ended. What is told is of this moment; the row may be deleted in this very turn.
void Jobs::call_back(JobId id, const Lane& lane, const JobOpts& opts, State end) {
  const std::string& to = callback_of(lane, opts, end);
  if (to.empty()) return;
  const bool starts = starts_job(to);
  FullRow row = turn_.store.read(id, false);
  if (row.result_size > 0 && row.result_size <= kCallbackResultMax) row.result = turn_.store.read_for_run(id, true).bytes;
  if (starts && row.payload_size > 0 && row.payload_size <= kCallbackResultMax) row.payload = turn_.store.read_for_run(id, false).bytes;
  JobInfo job = job_info(turn_, *this, row);
  if (!starts) forget_logs(&job.history);  // they stay on the device
  callbacks_.push_back({to, job.queue, turn_.callback_text(job), row.job.priority, opts.chain + 1});
}

bool Jobs::calls_back(const Run& run, Outcome outcome) const {
  const Lane& lane = *run.lane;
  if (outcome == Outcome::done) return sink_of(lane, run.opts).empty() && !callback_of(lane, run.opts, State::completed).empty();
  const bool fails = outcome == Outcome::retry || run.stop == StopReason::timeout;
  const bool dies = outcome == Outcome::dead || (fails && run.attempt >= policy_of(lane, run.opts).max_attempts);
  return dies && !callback_of(lane, run.opts, State::dead).empty();
}

bool Jobs::follow_up() {
  const bool some_went = let_followers_go();
  const std::vector<Callback> callbacks = std::exchange(callbacks_, {});
  for (const Callback& callback : callbacks) {
    // There is no lane left for one more sink or type: what should have been told is lost.
    if (!put_in(callback)) turn_.losses.add(LossCause::dropped, kOwnQueue, turn_.now_ms);
  }
  return some_went || !callbacks.empty();
}

Status Jobs::put_in(const Callback& callback) {
  if (!starts_job(callback.to)) {
    const Result<JobId> id = add_delivery({kCallbackType, callback.to, callback.text, callback.priority});
    return id ? ok_status() : Status(id.error());
  }
  JobSpec spec;
  spec.type = type_started(callback.to);
  spec.queue = callback.queue;
  spec.priority = callback.priority;
  spec.payload = callback.text;
  const Result<Lane*> lane = turn_.lanes.intern(spec.queue, spec.type, "", nullptr);
  if (!lane) return lane.error();
  insert_new(spec, **lane, {.chain = callback.chain});
  flush();  // an opening writes nothing behind it
  take_room(spec.payload.size());
  return ok_status();
}

std::string plain_callback_text(const JobInfo& job) {
  return "{\"type\":\"" + std::string(callback_event(job)) + "\",\"data\":{\"id\":" + std::to_string(job.id) + "}}";
}

const char* callback_event(const JobInfo& job) { return job.state == State::completed ? "job.completed" : "job.failed"; }

}  // namespace hf
