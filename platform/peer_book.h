// What is known of the TLS of each handler and sink: who is not verified, and when whose certificates end.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "platform/log.h"
#include "platform/net/tls_config.h"

namespace hf {

inline constexpr int kCertEndSoonDays = 14;  // so long before its end a certificate is a warning of health

struct PeerTls {
  std::string name;  // "sinks.cloud", "handlers.notify"
  bool verified = true;
  CertEnds ends = {};
};

struct PeerReport {
  CertClock clock;
  std::vector<PeerTls> peers;  // by name
};

// Whole days until `end_ms`, rounded down: 0 on the last day, below 0 when it is over.
int64_t days_until(int64_t end_ms, int64_t wall_ms);

// Owner: the Host. Thread: any. As many peers as the configuration names.
class PeerBook {
 public:
  explicit PeerBook(Logger log) : log_(std::move(log)) {}

  // Is configured so; what was known of it is forgotten.
  void put(const std::string& name, bool verified);
  void drop(const std::string& name);
  // What is 0 in `ends` is not known now, and left as it was. A certificate that comes near its end by a trusted clock is
  // told to the log: once 30, 14, 7, 3 and 1 days before, and when it is over. Nothing happens for a name that was not put.
  void learn(const std::string& name, const CertEnds& ends, CertClock clock);
  PeerReport report(CertClock clock) const;

 private:
  static constexpr int kNotTold = 31;
  struct Entry {
    bool verified = true;
    CertEnds ends = {};
    std::array<int, kCertsOf.size()> told_days = {};  // of each, the least that was told; 0 is "over", kNotTold nothing
  };

  static int stage_of(int64_t end_ms, int64_t wall_ms);

  const Logger log_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // guarded by mutex_
};

}  // namespace hf
