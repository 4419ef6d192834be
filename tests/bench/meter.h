// What a stretch of work cost this process: time, syncs, writes, context switches.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/bench/alloccount.h"
#include "tests/bench/delaysync.h"

namespace hf::bench {

inline int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// "VmRSS" or "RssAnon", in KiB; 0 if the kernel does not say.
inline int64_t status_kib(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::atoll(line.c_str() + field.size() + 1);
  }
  return 0;
}

inline double median(std::vector<int64_t>& values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return static_cast<double>(*middle);
}

struct Cost {
  double seconds = 0;
  uint64_t syncs = 0, writes = 0, write_bytes = 0, switches = 0;
};

class Meter {
 public:
  Meter() { read(begin_); }
  Cost cost() const {
    Cost now;
    read(now);
    return {now.seconds - begin_.seconds, now.syncs - begin_.syncs, now.writes - begin_.writes,
            now.write_bytes - begin_.write_bytes, now.switches - begin_.switches};
  }

 private:
  static void read(Cost& c) {
    delaysync_counts counts;
    delaysync_read(&counts);
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    c = {static_cast<double>(now_ns()) / 1e9, counts.syncs, counts.writes, counts.write_bytes,
         static_cast<uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw)};
  }
  Cost begin_;
};

// One line of JSON, made of figures.
class Line {
 public:
  Line& add(const char* name, double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%s\"%s\": %.9g", text_.empty() ? "" : ", ", name, value);
    text_ += text;
    return *this;
  }
  Line& add(const Cost& c, int jobs) {
    auto each = [&](uint64_t n) { return static_cast<double>(n) / jobs; };
    add("jobs", jobs).add("jobs_per_s", jobs / c.seconds).add("syncs", each(c.syncs));
    add("writes", each(c.writes)).add("write_bytes", each(c.write_bytes));
    return add("switches", each(c.switches));
  }
  void print() {
    if (alloccount_read != nullptr) {
      alloccount_counts counts;
      alloccount_read(&counts);
      add("allocations", static_cast<double>(counts.all)).add("engine_allocations", static_cast<double>(counts.engine)).add("own_allocations", static_cast<double>(counts.own));
    }
    std::printf("{%s}\n", text_.c_str());
  }

 private:
  std::string text_;
};

inline constexpr int kPayloadBytes = 100;

}  // namespace hf::bench
