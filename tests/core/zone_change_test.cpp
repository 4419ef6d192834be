// Time zones that change under a queue that is in use: governments do that, and packages.
#include "scheduler_fixture.h"
#include "table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

// One zone, "Test/Zone", a number of hours east of Greenwich, or gone.
class Changing final : public ZoneSource {
 public:
  Result<std::shared_ptr<const Zone>> find(std::string_view name) const override {
    if (name != "Test/Zone") return utc_only().find(name);
    if (zone_ == nullptr) return Error{HF_E_NOT_FOUND, "there is no time zone \"Test/Zone\""};
    return zone_;
  }
  uint64_t version() const override { return version_; }
  void set(int hours) { zone_ = std::make_shared<TableZone>("Test/Zone", hours * 3600, std::vector<TableZone::Change>{}), ++version_; }
  void remove() { zone_ = nullptr, ++version_; }

 private:
  std::shared_ptr<const Zone> zone_;
  uint64_t version_ = 1;
};

class ZoneChange : public SchedulerFixture {  // 10:30 UTC
 public:
  ZoneChange() {
    all.set(0);
    zones = &all;
    crash();
  }
  ~ZoneChange() { engine.reset(); }
  void put_at(const std::string& cron) {
    ScheduleSpec s = hourly();
    s.cron = cron;
    s.zone = "Test/Zone";
    put(s);
  }
  Changing all;
};

}  // namespace

TEST_CASE_FIXTURE(ZoneChange, "rules that change move what lies ahead, earlier and later, and what has fired does not come again") {
  put_at("0 12 * * *");
  CHECK(info().next_wall_ms == today(12));
  all.set(1);
  tick();
  CHECK(info().next_wall_ms == today(11));
  CHECK(last.next_wake_wall_ms == today(11));
  all.set(-3);
  tick();
  CHECK(info().next_wall_ms == today(15));
  all.set(1);
  tick();
  go_to(today(11));
  CHECK(made() == std::vector<int64_t>{today(11)});
  CHECK(info().next_wall_ms == today(35));
  all.set(0);  // 12:00 of the same day lies ahead again: it is another time
  tick();
  CHECK(info().next_wall_ms == today(12));
  crash();
  CHECK(info().next_wall_ms == today(12));
}

TEST_CASE_FIXTURE(ZoneChange, "what is due is not moved, nor what waits for a clock, nor what has no zone") {
  put_at("0 12 * * *");
  ScheduleSpec other = every("7h");
  other.name = "every";
  put(other);
  const int64_t beat = ask<std::vector<ScheduleInfo>>(ScheduleList{"every"}).at(0).next_wall_ms;
  now.wall_ms = today(12, 1);
  all.set(5);
  tick();
  CHECK(made().front() == today(12));
  CHECK(info().next_wall_ms == today(31));
  now.wall_ms -= 91 * kMinute;  // as it was
  tick();
  CHECK(ask<std::vector<ScheduleInfo>>(ScheduleList{"every"}).at(0).next_wall_ms == beat);
  now.synced = false;
  now.wall_ms = 20000;
  tick();
  all.set(1);
  tick();
  CHECK(made().size() == 1);
}

TEST_CASE_FIXTURE(ZoneChange, "a zone that goes is kept as it was read; one that was gone at the start is found when it comes, and made up for") {
  put_at("0 12 * * *");
  all.remove();
  tick();
  CHECK(info().waiting == "");
  go_to(today(12));
  CHECK(made() == std::vector<int64_t>{today(12)});
  crash();
  CHECK(info().waiting.find("Test/Zone") != std::string::npos);
  pass(25 * kHour);
  CHECK(made().size() == 1);
  all.set(0);
  tick();
  CHECK(info().waiting == "");
  CHECK(made().size() == 2);  // by catch_up
  CHECK(made().back() == today(12));
}

TEST_CASE_FIXTURE(ZoneChange, "rules that changed while the device was off, or while its zone was gone, count at the next start") {
  put_at("0 12 * * *");
  all.set(1);
  crash();
  CHECK(info().next_wall_ms == today(11));
  all.set(-1);
  reboot(kMinute, false);
  tick();
  now.synced = true;
  tick();
  CHECK(info().next_wall_ms == today(13));
  all.remove();
  crash();
  CHECK(info().waiting != "");
  all.set(-2);
  tick();
  CHECK(info().next_wall_ms == today(14));
}

TEST_CASE_FIXTURE(ZoneChange, "what the configuration says is kept without its zone, and begins when it is there; others are refused") {
  handler("x");
  all.remove();
  ScheduleSpec s = hourly();
  s.cron = "0 12 * * *";
  s.zone = "Test/Zone";
  CHECK(refused(SchedulePut{s}).message.find("time zone \"Test/Zone\"") == 0);
  CHECK(refused(QueueSet{"default", {.windows = "10:00-11:00", .zone = "Test/Zone"}}).message.find("time zone \"Test/Zone\"") == 0);
  s.configured = true;
  put(s);
  put(s);
  CHECK(info().waiting.find("Test/Zone") != std::string::npos);
  CHECK(info().next_wall_ms == 0);
  ask<Done>(SetQueueDefaults{"default", {.windows = "10:00-11:00", .zone = "Test/Zone"}});
  const JobId id = add(spec("x"));
  CHECK(gates(id) == "window");
  CHECK(refused(SetQueueDefaults{"default", {.windows = "10-11"}}).code == HF_E_INVALID);
  pass(kMinute);
  CHECK(made().size() == 1);  // the one that was added
  all.set(0);
  tick();
  CHECK(info().waiting == "");
  CHECK(info().next_wall_ms == today(12));
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(ZoneChange, "windows go by the new rules at once, and open when their zone comes back") {
  handler("x");
  ask<Done>(QueueSet{"default", {.windows = "10:00-11:00", .zone = "Test/Zone"}});
  auto open_now = [&] { return ask<std::vector<QueueInfo>>(QueueList{"default"}).at(0).open; };
  CHECK(open_now());
  all.set(3);
  CHECK_FALSE(open_now());
  all.remove();
  CHECK_FALSE(open_now());
  all.set(0);
  CHECK(open_now());
  all.remove();
  crash();
  CHECK_FALSE(open_now());
  all.set(0);
  CHECK(open_now());
}
