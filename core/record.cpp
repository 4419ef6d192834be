#include "core/record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/job_log.h"
#include "core/names.h"
#include "core/rate.h"

namespace hf {
namespace {

// Even tags carry a varint, odd tags bytes.
enum Tag : uint8_t {
  kMaxAttempts = 2, kTimeout = 4, kBackoffKind = 6, kBackoffBase = 8, kBackoffFactor = 10, kBackoffMax = 12,
  kJitterKind = 14, kJitterPercent = 16, kBackoffListEntry = 18, kOccurrence = 20, kUniqueFor = 22,
  kUniqueUntil = 24, kPriority = 26, kTtl = 28, kOnConflict = 30, kDurability = 32, kDelay = 34, kCancelAsked = 36,
  kCrashes = 38, kReboots = 40, kSequence = 42, kAfter = 44, kAfterRun = 46, kAfterDelay = 48, kFollower = 50, kChain = 52, kSyncedEnd = 54,
  kSink = 1, kTags = 3, kSchedule = 5, kUniqueKey = 7, kType = 9, kQueue = 11, kPayload = 13, kKey = 15, kMemo = 17, kCallback = 19, kFailureCallback = 21,
  // of an attempt; kNumber begins a new one
  kNumber = 2, kDelivery = 4, kStarted = 6, kTook = 8, kOutcome = 1, kError = 3, kLog = 5,
  // of a schedule
  kMove = 2, kSplay = 4, kCatchUp = 6, kCatchUpWindow = 8, kCatchUpCap = 10, kOverlap = 12, kDst = 14, kStart = 16, kEnd = 18,
  kLimit = 20, kPauseAfter = 22, kConfigured = 24, kSlack = 26, kCron = 1, kZone = 3, kJob = 5,
  // of a queue
  kConcurrency = 2, kQueueSlack = 4, kWindows = 1, kWindowZone = 3, kRateLimit = 5, kThrottle = 7,
  kKeyConcurrency = 6, kQueueOrder = 8, kAging = 10, kFair = 12, kKeyRateLimit = 9, kKeyThrottle = 11,
  kPauseUntil = 14, kPauseReason = 13, kWhenEntry = 15, kMaxPending = 16, kWhenFull = 18, kEnqueueLimit = 17, kKeyEnqueueLimit = 19, kRetryBudget = 21,
  kKeepCompleted = 20, kKeepDead = 22, kKeepCompletedCount = 24, kKeepDeadCount = 26,
};

uint64_t zigzag(int64_t v) { return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63); }
int64_t unzigzag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }

class Writer {
 public:
  void number(Tag tag, int64_t v) {
    out_.push_back(static_cast<char>(tag));
    varint(zigzag(v));
  }
  void number_if(Tag tag, int64_t v) { if (v != 0) number(tag, v); }
  void ids(Tag tag, const std::vector<JobId>& all) {
    for (const JobId id : all) number(tag, id);
  }
  void bytes_if(Tag tag, std::string_view v) {
    if (!v.empty()) bytes(tag, v);
  }
  void bytes(Tag tag, std::string_view v) {
    out_.push_back(static_cast<char>(tag));
    varint(v.size());
    out_.append(v);
  }
  void policy(const Policy& p) {
    number_if(kMaxAttempts, p.max_attempts);
    number_if(kTimeout, p.timeout_ms);
    if (p.backoff.kind) number(kBackoffKind, static_cast<int64_t>(*p.backoff.kind));
    number_if(kBackoffBase, p.backoff.base_ms);
    // The double's bits, so that what was set is what is read on every machine.
    if (p.backoff.factor != 0) number(kBackoffFactor, std::bit_cast<int64_t>(p.backoff.factor));
    number_if(kBackoffMax, p.backoff.max_ms);
    if (p.backoff.jitter) number(kJitterKind, static_cast<int64_t>(*p.backoff.jitter));
    number_if(kJitterPercent, p.backoff.jitter_percent);
    for (int64_t entry : p.backoff.list_ms) number(kBackoffListEntry, entry);
  }
  std::string take() { return std::move(out_); }

 private:
  void varint(uint64_t v) {
    while (v >= 0x80) {
      out_.push_back(static_cast<char>(static_cast<uint8_t>(v) | 0x80));
      v >>= 7;
    }
    out_.push_back(static_cast<char>(v));
  }
  std::string out_;
};

// Reads fields until the end or the first malformed one: a damaged tail loses fields, never memory.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  bool next() {
    if (in_.empty()) return false;
    tag_ = static_cast<uint8_t>(in_.front());
    in_.remove_prefix(1);
    uint64_t v = 0;
    if (!varint(v)) return false;
    if (tag_ & 1) {
      if (v > in_.size()) return false;
      bytes_ = in_.substr(0, static_cast<size_t>(v));
      in_.remove_prefix(static_cast<size_t>(v));
    } else {
      number_ = unzigzag(v);
    }
    return true;
  }
  uint8_t tag() const { return tag_; }
  int64_t number() const { return number_; }
  int64_t count() const { return std::clamp<int64_t>(number_, 0, kTimeMax); }  // of milliseconds, too
  std::string bytes() const { return std::string(bytes_); }
  void id_of(std::vector<JobId>* all, size_t most) const {
    if (all->size() < most && count() > 0) all->push_back(count());
  }
  bool policy(Policy& p) const {
    switch (tag_) {
      case kMaxAttempts: p.max_attempts = static_cast<int>(number_); return true;
      case kTimeout: p.timeout_ms = number_; return true;
      case kBackoffKind: p.backoff.kind = static_cast<BackoffKind>(number_); return true;
      case kBackoffBase: p.backoff.base_ms = number_; return true;
      case kBackoffFactor: p.backoff.factor = std::bit_cast<double>(number_); return true;
      case kBackoffMax: p.backoff.max_ms = number_; return true;
      case kJitterKind: p.backoff.jitter = static_cast<Jitter>(number_); return true;
      case kJitterPercent: p.backoff.jitter_percent = static_cast<int>(number_); return true;
      case kBackoffListEntry:
        if (p.backoff.list_ms.size() < HF_BACKOFF_LIST_MAX) p.backoff.list_ms.push_back(number_);
        return true;
      default: return false;
    }
  }

 private:
  bool varint(uint64_t& v) {
    v = 0;
    for (int shift = 0; shift < 64 && !in_.empty(); shift += 7) {
      uint8_t b = static_cast<uint8_t>(in_.front());
      in_.remove_prefix(1);
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (!(b & 0x80)) return true;
    }
    return false;
  }
  std::string_view in_, bytes_;
  uint8_t tag_ = 0;
  int64_t number_ = 0;
};

// Of a damaged row: a policy that no job can have is none at all, a choice that is none the first one.
Policy sound(Policy policy) { return policy == Policy{} || validate(policy) ? policy : Policy{}; }
template <class E>
E choice(int64_t number, E last) {
  return number >= 0 && number <= static_cast<int64_t>(last) ? static_cast<E>(number) : E{};
}

}  // namespace

std::string encode_opts(const JobOpts& o) {
  Writer w;
  w.policy(o.policy);
  w.bytes_if(kSink, o.sink);
  w.bytes_if(kCallback, o.callback);
  w.bytes_if(kFailureCallback, o.failure_callback);
  w.bytes_if(kTags, o.tags);
  w.bytes_if(kSchedule, o.schedule);
  w.number_if(kOccurrence, o.occurrence_wall_ms);
  w.bytes_if(kUniqueKey, o.unique_key);
  w.number_if(kUniqueFor, o.unique_for_ms);
  w.number_if(kUniqueUntil, o.unique_until_ms);
  w.number_if(kCancelAsked, o.cancel_asked);
  w.number_if(kCrashes, o.crashes);
  w.number_if(kReboots, o.reboots);
  w.number_if(kSequence, o.sequence);
  w.bytes_if(kMemo, o.memo);
  w.ids(kAfter, o.after);
  w.number_if(kAfterRun, o.after_run);
  w.number_if(kAfterDelay, o.after_delay_ms);
  w.ids(kFollower, o.followers);
  w.number_if(kChain, o.chain);
  w.number_if(kSyncedEnd, o.synced_end);
  return w.take();
}

JobOpts decode_opts(std::string_view bytes) {
  JobOpts o;
  if (bytes.empty()) return o;  // of most jobs
  for (Reader r(bytes); r.next();) {
    if (r.policy(o.policy)) continue;
    switch (r.tag()) {
      case kSink: o.sink = r.bytes(); break;
      case kCallback: o.callback = r.bytes(); break;
      case kFailureCallback: o.failure_callback = r.bytes(); break;
      case kTags: o.tags = r.bytes(); break;
      case kSchedule: o.schedule = r.bytes(); break;
      case kOccurrence: o.occurrence_wall_ms = r.count(); break;
      case kUniqueKey: o.unique_key = r.bytes(); break;
      case kUniqueFor: o.unique_for_ms = r.count(); break;
      case kUniqueUntil: o.unique_until_ms = r.count(); break;
      case kCancelAsked: o.cancel_asked = r.number() != 0; break;
      case kCrashes: o.crashes = static_cast<int>(r.number()); break;
      case kReboots: o.reboots = static_cast<int>(r.number()); break;
      case kSequence: o.sequence = r.count(); break;
      case kMemo: o.memo = r.bytes(); break;
      case kAfter: r.id_of(&o.after, HF_AFTER_MAX); break;
      case kAfterRun: o.after_run = r.number() != 0; break;
      case kAfterDelay: o.after_delay_ms = r.count(); break;
      case kFollower: r.id_of(&o.followers, kFollowersMax); break;
      case kChain: o.chain = static_cast<int>(std::clamp<int64_t>(r.number(), 0, HF_CHAIN_MAX)); break;
      case kSyncedEnd: o.synced_end = r.number() != 0; break;
      default: break;
    }
  }
  o.policy = sound(std::move(o.policy));
  return o;
}

std::string encode_spec(const JobSpec& s) {
  Writer w;
  w.policy(s.policy);
  w.bytes_if(kType, s.type);
  w.bytes_if(kQueue, s.queue);
  w.bytes_if(kPayload, s.payload);
  w.number_if(kPriority, s.priority);
  w.number_if(kDelay, s.delay_ms);
  w.number_if(kTtl, s.ttl_ms);
  w.bytes_if(kUniqueKey, s.unique_key);
  w.number_if(kUniqueFor, s.unique_for_ms);
  w.number_if(kOnConflict, static_cast<int64_t>(s.on_conflict));
  w.bytes_if(kKey, s.concurrency_key);
  w.bytes_if(kSink, s.sink);
  w.bytes_if(kCallback, s.callback);
  w.bytes_if(kFailureCallback, s.failure_callback);
  w.number_if(kDurability, static_cast<int64_t>(s.durability));
  w.bytes_if(kTags, s.tags);
  return w.take();
}

JobSpec decode_spec(std::string_view bytes) {
  JobSpec s;
  for (Reader r(bytes); r.next();) {
    if (r.policy(s.policy)) continue;
    switch (r.tag()) {
      case kType: s.type = r.bytes(); break;
      case kQueue: s.queue = r.bytes().empty() ? s.queue : r.bytes(); break;  // every queue has a name
      case kPayload: s.payload = r.bytes(); break;
      case kPriority: s.priority = static_cast<int>(std::clamp<int64_t>(r.number(), -HF_PRIORITY_MAX, HF_PRIORITY_MAX)); break;
      case kDelay: s.delay_ms = r.count(); break;
      case kTtl: s.ttl_ms = r.count(); break;
      case kUniqueKey: s.unique_key = r.bytes(); break;
      case kUniqueFor: s.unique_for_ms = r.count(); break;
      case kOnConflict: s.on_conflict = choice(r.number(), OnConflict::keep_last); break;
      case kKey: s.concurrency_key = r.bytes(); break;
      case kSink: s.sink = r.bytes(); break;
      case kCallback: s.callback = r.bytes(); break;
      case kFailureCallback: s.failure_callback = r.bytes(); break;
      case kDurability: s.durability = choice(r.number(), Durability::result); break;
      case kTags: s.tags = r.bytes(); break;
      default: break;
    }
  }
  s.policy = sound(std::move(s.policy));
  return s;
}

std::string encode_schedule(const ScheduleSpec& s) {
  const ScheduleSpec usual;
  Writer w;
  w.bytes_if(kCron, s.cron);
  if (s.zone != usual.zone) w.bytes_if(kZone, s.zone);
  w.number_if(kDst, static_cast<int64_t>(s.dst));
  w.number_if(kMove, s.jitter_ms);
  w.number_if(kSplay, s.splay_ms);
  w.number_if(kCatchUp, static_cast<int64_t>(s.catch_up));
  w.number_if(kCatchUpWindow, s.catch_up_window_ms);
  if (s.catch_up_max != usual.catch_up_max) w.number(kCatchUpCap, s.catch_up_max);
  w.number_if(kOverlap, static_cast<int64_t>(s.overlap));
  w.number_if(kStart, s.start_wall_ms);
  w.number_if(kEnd, s.end_wall_ms);
  w.number_if(kLimit, s.limit);
  w.number_if(kPauseAfter, s.pause_after_failures);
  w.number_if(kSlack, s.slack_ms);
  w.number_if(kConfigured, s.configured);
  w.bytes_if(kJob, encode_spec(s.job));
  return w.take();
}

ScheduleSpec decode_schedule(std::string_view bytes) {
  ScheduleSpec s;
  for (Reader r(bytes); r.next();) {
    switch (r.tag()) {
      case kCron: s.cron = r.bytes(); break;
      case kZone: s.zone = r.bytes(); break;
      case kDst: s.dst = choice(r.number(), DstPolicy::both); break;
      case kMove: s.jitter_ms = std::min(r.count(), kScheduleMoveMaxMs); break;
      case kSplay: s.splay_ms = std::min(r.count(), kScheduleMoveMaxMs); break;
      case kCatchUp: s.catch_up = choice(r.number(), CatchUp::all); break;
      case kCatchUpWindow: s.catch_up_window_ms = r.count(); break;
      case kCatchUpCap: s.catch_up_max = static_cast<int>(std::clamp<int64_t>(r.number(), 1, kCatchUpMax)); break;
      case kOverlap: s.overlap = choice(r.number(), Overlap::cancel); break;
      case kStart: s.start_wall_ms = r.count(); break;
      case kEnd: s.end_wall_ms = r.count(); break;
      case kLimit: s.limit = std::min(r.count(), kScheduleLimitMax); break;
      case kPauseAfter: s.pause_after_failures = static_cast<int>(std::clamp<int64_t>(r.number(), 0, kPauseAfterMax)); break;
      case kSlack: s.slack_ms = std::min(r.count(), kSlackMaxMs); break;
      case kConfigured: s.configured = r.number() != 0; break;
      case kJob: s.job = decode_spec(r.bytes()); break;
      default: break;
    }
  }
  return s;
}

std::string encode_queue(const QueueSettings& s, const Pause& pause) {
  Writer w;
  if (s.concurrency) w.number(kConcurrency, *s.concurrency);
  if (s.slack_ms) w.number(kQueueSlack, *s.slack_ms);
  if (s.windows) w.bytes(kWindows, *s.windows);
  if (s.zone) w.bytes(kWindowZone, *s.zone);
  if (s.rate_limit) w.bytes(kRateLimit, format_rate_limit(*s.rate_limit));
  if (s.throttle) w.bytes(kThrottle, format_throttle(*s.throttle));
  if (s.key_concurrency) w.number(kKeyConcurrency, *s.key_concurrency);
  if (s.key_rate_limit) w.bytes(kKeyRateLimit, format_rate_limit(*s.key_rate_limit));
  if (s.key_throttle) w.bytes(kKeyThrottle, format_throttle(*s.key_throttle));
  if (s.order) w.number(kQueueOrder, static_cast<int64_t>(*s.order));
  if (s.aging_ms) w.number(kAging, *s.aging_ms);
  if (s.fair) w.number(kFair, *s.fair ? 1 : 0);
  if (s.when && s.when->empty()) w.bytes(kWhenEntry, "");  // none, whatever the configuration says
  for (const std::string& name : s.when.value_or(std::vector<std::string>())) w.bytes(kWhenEntry, name);
  if (s.max_pending) w.number(kMaxPending, *s.max_pending);
  if (s.when_full) w.number(kWhenFull, static_cast<int64_t>(*s.when_full));
  if (s.enqueue_limit) w.bytes(kEnqueueLimit, format_rate_limit(*s.enqueue_limit));
  if (s.key_enqueue_limit) w.bytes(kKeyEnqueueLimit, format_rate_limit(*s.key_enqueue_limit));
  if (s.retry_budget) w.bytes(kRetryBudget, format_rate_limit(*s.retry_budget));
  if (s.keep_completed_ms) w.number(kKeepCompleted, *s.keep_completed_ms);
  if (s.keep_dead_ms) w.number(kKeepDead, *s.keep_dead_ms);
  if (s.keep_completed_count) w.number(kKeepCompletedCount, *s.keep_completed_count);
  if (s.keep_dead_count) w.number(kKeepDeadCount, *s.keep_dead_count);
  if (pause.on) {
    w.number_if(kPauseUntil, pause.until_ms);
    w.bytes_if(kPauseReason, pause.reason);
  }
  return w.take();
}

QueueSettings decode_queue(std::string_view bytes, Pause* pause) {
  QueueSettings s;
  const auto concurrency = [](const Reader& r, std::optional<int>* out) {
    if (r.number() >= 1 && r.number() <= kQueueConcurrencyMax) *out = static_cast<int>(r.number());
  };
  const auto when = [&s](std::string name) {
    if (!s.when) s.when.emplace();
    if (!name.empty() && s.when->size() < kWhenMax) s.when->push_back(std::move(name));
  };
  const auto reason = [](const std::string& text) { return std::string(cut_utf8(valid_utf8(text) ? text : one_line(text), HF_REASON_MAX)); };
  const auto rate = [](const Reader& r, Result<Rate> (*parse)(std::string_view), std::optional<Rate>* out) {
    if (Result<Rate> read = parse(r.bytes())) *out = *read;
  };
  // More than can be is the most; less is damage, and nothing is deleted for it.
  const auto kept = [](const Reader& r, int64_t most, int64_t least, std::optional<int64_t>* out) {
    if (r.number() >= least) *out = std::min(r.number(), most);
  };
  for (Reader r(bytes); r.next();) {
    switch (r.tag()) {
      case kConcurrency: concurrency(r, &s.concurrency); break;
      case kKeyConcurrency: concurrency(r, &s.key_concurrency); break;
      case kQueueSlack: s.slack_ms = std::min(r.count(), kSlackMaxMs); break;
      case kWindows: s.windows = r.bytes(); break;
      case kWindowZone: s.zone = r.bytes(); break;
      case kRateLimit: rate(r, parse_rate_limit, &s.rate_limit); break;
      case kThrottle: rate(r, parse_throttle, &s.throttle); break;
      case kKeyRateLimit: rate(r, parse_rate_limit, &s.key_rate_limit); break;
      case kKeyThrottle: rate(r, parse_throttle, &s.key_throttle); break;
      case kQueueOrder: s.order = choice(r.number(), QueueOrder::lifo); break;
      case kAging: s.aging_ms = std::min(r.count(), kAgingMaxMs); break;
      case kFair: s.fair = r.number() != 0; break;
      case kWhenEntry: when(r.bytes()); break;
      case kMaxPending: s.max_pending = std::min(r.count(), kMaxPendingMax); break;
      case kWhenFull: s.when_full = choice(r.number(), WhenFull::coalesce); break;
      case kEnqueueLimit: rate(r, parse_rate_limit, &s.enqueue_limit); break;
      case kKeyEnqueueLimit: rate(r, parse_rate_limit, &s.key_enqueue_limit); break;
      case kRetryBudget: rate(r, parse_rate_limit, &s.retry_budget); break;
      case kKeepCompleted: kept(r, kKeepMaxMs, 0, &s.keep_completed_ms); break;
      case kKeepDead: kept(r, kKeepMaxMs, 0, &s.keep_dead_ms); break;
      case kKeepCompletedCount: kept(r, kKeepCountMax, 1, &s.keep_completed_count); break;
      case kKeepDeadCount: kept(r, kKeepCountMax, 1, &s.keep_dead_count); break;
      case kPauseUntil: if (pause != nullptr) pause->until_ms = r.count(); break;
      case kPauseReason: if (pause != nullptr) pause->reason = reason(r.bytes()); break;
      default: break;
    }
  }
  return s;
}

std::string encode_history(const std::vector<Attempt>& history) {
  Writer w;
  for (const Attempt& a : history) {
    w.number(kNumber, a.number);
    w.number_if(kDelivery, a.delivery);
    w.number_if(kStarted, a.started_ms);
    w.number_if(kTook, a.took_ms);
    w.bytes_if(kOutcome, a.outcome);
    w.bytes_if(kError, a.error);
    w.bytes_if(kLog, a.log);
  }
  return w.take();
}

std::vector<Attempt> decode_history(std::string_view bytes) {
  std::vector<Attempt> history;
  for (Reader r(bytes); r.next();) {
    if (r.tag() == kNumber) {
      if (history.size() == HF_HISTORY_MAX) break;
      history.emplace_back().number = static_cast<int>(r.number());
      continue;
    }
    if (history.empty()) continue;
    Attempt& a = history.back();
    switch (r.tag()) {
      case kDelivery: a.delivery = r.number() != 0; break;
      case kStarted: a.started_ms = r.count(); break;
      case kTook: a.took_ms = r.count(); break;
      case kOutcome: a.outcome = r.bytes(); break;
      case kError: a.error = r.bytes(); break;
      case kLog: a.log = valid_utf8(r.bytes()) ? r.bytes() : one_line(r.bytes()); break;
      default: break;
    }
  }
  bound_logs(&history);
  return history;
}

}  // namespace hf
