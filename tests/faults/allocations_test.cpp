// Every allocation of the library and of the libraries under it fails, on whichever thread, once and for a while.
#include <doctest/doctest.h>
#include <signal.h>
#include <uv.h>

#include <new>

#include "fault.h"
#include "platform/loop.h"
#include "world.h"

TEST_CASE("faults: each allocation fails, once and for a while") { hf::test::fail_each(1000, 60, 8); }

namespace {

// `create` without the n-th piece of memory, from the first on until it needs no more; whatever it left on the loop is
// still there when the loop goes on, and goes with it.
template <class Create>
void fail_each_of(Create create) {
  bool done = false;
  int refused = 0;
  for (int n = 1; !done; ++n) {
    REQUIRE(n < 100);
    uv_loop_t loop;
    REQUIRE(uv_loop_init(&loop) == 0);
    decltype(create(&loop)) made = hf::Error{HF_E_NO_MEMORY, ""};
    fault::set(n, 0);
    try {
      made = fault::library([&] { return create(&loop); });
    } catch (const std::bad_alloc&) {
    }
    done = fault::refused == 0;
    refused += done ? 0 : 1;
    fault::set(0, 0);
    CHECK(made.ok() == done);
    uv_run(&loop, UV_RUN_NOWAIT);
    made = hf::Error{HF_E_NO_MEMORY, ""};
    for (int turn = 0; turn < 3; ++turn) uv_run(&loop, UV_RUN_NOWAIT);
    REQUIRE(uv_loop_close(&loop) == 0);  // nothing is on it any more
  }
  CHECK(refused >= 2);
}

}  // namespace

TEST_CASE("faults: a watch for which there is no memory leaves nothing on the loop") {
  using namespace hf;
  fault::Spare mine;
  fail_each_of([](uv_loop_t* loop) { return BootTimer::create(loop, [] {}); });
  fail_each_of([](uv_loop_t* loop) { return SignalWatch::create(loop, {SIGUSR1, SIGUSR2}, [](int) {}); });
}
