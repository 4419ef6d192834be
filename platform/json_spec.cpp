#include "platform/json_spec.h"

#include <mbedtls/base64.h>

#include <algorithm>

#include "core/conditions.h"
#include "core/events.h"
#include "core/names.h"
#include "core/rate.h"
#include "core/window.h"
#include "platform/event_fields.h"
#include "platform/json_choices.h"

namespace hf {
namespace {

constexpr int64_t kDay = 86400LL * 1000;
constexpr int64_t kDelayMax = 3653 * kDay;  // 10 years

// ---- what several tables share

bool read_list(const JsonValue& v, std::vector<int64_t>* list) {
  if (!v.expect(JsonNode::Kind::array)) return false;
  if (v.node().items.empty() || v.node().items.size() > HF_BACKOFF_LIST_MAX) {
    return v.fail("the list has " + std::to_string(v.node().items.size()) +
                  " entries: allowed are 1 to " + std::to_string(HF_BACKOFF_LIST_MAX));
  }
  std::vector<int64_t> read(v.node().items.size());
  for (size_t i = 0; i < read.size(); ++i) {
    if (!v.item(i).duration(&read[i], 0, kBackoffMaxMs)) return false;
  }
  *list = std::move(read);
  return true;
}

bool read_ids(const JsonValue& v, std::vector<JobId>* ids) {
  if (!v.expect(JsonNode::Kind::array)) return false;
  if (v.node().items.size() > HF_AFTER_MAX) {
    return v.fail("there are " + std::to_string(v.node().items.size()) + " jobs: at most " + std::to_string(HF_AFTER_MAX) + " are allowed");
  }
  std::vector<JobId> read(v.node().items.size());
  for (size_t i = 0; i < read.size(); ++i) {
    if (!v.item(i).integer(&read[i], 1, kNever)) return false;
  }
  *ids = std::move(read);
  return true;
}

// A string as it is; any other value as compact JSON.
bool read_payload(const JsonValue& v, std::string* payload) {
  *payload = v.node().kind == JsonNode::Kind::string ? v.node().text : compact_json(v.node());
  return true;
}

// "": always open, whatever else says.
bool read_windows(const JsonValue& v, std::string* windows) {
  if (!v.expect(JsonNode::Kind::string)) return false;
  if (auto parsed = Windows::parse(v.node().text); !parsed) return v.fail(parsed.error().message);
  *windows = v.node().text;
  return true;
}

bool read_rate(const JsonValue& v, Rate* rate, Result<Rate> (*parse)(std::string_view)) {
  if (!v.expect(JsonNode::Kind::string)) return false;
  const Result<Rate> read = parse(v.node().text);
  if (!read) return v.fail(read.error().message);
  *rate = *read;
  return true;
}

bool read_base64(const JsonValue& v, std::string* payload) {
  if (!v.expect(JsonNode::Kind::string)) return false;
  auto bytes = base64_decode(v.node().text);
  if (!bytes) return v.fail(bytes.error().message);
  *payload = std::move(*bytes);
  return true;
}

bool read_timeout(const JsonValue& v, int64_t* timeout_ms) {
  if (v.node().kind == JsonNode::Kind::string && v.node().text == "none") {
    *timeout_ms = -1;
    return true;
  }
  return v.duration(timeout_ms, 1, 365 * kDay);
}

bool exclusive(const JsonValue& object, std::string_view a, std::string_view b) {
  if (object.node().find(a) && object.node().find(b)) {
    return object.fail("\"" + std::string(a) + "\" and \"" + std::string(b) +
                       "\" exclude each other");
  }
  return true;
}

// ---- the tables

constexpr JsonField<BackoffSpec> kBackoffFields[] = {
    {"kind", "choice",
     [](BackoffSpec& b, const JsonValue& v) { return v.choice(&b.kind, kBackoffKinds); }},
    {"base", "duration",
     [](BackoffSpec& b, const JsonValue& v) { return v.duration(&b.base_ms, 1, kBackoffMaxMs); }},
    {"factor", "number",
     [](BackoffSpec& b, const JsonValue& v) { return v.number(&b.factor, 1, kBackoffMaxFactor); }},
    {"max", "duration",
     [](BackoffSpec& b, const JsonValue& v) { return v.duration(&b.max_ms, 1, kBackoffMaxMs); }},
    {"jitter", "choice",
     [](BackoffSpec& b, const JsonValue& v) { return v.choice(&b.jitter, kJitters); }},
    {"jitter_percent", "number",
     [](BackoffSpec& b, const JsonValue& v) { return v.integer(&b.jitter_percent, 1, 100); }},
    {"list", "array", [](BackoffSpec& b, const JsonValue& v) { return read_list(v, &b.list_ms); }},
};

// What a schedule may say of its jobs comes first; the rest is for a job alone.
constexpr JsonField<JobSpec> kJobFields[] = {
    {"type", "name", [](JobSpec& s, const JsonValue& v) { return v.name("job type", &s.type); }},
    {"payload", "any", [](JobSpec& s, const JsonValue& v) { return read_payload(v, &s.payload); }},
    {"payload_base64", "string",
     [](JobSpec& s, const JsonValue& v) { return read_base64(v, &s.payload); }},
    {"queue", "name", [](JobSpec& s, const JsonValue& v) { return v.name("queue", &s.queue); }},
    {"priority", "number",
     [](JobSpec& s, const JsonValue& v) {
       return v.integer(&s.priority, -HF_PRIORITY_MAX, HF_PRIORITY_MAX);
     }},
    {"max_attempts", "number",
     [](JobSpec& s, const JsonValue& v) {
       return v.integer(&s.policy.max_attempts, 1, HF_ATTEMPTS_MAX);
     }},
    {"backoff", "object",
     [](JobSpec& s, const JsonValue& v) { return read_backoff(v, &s.policy.backoff); }},
    {"timeout", "duration",
     [](JobSpec& s, const JsonValue& v) { return read_timeout(v, &s.policy.timeout_ms); }},
    {"ttl", "duration",
     [](JobSpec& s, const JsonValue& v) { return v.duration(&s.ttl_ms, 1, kDelayMax); }},
    {"concurrency_key", "string",
     [](JobSpec& s, const JsonValue& v) { return v.text(&s.concurrency_key, HF_KEY_MAX); }},
    {"sink", "name", [](JobSpec& s, const JsonValue& v) { return v.name("sink", &s.sink); }},
    {"callback", "name",
     [](JobSpec& s, const JsonValue& v) { return v.name("callback", &s.callback); }},
    {"failure_callback", "name",
     [](JobSpec& s, const JsonValue& v) { return v.name("failure_callback", &s.failure_callback); }},
    {"tags", "string", [](JobSpec& s, const JsonValue& v) { return v.text(&s.tags, HF_TAGS_MAX); }},
    {"durability", "choice",
     [](JobSpec& s, const JsonValue& v) { return v.choice(&s.durability, kDurabilities); }},
    {"delay", "duration",
     [](JobSpec& s, const JsonValue& v) { return v.duration(&s.delay_ms, 0, kDelayMax); }},
    {"unique_key", "string",
     [](JobSpec& s, const JsonValue& v) { return v.text(&s.unique_key, HF_KEY_MAX); }},
    {"unique_by", "choice",
     [](JobSpec& s, const JsonValue& v) { return v.choice(&s.unique_by, kUniqueBys); }},
    {"unique_for", "duration",
     [](JobSpec& s, const JsonValue& v) { return v.duration(&s.unique_for_ms, 1, kDelayMax); }},
    {"on_conflict", "choice",
     [](JobSpec& s, const JsonValue& v) { return v.choice(&s.on_conflict, kConflicts); }},
    {"debounce_max", "duration",
     [](JobSpec& s, const JsonValue& v) { return v.duration(&s.debounce_max_ms, 1, kDelayMax); }},
    {"after", "array", [](JobSpec& s, const JsonValue& v) { return read_ids(v, &s.after); }},
    {"after_failure", "choice",
     [](JobSpec& s, const JsonValue& v) { return v.choice(&s.after_failure, kAfterFailures); }},
    {"at", "time", [](JobSpec& s, const JsonValue& v) { return v.time(&s.at_wall_ms); }},
};
constexpr size_t kOfJobAlone = 9;  // ... and a subscription may say all of it but the last ones, which are of one job
constexpr size_t kOfOneJob = 3;

constexpr JsonField<ScheduleSpec> kScheduleFields[] = {
    {"cron", "string", [](ScheduleSpec& s, const JsonValue& v) { return v.text(&s.cron); }},
    {"tz", "string", [](ScheduleSpec& s, const JsonValue& v) { return v.text(&s.zone, kZoneNameMax); }},
    {"dst", "choice",
     [](ScheduleSpec& s, const JsonValue& v) { return v.choice(&s.dst, kDstPolicies); }},
    {"jitter", "duration",
     [](ScheduleSpec& s, const JsonValue& v) {
       return v.duration(&s.jitter_ms, 0, kScheduleMoveMaxMs);
     }},
    {"splay", "duration",
     [](ScheduleSpec& s, const JsonValue& v) {
       return v.duration(&s.splay_ms, 0, kScheduleMoveMaxMs);
     }},
    {"catch_up", "choice",
     [](ScheduleSpec& s, const JsonValue& v) { return v.choice(&s.catch_up, kCatchUps); }},
    {"catch_up_window", "duration",
     [](ScheduleSpec& s, const JsonValue& v) {
       return v.duration(&s.catch_up_window_ms, 0, kCatchUpWindowMaxMs);
     }},
    {"catch_up_max", "number",
     [](ScheduleSpec& s, const JsonValue& v) { return v.integer(&s.catch_up_max, 1, kCatchUpMax); }},
    {"overlap", "choice",
     [](ScheduleSpec& s, const JsonValue& v) { return v.choice(&s.overlap, kOverlaps); }},
    {"start", "time",
     [](ScheduleSpec& s, const JsonValue& v) { return v.time(&s.start_wall_ms); }},
    {"end", "time", [](ScheduleSpec& s, const JsonValue& v) { return v.time(&s.end_wall_ms); }},
    {"slack", "duration",
     [](ScheduleSpec& s, const JsonValue& v) { return v.duration(&s.slack_ms, 0, kSlackMaxMs); }},
    {"limit", "number",
     [](ScheduleSpec& s, const JsonValue& v) {
       return v.integer(&s.limit, 0, kScheduleLimitMax);
     }},
    {"pause_after_failures", "number",
     [](ScheduleSpec& s, const JsonValue& v) { return v.integer(&s.pause_after_failures, 0, kPauseAfterMax); }},
};

// What a sink may say of its queue comes first; the rest is for other queues alone.
constexpr JsonField<QueueSettings> kQueueFields[] = {
    {"slack", "duration",
     [](QueueSettings& q, const JsonValue& v) { return v.duration(&q.slack_ms.emplace(), 0, kSlackMaxMs); }},
    {"windows", "string",
     [](QueueSettings& q, const JsonValue& v) { return read_windows(v, &q.windows.emplace()); }},
    {"tz", "string",
     [](QueueSettings& q, const JsonValue& v) { return v.text(&q.zone.emplace(), kZoneNameMax); }},
    {"rate_limit", "rate",
     [](QueueSettings& q, const JsonValue& v) { return read_rate_limit(v, &q.rate_limit.emplace()); }},
    {"throttle", "rate",
     [](QueueSettings& q, const JsonValue& v) { return read_throttle(v, &q.throttle.emplace()); }},
    {"aging", "duration",
     [](QueueSettings& q, const JsonValue& v) { return v.duration(&q.aging_ms.emplace(), 0, kAgingMaxMs); }},
    {"when", "array", [](QueueSettings& q, const JsonValue& v) { return read_when(v, &q.when.emplace()); }},
    {"concurrency", "number",
     [](QueueSettings& q, const JsonValue& v) {
       return v.integer(&q.concurrency.emplace(), 1, kQueueConcurrencyMax);
     }},
    {"key_concurrency", "number",
     [](QueueSettings& q, const JsonValue& v) {
       return v.integer(&q.key_concurrency.emplace(), 1, kQueueConcurrencyMax);
     }},
    {"key_rate_limit", "rate",
     [](QueueSettings& q, const JsonValue& v) {
       return read_rate_limit(v, &q.key_rate_limit.emplace());
     }},
    {"key_throttle", "rate",
     [](QueueSettings& q, const JsonValue& v) { return read_throttle(v, &q.key_throttle.emplace()); }},
    {"order", "choice",
     [](QueueSettings& q, const JsonValue& v) { return v.choice(&q.order, kQueueOrders); }},
    {"fair", "bool",
     [](QueueSettings& q, const JsonValue& v) { return v.boolean(&q.fair.emplace()); }},
    {"max_pending", "number",
     [](QueueSettings& q, const JsonValue& v) { return v.integer(&q.max_pending.emplace(), 0, kMaxPendingMax); }},
    {"when_full", "choice",
     [](QueueSettings& q, const JsonValue& v) { return v.choice(&q.when_full, kWhenFull); }},
    {"enqueue_limit", "rate",
     [](QueueSettings& q, const JsonValue& v) { return read_rate_limit(v, &q.enqueue_limit.emplace()); }},
    {"key_enqueue_limit", "rate",
     [](QueueSettings& q, const JsonValue& v) { return read_rate_limit(v, &q.key_enqueue_limit.emplace()); }},
    {"retry_budget", "rate",
     [](QueueSettings& q, const JsonValue& v) { return read_rate_limit(v, &q.retry_budget.emplace()); }},
    {"retention_completed", "duration",
     [](QueueSettings& q, const JsonValue& v) { return v.duration(&q.keep_completed_ms.emplace(), 0, kKeepMaxMs); }},
    {"retention_dead", "duration",
     [](QueueSettings& q, const JsonValue& v) { return v.duration(&q.keep_dead_ms.emplace(), 0, kKeepMaxMs); }},
    {"retention_completed_count", "number",
     [](QueueSettings& q, const JsonValue& v) { return v.integer(&q.keep_completed_count.emplace(), 1, kKeepCountMax); }},
    {"retention_dead_count", "number",
     [](QueueSettings& q, const JsonValue& v) { return v.integer(&q.keep_dead_count.emplace(), 1, kKeepCountMax); }},
};
constexpr size_t kOfQueueAlone = 15;  // a sink has an order of its own, and what comes to it is results

constexpr JsonField<Edit> kEditFields[] = {
    {"payload", "any",
     [](Edit& e, const JsonValue& v) { return read_payload(v, &e.payload.emplace()); }},
    {"payload_base64", "string",
     [](Edit& e, const JsonValue& v) { return read_base64(v, &e.payload.emplace()); }},
    {"priority", "number",
     [](Edit& e, const JsonValue& v) {
       return v.integer(&e.priority.emplace(), -HF_PRIORITY_MAX, HF_PRIORITY_MAX);
     }},
    {"delay", "duration",
     [](Edit& e, const JsonValue& v) { return v.duration(&e.delay_ms.emplace(), 0, kDelayMax); }},
    {"at", "time", [](Edit& e, const JsonValue& v) { return v.time(&e.at_wall_ms.emplace()); }},
    {"max_attempts", "number",
     [](Edit& e, const JsonValue& v) {
       return v.integer(&e.max_attempts.emplace(), 1, HF_ATTEMPTS_MAX);
     }},
    {"tags", "string",
     [](Edit& e, const JsonValue& v) {
       if (v.node().kind == JsonNode::Kind::string && v.node().text.empty())
         return !e.tags.emplace().size();
       return v.text(&e.tags.emplace(), HF_TAGS_MAX);
     }},
};

// Reads `body` with `read`, which returns false after it told the report.
template <class Read>
Status parse_body(std::string_view body, Read read) {
  if (body.empty()) return Error{HF_E_INVALID, "the body is empty: expected a JSON object"};
  auto tree = parse_json(body);
  if (!tree) return Error{HF_E_INVALID, "the body is not JSON: " + tree.error().message};
  JsonReport report("", true);
  if (!read(JsonValue(*tree, report))) return report.error();
  return ok_status();
}

bool read_enqueue(const JsonValue& body, std::vector<JobSpec>* specs) {
  if (!body.expect(JsonNode::Kind::object)) return false;
  if (!body.node().find("jobs")) return read_job(body, &specs->emplace_back());
  if (body.node().items.size() != 1) return body.fail("beside \"jobs\" nothing else is allowed");
  const JsonValue jobs = body.member(0);
  if (!jobs.expect(JsonNode::Kind::array)) return false;
  const size_t count = jobs.node().items.size();
  if (count == 0 || count > HF_ENQUEUE_MANY_MAX) {
    return jobs.fail("the array has " + std::to_string(count) + " jobs: allowed are 1 to " +
                     std::to_string(HF_ENQUEUE_MANY_MAX));
  }
  specs->reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (!read_job(jobs.item(i), &specs->emplace_back())) return false;
  }
  return true;
}

}  // namespace

std::span<const JsonField<JobSpec>> job_fields() {
  return kJobFields;
}
std::span<const JsonField<JobSpec>> scheduled_job_fields() {
  return std::span(kJobFields).first(std::size(kJobFields) - kOfJobAlone);
}
std::span<const JsonField<JobSpec>> subscribed_job_fields() {
  return std::span(kJobFields).first(std::size(kJobFields) - kOfOneJob);
}
std::span<const JsonField<ScheduleSpec>> schedule_fields() {
  return kScheduleFields;
}
std::span<const JsonField<BackoffSpec>> backoff_fields() {
  return kBackoffFields;
}
std::span<const JsonField<QueueSettings>> queue_fields() {
  return kQueueFields;
}
std::span<const JsonField<QueueSettings>> sink_queue_fields() {
  return std::span(kQueueFields).first(std::size(kQueueFields) - kOfQueueAlone);
}

bool read_rate_limit(const JsonValue& v, Rate* rate) { return read_rate(v, rate, parse_rate_limit); }
bool read_throttle(const JsonValue& v, Rate* rate) { return read_rate(v, rate, parse_throttle); }

bool read_when(const JsonValue& v, std::vector<std::string>* when) {
  if (!v.expect(JsonNode::Kind::array)) return false;
  const size_t size = v.node().items.size();
  if (size > kWhenMax) return v.fail("the array has " + std::to_string(size) + " items: at most " + std::to_string(kWhenMax) + " are allowed");
  std::vector<std::string> read(size);
  for (size_t i = 0; i < size; ++i) {
    if (!v.item(i).name("condition", &read[i])) return false;
    if (std::find(read.begin(), read.begin() + static_cast<ptrdiff_t>(i), read[i]) != read.begin() + static_cast<ptrdiff_t>(i)) {
      return v.item(i).fail("condition " + read[i] + " is named twice");
    }
  }
  *when = std::move(read);
  return true;
}

bool read_backoff(const JsonValue& object, BackoffSpec* backoff) {
  if (!read_fields(object, {{kBackoffFields, *backoff}})) return false;
  if (backoff->kind == BackoffKind::list && backoff->list_ms.empty()) {
    return object.fail("kind \"list\" needs \"list\", such as [\"1s\", \"10s\", \"1m\"]");
  }
  if (!backoff->list_ms.empty() && backoff->kind != BackoffKind::list) {
    return object.fail("\"list\" needs \"kind\": \"list\"");
  }
  if (backoff->jitter_percent != 0 && backoff->jitter != Jitter::percent) {
    return object.fail("\"jitter_percent\" needs \"jitter\": \"percent\"");
  }
  return true;
}

bool read_job(const JsonValue& object, JobSpec* spec) {
  if (!read_fields(object, {{kJobFields, *spec}})) return false;
  if (spec->type.empty()) return object.fail("\"type\" is missing: it says what runs the job");
  if (!exclusive(object, "payload", "payload_base64") || !exclusive(object, "delay", "at") || !exclusive(object, "after", "at"))
    return false;
  if (!spec->unique_key.empty() && spec->unique_by == UniqueBy::payload)
    return object.fail("\"unique_key\" and \"unique_by\": \"payload\" exclude each other");
  if (!is_unique(*spec)) {
    for (const char* name : {"unique_for", "on_conflict"}) {
      if (object.node().find(name)) {
        return object.fail("\"" + std::string(name) + "\" needs \"unique_key\" or \"unique_by\": \"payload\"");
      }
    }
  }
  return true;
}

bool read_schedule(const JsonValue& object, ScheduleSpec* spec) {
  if (!read_fields(object, {{schedule_fields(), *spec}, {scheduled_job_fields(), spec->job}})) {
    return false;
  }
  if (!exclusive(object, "payload", "payload_base64")) return false;
  if (spec->cron.empty()) {
    return object.fail(
        "\"cron\" is missing: it says when, such as \"30 2 * * *\" or \"@every 90s\"");
  }
  if (spec->job.type.empty()) return object.fail("\"type\" is missing: it says what runs its jobs");
  return true;
}

Result<Enqueue> parse_enqueue(std::string_view body) {
  Enqueue enqueue;
  HF_TRY(parse_body(body, [&](const JsonValue& v) { return read_enqueue(v, &enqueue.specs); }));
  return enqueue;
}

Result<Edit> parse_edit(JobId id, std::string_view body) {
  Edit edit;
  edit.id = id;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    if (!read_fields(v, {{kEditFields, edit}})) return false;
    if (v.node().items.empty()) return v.fail("nothing to change is given");
    return exclusive(v, "payload", "payload_base64") && exclusive(v, "delay", "at");
  }));
  return edit;
}

Result<ScheduleSpec> parse_schedule(std::string_view name, std::string_view body) {
  ScheduleSpec spec;
  spec.name = name;
  HF_TRY(parse_body(body, [&](const JsonValue& v) { return read_schedule(v, &spec); }));
  return spec;
}

Result<QueueSettings> parse_queue_settings(std::string_view body) {
  QueueSettings settings;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    return read_fields(v, {{kQueueFields, settings}});
  }));
  return settings;
}

Result<QueuePause> parse_pause(std::string_view name, std::string_view body) {
  static constexpr JsonField<QueuePause> kFields[] = {
      {"reason", "string",
       [](QueuePause& p, const JsonValue& v) { return v.text(&p.reason, HF_REASON_MAX); }},
      {"for", "duration",
       [](QueuePause& p, const JsonValue& v) { return v.duration(&p.for_ms, 1, kPauseMaxMs); }},
      {"until", "time",
       [](QueuePause& p, const JsonValue& v) {
         if (!v.time(&p.until_wall_ms)) return false;
         if (p.until_wall_ms == 0) p.until_wall_ms = 1;  // 1970 is past, not unset
         return true;
       }},
  };
  QueuePause pause;
  pause.name = name;
  if (body.empty()) return pause;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    return read_fields(v, {{kFields, pause}}) && exclusive(v, "for", "until");
  }));
  return pause;
}

Result<ScheduleBackfill> parse_backfill(std::string_view body) {
  static constexpr JsonField<ScheduleBackfill> kFields[] = {
      {"from", "time",
       [](ScheduleBackfill& b, const JsonValue& v) { return v.time(&b.from_wall_ms); }},
      {"to", "time", [](ScheduleBackfill& b, const JsonValue& v) { return v.time(&b.to_wall_ms); }},
  };
  ScheduleBackfill backfill;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    if (!read_fields(v, {{kFields, backfill}})) return false;
    for (const char* name : {"from", "to"}) {
      if (!v.node().find(name)) return v.fail("\"" + std::string(name) + "\" is missing");
    }
    return true;
  }));
  return backfill;
}

Result<Emit> parse_emit(std::string_view event, std::string_view body) {
  static constexpr JsonField<Emit> kFields[] = {
      {"payload", "any", [](Emit& e, const JsonValue& v) { return read_payload(v, &e.payload); }},
      {"payload_base64", "string", [](Emit& e, const JsonValue& v) { return read_base64(v, &e.payload); }},
      {"key", "string", [](Emit& e, const JsonValue& v) { return v.text(&e.key, kEventKeyMax); }},
  };
  Emit emit;
  emit.event = event;
  if (body.empty()) return emit;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    return read_fields(v, {{kFields, emit}}) && exclusive(v, "payload", "payload_base64");
  }));
  emit.fields = event_fields(emit.payload);
  return emit;
}

namespace {
template <class T>
bool read_attempt(T& t, const JsonValue& v) {
  return v.integer(&t.attempt, 1, std::numeric_limits<int>::max());
}
constexpr JsonField<Progress> kProgressFields[] = {
    {"attempt", "number", read_attempt<Progress>},
    {"percent", "number", [](Progress& p, const JsonValue& v) { return v.integer(&p.percent, 0, 100); }},
    {"note", "string", [](Progress& p, const JsonValue& v) { return v.text(&p.note.emplace(), HF_ERROR_TEXT_MAX); }},
};
constexpr JsonField<Remember> kCheckpointFields[] = {
    {"attempt", "number", read_attempt<Remember>},
    {"checkpoint", "string", [](Remember& r, const JsonValue& v) { return v.text(&r.memo, HF_CHECKPOINT_MAX); }},
};
constexpr JsonField<LogLine> kLogFields[] = {
    {"attempt", "number", read_attempt<LogLine>},
    {"line", "string", [](LogLine& l, const JsonValue& v) { return v.text(&l.text, HF_JOB_LOG_MAX); }},
};
bool has(const JsonValue& v, const char* field, const char* says) {
  return v.node().find(field) || v.fail("\"" + std::string(field) + "\" is missing: " + says);
}
constexpr const char* kAttemptSays = "it says which run speaks ($HOLDFAST_ATTEMPT)";
}  // namespace

Result<Progress> parse_progress(JobId id, std::string_view body) {
  Progress progress;
  progress.id = id;
  HF_TRY(parse_body(body, [&](const JsonValue& v) { return read_fields(v, {{kProgressFields, progress}}) && has(v, "attempt", kAttemptSays); }));
  return progress;
}

Result<Remember> parse_checkpoint(JobId id, std::string_view body) {
  Remember checkpoint;
  checkpoint.id = id;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    return read_fields(v, {{kCheckpointFields, checkpoint}}) && has(v, "attempt", kAttemptSays) && has(v, "checkpoint", "the next attempt gets it");
  }));
  return checkpoint;
}

Result<LogLine> parse_log_line(JobId id, std::string_view body) {
  LogLine line;
  line.id = id;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    return read_fields(v, {{kLogFields, line}}) && has(v, "attempt", kAttemptSays) && has(v, "line", "it is what the log gets");
  }));
  return line;
}

Result<TellCondition> parse_condition(std::string_view name, std::string_view body) {
  static constexpr JsonField<TellCondition> kFields[] = {
      {"open", "bool", [](TellCondition& t, const JsonValue& v) { return v.boolean(&t.open); }},
      {"why", "string", [](TellCondition& t, const JsonValue& v) { return v.text(&t.why, HF_REASON_MAX); }},
      {"for", "duration", [](TellCondition& t, const JsonValue& v) { return v.duration(&t.for_ms, 1, kPauseMaxMs); }},
  };
  TellCondition tell;
  tell.name = name;
  HF_TRY(parse_body(body, [&](const JsonValue& v) { return read_fields(v, {{kFields, tell}}) && has(v, "open", "it says whether the condition is open"); }));
  return tell;
}

Result<SetLink> parse_link(std::string_view body) {
  static constexpr JsonField<std::optional<std::string>> kFields[] = {
      {"link", "name",
       [](std::optional<std::string>& name, const JsonValue& v) {
         std::string& text = name.emplace();
         return v.node().kind == JsonNode::Kind::null || v.name("link", &text);
       }},
  };
  std::optional<std::string> name;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    if (!read_fields(v, {{kFields, name}})) return false;
    return name || v.fail("\"link\" is missing: it says which link there is");
  }));
  return SetLink{*name};
}

Result<Backup> parse_backup(std::string_view body) {
  static constexpr JsonField<Backup> kFields[] = {
      {"path", "file", [](Backup& b, const JsonValue& v) { return v.text(&b.path, 4095); }},
  };
  Backup backup;
  HF_TRY(parse_body(body, [&](const JsonValue& v) {
    if (!read_fields(v, {{kFields, backup}})) return false;
    if (backup.path.empty()) return v.fail("\"path\" is missing: it says which file is made");
    return backup.path[0] == '/' ||
           v.fail("\"path\" must be absolute: the daemon does not know your folder");
  }));
  return backup;
}

Result<std::string> base64_decode(std::string_view text) {
  const auto* in = reinterpret_cast<const unsigned char*>(text.data());
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  size_t size = 0;
  if (mbedtls_base64_decode(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), &size, in,
                            text.size()) != 0) {
    return Error{HF_E_INVALID, "found " + quoted(text, 24) + ", expected base64 with its padding"};
  }
  bytes.resize(size);
  return bytes;
}

std::string base64_encode(std::string_view bytes) {
  std::string text(bytes.size() / 3 * 4 + 5, '\0');  // and a NUL
  size_t size = 0;
  const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
  if (mbedtls_base64_encode(reinterpret_cast<unsigned char*>(text.data()), text.size(), &size, in,
                            bytes.size()) != 0) {
    return "";
  }
  text.resize(size);
  return text;
}

}  // namespace hf
