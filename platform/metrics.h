// The figures in the Prometheus text format, version 0.0.4.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/requests.h"
#include "platform/peer_book.h"

namespace hf {

// How long runs took, counted from the feed. Owner and thread: the admin server, on the loop.
class RunTimes {
 public:
  static constexpr std::array<int64_t, 8> kBoundsMs = {10,    100,    1000,    10000,
                                                       60000, 300000, 1800000, 7200000};

  void count(const Transition& transition);  // anything but the end of a run is passed over

  // The runs that took at most kBoundsMs[i]; the last entry: all.
  std::array<uint64_t, kBoundsMs.size() + 1> cumulative() const;
  double sum_s() const { return static_cast<double>(sum_ms_) / 1000; }

 private:
  std::array<uint64_t, kBoundsMs.size() + 1> counts_ = {};
  int64_t sum_ms_ = 0;
};

bool has_metrics();  // false in a build without them

struct ProcessFigures {
  int64_t start_wall_ms = 0;
  int64_t resident_bytes = 0;  // 0: unknown
  int64_t clients = 0;
};
int64_t resident_bytes();  // of this process, from /proc

std::string prometheus_text(const Stats& stats, const RunTimes& times,
                            const ProcessFigures& process, const PeerReport& peers = {});

// A label's value: backslash, quote and newline escaped; what is not UTF-8 becomes U+FFFD.
std::string escape_label(std::string_view value);

inline constexpr std::string_view kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace hf
