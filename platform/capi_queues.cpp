// Queues of the C API.
#include "core/rate.h"
#include "platform/capi.h"

using namespace hf;
using namespace hf::capi;

extern "C" int hf_pause(hf_engine* handle, const char* queue) try {
  if (queue == nullptr) return fail(handle, HF_E_INVALID, "queue is null");
  return one(handle, QueuePause{queue, true});
} HF_NO_THROW(handle)
extern "C" int hf_pause_for(hf_engine* handle, const char* queue, const char* reason, int64_t for_ms) try {
  if (queue == nullptr) return fail(handle, HF_E_INVALID, "queue is null");
  return one(handle, QueuePause{queue, true, reason != nullptr ? reason : "", for_ms});
} HF_NO_THROW(handle)
extern "C" int hf_resume(hf_engine* handle, const char* queue) try {
  if (queue == nullptr) return fail(handle, HF_E_INVALID, "queue is null");
  return one(handle, QueuePause{queue, false});
} HF_NO_THROW(handle)

namespace {

Result<QueueSettings> settings_of(const hf_queue_settings& c) {
  QueueSettings s;
  if (c.concurrency != 0) s.concurrency = c.concurrency;
  if (c.slack_ms != 0) s.slack_ms = c.slack_ms == -1 ? 0 : c.slack_ms;
  if (c.windows != nullptr) s.windows = c.windows;
  if (c.time_zone != nullptr && c.time_zone[0] != 0) s.zone = c.time_zone;
  HF_TRY(read_rate("rate_limit", c.rate_limit, parse_rate_limit, &s.rate_limit));
  HF_TRY(read_rate("throttle", c.throttle, parse_throttle, &s.throttle));
  HF_TRY(read_rate("key_rate_limit", c.key_rate_limit, parse_rate_limit, &s.key_rate_limit));
  HF_TRY(read_rate("key_throttle", c.key_throttle, parse_throttle, &s.key_throttle));
  HF_TRY(read_rate("enqueue_limit", c.enqueue_limit, parse_rate_limit, &s.enqueue_limit));
  HF_TRY(read_rate("key_enqueue_limit", c.key_enqueue_limit, parse_rate_limit, &s.key_enqueue_limit));
  HF_TRY(read_rate("retry_budget", c.retry_budget, parse_rate_limit, &s.retry_budget));
  if (c.aging_ms != 0) s.aging_ms = c.aging_ms == -1 ? 0 : c.aging_ms;
  if (c.key_concurrency != 0) s.key_concurrency = c.key_concurrency;
  if (c.order < HF_ORDER_DEFAULT || c.order > HF_ORDER_LIFO) return Error{HF_E_INVALID, "order is no value of hf_queue_order"};
  if (c.order != HF_ORDER_DEFAULT) s.order = c.order == HF_ORDER_FIFO ? QueueOrder::fifo : QueueOrder::lifo;
  if (c.fair < -1 || c.fair > 1) return Error{HF_E_INVALID, "fair is " + std::to_string(c.fair) + ": allowed are 1, -1 and 0, as configured"};
  if (c.fair != 0) s.fair = c.fair == 1;
  if (c.when != nullptr) s.when = names(c.when);
  if (c.when_full < HF_FULL_REJECT || c.when_full > HF_FULL_COALESCE) return Error{HF_E_INVALID, "when_full is no value of hf_when_full"};
  if (c.max_pending != 0) s.max_pending = c.max_pending == -1 ? 0 : c.max_pending;
  // 0 is one of its values: it says something together with the limit alone.
  if (c.max_pending != 0 || c.when_full != HF_FULL_REJECT) s.when_full = static_cast<WhenFull>(c.when_full);
  if (c.keep_completed_ms != 0) s.keep_completed_ms = c.keep_completed_ms == -1 ? 0 : c.keep_completed_ms;
  if (c.keep_dead_ms != 0) s.keep_dead_ms = c.keep_dead_ms == -1 ? 0 : c.keep_dead_ms;
  if (c.keep_completed_count != 0) s.keep_completed_count = c.keep_completed_count;
  if (c.keep_dead_count != 0) s.keep_dead_count = c.keep_dead_count;
  return s;
}

}  // namespace

extern "C" int hf_queue_set(hf_engine* handle, const char* queue, const hf_queue_settings* given) try {
  if (queue == nullptr || given == nullptr) return fail(handle, HF_E_INVALID, queue == nullptr ? "queue is null" : "the settings are null");
  hf_queue_settings c = HF_QUEUE_SETTINGS_INIT;
  if (!import(given, &c, sizeof c, offsetof(hf_queue_settings, slack_ms))) {
    return fail(handle, HF_E_INVALID, "struct_size of the queue settings is not set; begin with HF_QUEUE_SETTINGS_INIT");
  }
  Result<QueueSettings> settings = settings_of(c);
  if (!settings) return fail(handle, settings.error());
  return one(handle, QueueSet{queue, std::move(*settings)});
} HF_NO_THROW(handle)
