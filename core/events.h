// Events: emit() starts the jobs of all who subscribed to its name, in one transaction. Nobody did: it is gone.
//
// A subscription is the program's or the configuration's, as a handler is: it is not in the file.
//
// Thread: the engine's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/jobs.h"

namespace hf {

inline constexpr size_t kEventKeyMax = HF_EVENT_KEY_MAX;  // "<subscription>/<key>" is a unique_key
static_assert(HF_NAME_MAX + 1 + kEventKeyMax <= HF_KEY_MAX);
inline constexpr int64_t kEventKeyForMs = 24LL * 3600 * 1000;             // the same key starts no other job for so long, unless unique_for says otherwise
inline constexpr size_t kFilterValueMax = 256;                            // bytes of one value
inline constexpr int64_t kEmitBytesMax = 16 << 20;                        // bytes that the payload has in all jobs of one event together

// HF_E_INVALID names the field. Without a unique_key of its job, unique_for is how long the key of an event counts.
Status validate(const SubscriptionSpec& spec);

class Events {
 public:
  Events(Turn& turn, Jobs& jobs) : turn_(turn), jobs_(jobs) {}

  // Replaces one of the same name. HF_E_INVALID names the field, HF_E_FULL: there are kSubscriptionsMax.
  Status set(const SubscriptionSpec& spec);
  Status remove(const std::string& name);  // HF_E_NOT_FOUND
  // All or none, as Jobs::enqueue; HF_E_TOO_LARGE beyond kEmitBytesMax, too. An error of one names the subscription. The job of a subscription that has a unique_key of its own
  // goes by that, not by `key`. An id may be that of a job which was there: as the keys say.
  Result<std::vector<JobId>> emit(const Emit& emit);
  // "": all, by name. HF_E_NOT_FOUND.
  Result<std::vector<SubscriptionInfo>> list(const std::string& name) const;

 private:
  Turn& turn_;
  Jobs& jobs_;
  std::map<std::string, SubscriptionInfo> subscriptions_;
};

}  // namespace hf
