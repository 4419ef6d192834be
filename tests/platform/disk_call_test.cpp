// A call of the disk on a thread: what is stopped while it runs keeps its thread until it returns, and what comes after waits.
#include "platform/files/disk_call.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

struct Fixture {
  TestLoop loop;
  HandleCountPtr handles = std::make_shared<HandleCount>();
  std::promise<void> opened;
  const std::shared_future<void> gate{opened.get_future()};
  std::atomic<int> inside{0};

  std::function<Result<int>()> hang() {
    return [this, gate = gate]() -> Result<int> {
      ++inside;
      gate.wait();
      return 1;
    };
  }
  static Result<int> answer() { return 2; }
  // Begins calls that hang, one after the other, and gives each up once it is under way.
  void hang_all(DiskCall& call, int threads) {
    for (int i = 1; i <= threads; ++i) {
      call.start<int>(hang(), [](Result<int>) { FAIL("it was stopped"); });
      while (inside < i) std::this_thread::yield();
      call.stop();
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "disk call: when every thread hangs in what was stopped, the next one waits for a thread") {
  BlockingPool pool(loop.uv(), handles, {2, 8, 30000, true});
  DiskCall call(loop.uv(), handles, pool);
  hang_all(call, 2);
  CHECK(pool.hung() == 2);
  int got = 0;
  call.start<int>(answer, [&](Result<int> value) { got = value ? *value : -1; });
  uv_run(loop.uv(), UV_RUN_NOWAIT);
  CHECK(got == 0);
  opened.set_value();
  REQUIRE(loop.run_until([&] { return got != 0; }));
  CHECK(got == 2);
  REQUIRE(loop.run_until([&] { return pool.hung() == 0; }));
}

TEST_CASE_FIXTURE(Fixture, "disk call: where nobody waits for a thread that hangs, it is busy") {
  BlockingPool pool(loop.uv(), handles, {1, 8, 30000});
  DiskCall call(loop.uv(), handles, pool);
  hang_all(call, 1);
  std::string failed;
  call.start<int>(answer, [&](Result<int> value) { failed = value ? "it was asked" : value.error().message; });
  REQUIRE(loop.run_until([&] { return !failed.empty(); }));
  CHECK(failed.find("all 1 threads hang") != std::string::npos);
  opened.set_value();
  REQUIRE(loop.run_until([&] { return pool.hung() == 0; }));
}
