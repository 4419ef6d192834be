// How long CronExpr takes for the next and the previous firing, over the lines of tests/core/cron_lines.h and the zones of
// the IANA database. One line of JSON, in microseconds:
//
//   p50, p99     each call by itself, all lines from random instants
//   worst        the slowest call that was found, of the rarest lines too and of those that a zone never lets fire, as
//                fast as it goes in kAgain goes
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/cron.h"
#include "core/random.h"
#include "core/units.h"
#include "platform/zones.h"
#include "tests/bench/meter.h"
#include "tests/core/cron_lines.h"

using namespace hf;

namespace {

constexpr int kInstants = 400;       // of each line
constexpr int kFarInstants = 100;    // of each line, from 1970 to 9999
constexpr int kRareInstants = 5000;  // of each rare one
constexpr int kNeverInstants = 500;  // of each that never fires in Europe/Berlin
constexpr size_t kSlowest = 200;     // are measured again
constexpr int kAgain = 20;
const char* const kZones[] = {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
                              "Asia/Kolkata", "America/Sao_Paulo", "Antarctica/Troll"};

const std::vector<std::string> kNever = {"30 2 * 3 SUNL", "* 2 * 3 SUNL", "*/10 2 29 3 */7", "0 30 2 29 3 */7",
                                         "* * 2 25-31 3 */7"};

struct Call {
  const CronExpr* line;
  const std::string* text;
  const Zone* zone;
  int64_t at_ms;
  DstPolicy policy;
  bool forwards;
  int64_t took_ns = 0;

  void run() {
    const int64_t begin_ns = bench::now_ns();
    const auto found = forwards ? line->next(at_ms, *zone, policy) : line->previous(at_ms, *zone, policy);
    took_ns = bench::now_ns() - begin_ns;
    asm volatile("" : : "g"(&found) : "memory");  // it is worked out
  }
  std::string name() const {
    return *text + (forwards ? " after " : " before ") + format_time(at_ms) + " in " + zone->name();
  }
};

double microseconds_at(const std::vector<Call>& sorted, double part) {
  return static_cast<double>(sorted[static_cast<size_t>(part * static_cast<double>(sorted.size() - 1))].took_ns) / 1000;
}

void sort_by_time(std::vector<Call>& calls) {
  std::sort(calls.begin(), calls.end(), [](const Call& a, const Call& b) { return a.took_ns < b.took_ns; });
}

}  // namespace

int main() {
  const SystemZones system;
  std::vector<std::shared_ptr<const Zone>> zones;
  for (const char* const name : kZones) zones.push_back(system.find(name).value());
  std::vector<std::unique_ptr<CronExpr>> lines;
  Random random(900);
  std::vector<Call> usual[2], all;  // [backwards, forwards]
  const auto measure = [&](const std::vector<std::string>& texts, int instants, int64_t from_ms, int64_t to_ms, bool counts) {
    for (const std::string& text : texts) {
      lines.push_back(std::make_unique<CronExpr>(CronExpr::parse(text).value()));
      for (int i = 0; i < instants; ++i) {
        for (const bool forwards : {true, false}) {
          Call call{lines.back().get(), &text, zones[random.below(zones.size())].get(), random.between(from_ms, to_ms),
                    static_cast<DstPolicy>(random.below(3)), forwards};
          call.run();
          if (counts) usual[forwards].push_back(call);
          all.push_back(call);
        }
      }
    }
  };
  const int64_t from_ms = parse_time("2020-01-01T00:00:00Z").value(), to_ms = parse_time("2038-01-01T00:00:00Z").value();
  measure(test::cron_lines(), kInstants, from_ms, to_ms, true);
  measure(test::cron_lines_with_seconds(), kInstants, from_ms, to_ms, true);
  measure(test::cron_lines(), kFarInstants, kMinUnixMs, kMaxUnixMs, false);
  measure(test::rare_cron_lines(), kRareInstants, from_ms, parse_time("2420-01-01T00:00:00Z").value(), false);
  measure(test::rare_cron_lines(), kRareInstants, kMinUnixMs, kMaxUnixMs, false);
  measure(kNever, kNeverInstants, kMinUnixMs, parse_time("2260-01-01T00:00:00Z").value(), false);

  sort_by_time(usual[false]), sort_by_time(usual[true]), sort_by_time(all);
  std::vector<Call> slowest(all.end() - kSlowest, all.end());
  for (Call& call : slowest) {
    int64_t best_ns = call.took_ns;
    for (int i = 0; i < kAgain; ++i) {
      call.run();
      best_ns = std::min(best_ns, call.took_ns);
    }
    call.took_ns = best_ns;
  }
  sort_by_time(slowest);
  std::fprintf(stderr, "bench_cron: the worst is %s\n", slowest.back().name().c_str());
  bench::Line()
      .add("lines", static_cast<double>(test::cron_lines().size() + test::cron_lines_with_seconds().size()))
      .add("calls", static_cast<double>(all.size()))
      .add("next_p50_us", microseconds_at(usual[true], 0.5))
      .add("next_p99_us", microseconds_at(usual[true], 0.99))
      .add("previous_p50_us", microseconds_at(usual[false], 0.5))
      .add("previous_p99_us", microseconds_at(usual[false], 0.99))
      .add("worst_us", microseconds_at(slowest, 1))
      .print();
  return 0;
}
