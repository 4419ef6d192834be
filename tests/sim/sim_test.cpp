// The share of the simulator that every push runs; `sim` goes on (make soak).
#include <doctest/doctest.h>

#include "alloc.h"
#include "passes.h"
#include "rows.h"

using namespace hf;
using namespace hf::sim;

namespace {

#if defined(__arm__) || defined(__aarch64__)
constexpr int kShare = 8;  // under an emulator
#else
constexpr int kShare = 1;
#endif

void none(const PassReport& r) {
  for (const std::string& v : r.violations) MESSAGE(v);
  CHECK(r.broken == 0);
  CHECK(r.tried > 0);
}

}  // namespace

TEST_CASE("random seeds with all faults: nothing that was acknowledged is lost, and every job comes to its end") {
  int64_t cuts = 0, kills = 0, failed = 0;
  for (uint64_t seed = 1; seed <= 200 / kShare; ++seed) {
    Report r = simulate(make_plan(seed, 100));
    INFO("sim --seed " << seed << " --seeds 1");
    CHECK(r.violation == "");
    cuts += r.cuts, kills += r.kills, failed += r.failed_turns;
  }
  CHECK(cuts > 0);
  CHECK(kills > 0);
  CHECK(failed > 0);
}

TEST_CASE("the same seed gives the same trace, another gives another") {
  CHECK(simulate(make_plan(3, 60)).hash == simulate(make_plan(3, 60)).hash);
  CHECK(simulate(make_plan(3, 60)).hash != simulate(make_plan(4, 60)).hash);
}

TEST_CASE("the power goes at every change of the disk, and again in the recovery") {
  none(cut_everywhere(1, 25, 3 * kShare, false).first);
  none(cut_everywhere(2, 25, 90 * kShare, true).again);
}

TEST_CASE("a disk that syncs nothing is found out") {
  CHECK(cut_everywhere(1, 10, 3, false, true).first.broken > 0);
}

TEST_CASE("each call of the disk fails, once and from then on") {
  for (bool on : {false, true}) {
    for (Verdict how : {Verdict::fail, Verdict::full, Verdict::land, Verdict::lose}) none(fail_every_call(3, 15, 11 * kShare, how, on));
  }
}

TEST_CASE("each allocation fails, once and from then on") {
  for (bool on : {false, true}) none(fail_every_allocation(3, 25, 9 * kShare, on));
}

TEST_CASE("a row of a program has its job, and a job its row, whatever fails") {
  const RowsPass pass = rows_and_jobs(1, 16 / kShare, 150);
  none(pass.report);
  CHECK(pass.kept > 0);
  CHECK(pass.undone > 0);
  CHECK(pass.failed_turns > 0);
  CHECK(pass.kills > 0);
  CHECK(pass.cuts > 0);
  CHECK(rows_and_jobs(1, 1, 20, true).report.broken == 1);  // apart, that is found out
}

TEST_CASE("a file is not taken for damaged when any two calls of its opening fail") {
  install_allocator();
  sqlite3_initialize();
  EngineOptions options;
  options.path = "/sim/queue.db";
  options.boot_id = "a";
  options.now = {3000, 1790000000000, true};
  Disk killed;
  {
    options.vfs = killed.vfs();
    auto engine = Engine::open(options);
    REQUIRE(engine);
    JobSpec spec;
    spec.type = "t";
    spec.payload = std::string(400, 'p');
    Request enqueue{Enqueue{std::vector<JobSpec>(150, spec)}, {}, {}};
    Request* one = &enqueue;
    REQUIRE((*engine)->tick(options.now, {&one, 1}));
    killed.process_dies();
  }
  Random random(1);
  Disk disk;
  uint64_t calls = 0, first = 0, second = 0;
  auto open = [&] {
    killed.cut_into(disk, Cut::keep, random);
    calls = 0;
    auto engine = Engine::open(options);
    return engine ? int{HF_OK} : engine.error().code;
  };
  options.vfs = disk.vfs();
  disk.on_call = [&](Call) { return ++calls == first || calls == second ? Verdict::fail : Verdict::ok; };
  CHECK(open() == HF_OK);
  const uint64_t all = calls;
  CHECK(all > 100);
  int refused = 0;
  for (first = 1; first <= all; first += kShare) {
    for (second = first + 1; second <= all + 10; second += 7 * kShare) {
      const int code = open();
      refused += code != HF_OK ? 1 : 0;
      CAPTURE(first);
      CAPTURE(second);
      CHECK((code == HF_OK || code == HF_E_IO));
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("the faults of a seed that fails are shortened") {
  Plan plan = make_plan(5, 60);
  plan.no_sync = true;
  for (uint64_t seed = 5; simulate(plan).violation.empty(); ++seed) {
    plan = make_plan(seed, 60);
    plan.no_sync = true;
    REQUIRE(seed < 100);
  }
  std::vector<Fault> few = shorten(plan);
  CHECK(few.size() <= plan.faults.size());
  CHECK(few.size() >= 1);
  plan.faults = few;
  CHECK(simulate(plan).violation != "");
}
