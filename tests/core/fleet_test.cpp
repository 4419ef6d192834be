// Many devices with one configuration do not all call in the same minute: what H and splay make of 10,000 of them, each
// with a scheduler of its own.
//
// Devices do not know of each other, so no minute can be kept from having more than its share by chance: of 10,000 devices
// over an hour, 167 a minute, the busiest one has about 1.2 times as many; over a day, 7 a minute, some minute has 20,
// whatever the hash. What is asserted is the first, a quarter of an hour of the second, and that the hash is no worse than
// chance, whatever the devices are called.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/callbacks.h"
#include "core/engine.h"
#include "core/random.h"
#include "core/scheduler.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

constexpr int kDevices = 10000;
constexpr int64_t kMinute_ms = 60000;
constexpr int64_t kHour_ms = 60 * kMinute_ms;
constexpr int64_t kDay_ms = 24 * kHour_ms;
constexpr int64_t kMidnight_ms = 20000 * kDay_ms;

using Named = std::string (*)(int device);

// At least `width` digits.
std::string digits(uint64_t number, int width, unsigned base = 10) {
  std::string out;
  for (; number > 0 || width > 0; number /= base, --width) out.insert(out.begin(), "0123456789abcdef"[number % base]);
  return out;
}
std::string number(int n) { return std::to_string(n); }
std::string hex(int n, int width) { return digits(static_cast<uint64_t>(n), width, 16); }

std::string counted(int i) { return "gw-" + digits(static_cast<uint64_t>(i), 5); }
std::string uuid(int i) {
  Random random(static_cast<uint64_t>(i));
  std::string text = digits(random.next(), 16, 16) + digits(random.next(), 16, 16);
  text[12] = '4', text[16] = 'a';  // version and variant
  for (const size_t at : {20u, 16u, 12u, 8u}) text.insert(at, "-");
  return text;
}

class Fleet {
 public:
  Fleet() {
    turn_.wall_ms = kMidnight_ms - 1;
    turn_.wall_trusted = true;
    store_->begin(false);
  }
  ~Fleet() { store_->commit(); }

  // When this device fires for the first time after midnight, in minutes since then.
  int fires_at(const std::string& device, const std::string& cron, int64_t splay_ms) {
    Scheduler scheduler(turn_, jobs_, utc_only(), device);
    ScheduleSpec spec;
    spec.name = "report";
    spec.cron = cron;
    spec.splay_ms = splay_ms;
    spec.job.type = "report";
    const Status put = scheduler.put(spec);
    if (!put) FAIL(put.error().message);
    return static_cast<int>((scheduler.next_wall_wake_ms() - kMidnight_ms) / kMinute_ms);
  }

 private:
  TempFolder folder_;
  std::unique_ptr<Store> store_ = Store::open({.path = folder_ / "queue.db", .vfs = ""}).value();
  Rates rates_{*store_};
  Lanes lanes_{*store_, rates_, utc_only()};
  Running running_;
  Suspects suspects_;
  Budgets budgets_{*store_};
  Losses losses_{*store_};
  Sequences sequences_{*store_};
  Conditions conditions_{{}};
  Random random_{1};
  Limits limits_ = resolve({}).value();
  Stats stats_;
  std::shared_ptr<const std::string> key_prefix_ = std::make_shared<const std::string>("gw-1-");
  Turn turn_{*store_, lanes_, running_, suspects_, budgets_, losses_, sequences_, rates_, conditions_, random_, limits_, stats_, key_prefix_, plain_callback_text};
  Jobs jobs_{turn_};
};

// How many of the devices fire in each part of the minutes [from, from + minutes), which they all do.
std::vector<int> spread(const std::string& cron, int64_t splay_ms, int from, int minutes, int parts, Named name = counted) {
  Fleet fleet;
  std::vector<int> counts(static_cast<size_t>(parts));
  for (int i = 0; i < kDevices; ++i) {
    const int at = fleet.fires_at(name(i), cron, splay_ms) - from;
    REQUIRE(at >= 0);
    ++counts[static_cast<size_t>(at % minutes / (minutes / parts))];
  }
  return counts;
}

double busiest(const std::vector<int>& counts) {
  return *std::max_element(counts.begin(), counts.end()) * static_cast<double>(counts.size()) / kDevices;
}

// Chi-square of a flat spread less what it is on average, in its standard deviations.
double unevenness(const std::vector<int>& counts) {
  const double each = kDevices / static_cast<double>(counts.size()), freedom = static_cast<double>(counts.size()) - 1;
  double sum = 0;
  for (const int count : counts) sum += (count - each) * (count - each) / each;
  return (sum - freedom) / std::sqrt(2 * freedom);
}

}  // namespace

TEST_CASE("fleet: over an hour the busiest minute of 10,000 devices carries at most 1.3 times the mean") {
  struct {
    const char* cron;
    int64_t splay_ms;
    int from;  // the first minute of the hour over which they are spread
  } const cases[] = {
      {"H * * * *", 0, 0},
      {"H 2 * * *", 0, 120},
      {"0 2 * * *", kHour_ms - 1, 120},
      {"H * * * *", kHour_ms - 1, 0},  // both: a device that is moved into the next hour fires in this one too
      {"*/15 * * * *", 15 * kMinute_ms - 1, 0},
  };
  for (const auto& c : cases) {
    CAPTURE(c.cron);
    CAPTURE(c.splay_ms);
    const int minutes = c.splay_ms == 15 * kMinute_ms - 1 ? 15 : 60;
    const double ratio = busiest(spread(c.cron, c.splay_ms, c.from, minutes, minutes));
    std::printf("%-13s splay %2lld min, %d minutes: the busiest has %.2f x the mean\n", c.cron,
                static_cast<long long>((c.splay_ms + 1) / kMinute_ms), minutes, ratio);
    CHECK(ratio <= 1.3);
    CHECK(ratio > 1);
  }
}

TEST_CASE("fleet: over a day the busiest quarter of an hour carries at most 1.3 times the mean, no minute more than by chance") {
  struct {
    const char* cron;
    int64_t splay_ms;
  } const cases[] = {{"H H * * *", 0}, {"0 0 * * *", kDay_ms - 1}};
  for (const auto& c : cases) {
    CAPTURE(c.cron);
    const std::vector<int> minutes = spread(c.cron, c.splay_ms, 0, 1440, 1440);
    std::vector<int> quarters(96);
    for (size_t i = 0; i < minutes.size(); ++i) quarters[i / 15] += minutes[i];
    const int most = *std::max_element(minutes.begin(), minutes.end());
    std::printf("%-13s splay %2lld h: the busiest quarter of an hour has %.2f x the mean, the busiest minute %d devices\n",
                c.cron, static_cast<long long>((c.splay_ms + 1) / kHour_ms), busiest(quarters), most);
    CHECK(busiest(quarters) <= 1.3);
    CHECK(most < 24);  // by chance once in 2,000 such fleets
  }
}

TEST_CASE("fleet: whatever devices are called, H and splay spread them as chance does") {
  struct {
    const char* what;
    Named name;
  } const styles[] = {
      {"gw-0", [](int i) { return "gw-" + number(i); }},
      {"gw-00000", counted},
      {"host of a site", [](int i) { return "site" + number(i / 100) + "-line" + number(i / 10 % 10) + "-box" + number(i % 10); }},
      {"MAC, one vendor", [](int i) { return "00:1a:2b:40:" + hex(i >> 8, 2) + ":" + hex(i & 255, 2); }},
      {"MAC, every fourth", [](int i) { return "b827eb" + hex(0x100000 + 4 * i, 6); }},
      {"serial number", [](int i) { return "SN2026A" + number(1000000 + 7 * i); }},
      {"IPv4", [](int i) { return "10.4." + number(i / 250) + "." + number(1 + i % 250); }},
      {"UUID", uuid},
      {"letters and a number", [](int i) { return std::string(static_cast<size_t>(1 + i % 40), 'x') + number(i / 40); }},
  };
  for (const auto& style : styles) {
    CAPTURE(style.what);
    const std::vector<int> times = spread("H H * * *", 0, 0, 1440, 1440, style.name);
    std::vector<int> minutes(60), hours(24);
    for (size_t i = 0; i < times.size(); ++i) minutes[i % 60] += times[i], hours[i / 60] += times[i];
    const double minute = unevenness(minutes), hour = unevenness(hours), both = unevenness(times);
    const double splay = unevenness(spread("0 0 * * *", kDay_ms - 1, 0, 1440, 1440, style.name));
    std::printf("%-20s chi-square off its mean by %+.1f (minutes), %+.1f (hours), %+.1f (both), %+.1f (splay) sigma\n",
                style.what, minute, hour, both, splay);
    for (const double off : {minute, hour, both, splay}) CHECK(std::abs(off) < 4);
  }
}
