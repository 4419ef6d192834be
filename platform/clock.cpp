#include "platform/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace hf {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

std::int64_t read_clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);  // cannot fail: both clocks exist since Linux 2.6.39
  return static_cast<std::int64_t>(now.tv_sec) * 1000 * kNsPerMs + now.tv_nsec;
}

// Rounds down, also before 1970, where a board without a battery may start.
std::int64_t floor_div(std::int64_t value, std::int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

// A small file of the kernel's; "" if it cannot be read.
std::string read_proc(const char* path) {
  int fd;
  do {
    fd = open(path, O_RDONLY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return "";
  char text[256];
  ssize_t got;
  do {
    got = read(fd, text, sizeof text);
  } while (got < 0 && errno == EINTR);
  close(fd);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : "";
}

}  // namespace

std::int64_t boot_ms() { return read_clock_ns(CLOCK_BOOTTIME) / kNsPerMs; }

std::int64_t boot_us() { return read_clock_ns(CLOCK_BOOTTIME) / 1000; }

std::int64_t wall_ms() { return floor_div(read_clock_ns(CLOCK_REALTIME), kNsPerMs); }

std::string boot_id() {
  constexpr std::size_t kUuidLength = 36;
  std::string id = read_proc("/proc/sys/kernel/random/boot_id");
  if (id.size() < kUuidLength) return "";
  id.resize(kUuidLength);
  return id + boot_offset(read_proc("/proc/self/timens_offsets"));
}

std::string boot_offset(const std::string& timens_offsets) {
  std::string_view rest = timens_offsets;
  const auto word = [&rest] {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n"), rest.size()));
    const std::string_view found = rest.substr(0, rest.find_first_of(" \t\n"));
    rest.remove_prefix(found.size());
    return std::string(found);
  };
  while (true) {
    const std::string clock = word(), seconds = word(), ns = word();
    if (ns.empty()) return "";
    if (clock == "boottime" && (seconds != "0" || ns != "0")) return " " + seconds + " " + ns;
  }
}

bool clock_synchronised() {
  timex state{};  // modes = 0: only reads
  return adjtimex(&state) != -1 && (state.status & STA_UNSYNC) == 0;
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  ssize_t got;
  do {
    got = getrandom(&seed, sizeof seed, 0);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof seed)) return seed;
  // A kernel without getrandom (a sandbox): jitter must differ between devices and boots, no more.
  return static_cast<std::uint64_t>(read_clock_ns(CLOCK_REALTIME)) * 0x9E3779B97F4A7C15ull ^
         static_cast<std::uint64_t>(read_clock_ns(CLOCK_BOOTTIME)) ^
         static_cast<std::uint64_t>(getpid()) << 48;
}

}  // namespace hf
