// The loss ledger: what the queue itself threw away, counted in the very transaction that threw it away. A result that nobody
// could deliver for a month, and the hour in which the ttl of a thousand readings ran out, are part of the data, too.
//
// The counts are kept in the file for good. They can be uploaded: as a job, which goes through the outbox as every
// result does (docs/delivery.md, "What was lost").
//
// Thread: the engine's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/requests.h"
#include "core/store.h"

namespace hf {

inline constexpr size_t kLossesMax = 32;  // counts of (cause, queue); what is beyond is counted for queue "*"
inline constexpr int64_t kLossReportMinMs = 1000, kLossReportMaxMs = 7LL * 86400 * 1000;
inline constexpr const char* kLossReportType = "holdfast.losses";

class Losses {
 public:
  explicit Losses(Store& store) : store_(store) {}

  void load();  // at the opening
  void add(LossCause cause, std::string_view queue, int64_t now_ms, int64_t count = 1);
  // What else counts for good, and has come to so much.
  void raise_to(LossCause cause, int64_t total, int64_t now_ms);
  void save();  // at the end of a turn, if something changed

  bool unreported() const { return first_ms_ != kNever; }
  int64_t first_ms() const { return first_ms_; }  // of those that were not reported; kNever: none
  std::vector<Loss> list(int64_t wall_ms, int64_t now_ms) const;  // wall and now: the present mapping
  void reported();

 private:
  struct Count {
    int64_t total = 0, unreported = 0;
    int64_t first_ms = 0, last_ms = 0;  // of the unreported ones, elapsed; of all if there are none
  };
  Store& store_;
  std::map<std::pair<LossCause, std::string>, Count> counts_;
  int64_t first_ms_ = kNever;
  bool changed_ = false;
};

// A record for an upload: {"losses":[{"cause":"expired","queue":"default","count":3,"total":15,"first":"…","last":"…"}]}
std::string loss_record(const std::vector<Loss>& losses);

}  // namespace hf
