// sim [--seed S] [--seeds N] [--jobs N] [--seconds N] [--faults 3,5|none] [--no-sync] [--trace]
// sim cuts|calls|allocations [--seed S] [--jobs N] [--every N] [--no-sync]
// sim rows [--seed S] [--seeds N] [--jobs N]     N transactions a seed
//
// Runs seeds S, S+1, ...; a violation prints the seed, the shortened faults, and the command that plays them again.
// With a pass (passes.h): every place of one seed's script.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>

#include "passes.h"
#include "rows.h"

using namespace hf::sim;

namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

bool same(const Fault& a, const Fault& b) { return a.at_ms == b.at_ms && a.kind == b.kind && a.how == b.how; }

std::string numbers(const Plan& plan, const std::vector<Fault>& some) {
  std::string text;
  for (size_t i = 0; i < plan.faults.size(); ++i) {
    for (const Fault& f : some) {
      if (same(f, plan.faults[i])) text += (text.empty() ? "" : ",") + std::to_string(i);
    }
  }
  return text.empty() ? "none" : text;
}

void choose(Plan& plan, const char* list) {
  std::vector<Fault> chosen;
  std::istringstream in(std::strcmp(list, "none") == 0 ? "" : list);
  for (std::string n; std::getline(in, n, ',');) {
    size_t i = std::strtoul(n.c_str(), nullptr, 10);
    if (i < plan.faults.size()) chosen.push_back(plan.faults[i]);
  }
  plan.faults = chosen;
}

int tell(const char* name, const PassReport& r) {
  for (const std::string& v : r.violations) std::printf("VIOLATION %s\n", v.c_str());
  std::printf("%s: %llu tried, %llu violations\n", name, static_cast<unsigned long long>(r.tried), static_cast<unsigned long long>(r.broken));
  std::fflush(stdout);
  return r.broken == 0 ? 0 : 1;
}

int run_rows(uint64_t seed, uint64_t seeds, int transactions) {
  const RowsPass pass = rows_and_jobs(seed, static_cast<int>(seeds), transactions);
  auto n = [](uint64_t v) { return static_cast<unsigned long long>(v); };
  std::printf("%llu kept, %llu not; %llu failed turns, %llu kills, %llu power cuts\n", n(pass.kept), n(pass.undone), n(pass.failed_turns), n(pass.kills), n(pass.cuts));
  return tell("rows and their jobs", pass.report);
}

int run_pass(const std::string& pass, uint64_t seed, int jobs, int every, bool no_sync) {
  if (pass == "cuts") {
    CutPass first = cut_everywhere(seed, jobs, every, false, no_sync);
    int rc = tell("power cut at every change of the disk", first.first);
    if (no_sync) return rc;
    CutPass again = cut_everywhere(seed, jobs, every * 60, true);
    return rc | tell("again in the recovery", again.again);
  }
  int rc = 0;
  for (bool on : {false, true}) {
    std::string how = on ? ", and all after it for 20 s" : ", once";
    if (pass == "calls") {
      rc |= tell(("each disk call fails" + how).c_str(), fail_every_call(seed, jobs, every, Verdict::fail, on));
      rc |= tell(("each disk call: full" + how).c_str(), fail_every_call(seed, jobs, every, Verdict::full, on));
      rc |= tell(("each disk call: fails and happens" + how).c_str(), fail_every_call(seed, jobs, every, Verdict::land, on));
      rc |= tell(("each disk call: sync loses" + how).c_str(), fail_every_call(seed, jobs, every, Verdict::lose, on));
    } else {
      rc |= tell(("each allocation fails" + how).c_str(), fail_every_allocation(seed, jobs, every, on));
    }
  }
  return rc;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = 1, seeds = 100;
  int jobs = 100;
  double seconds = 0;
  const char* faults = nullptr;
  bool no_sync = false, trace = false;
  int every = 1;
  std::string pass = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  if (!pass.empty() && pass != "cuts" && pass != "calls" && pass != "allocations" && pass != "rows") {
    return std::fprintf(stderr, "sim: cuts, calls, allocations or rows\n"), 2;
  }
  for (int i = pass.empty() ? 1 : 2; i < argc; ++i) {
    std::string name = argv[i];
    auto value = [&] { return i + 1 < argc ? argv[++i] : (std::fprintf(stderr, "%s needs a value\n", name.c_str()), std::exit(2), argv[0]); };
    if (name == "--seed") seed = std::strtoull(value(), nullptr, 10);
    else if (name == "--seeds") seeds = std::strtoull(value(), nullptr, 10);
    else if (name == "--jobs") jobs = std::atoi(value());
    else if (name == "--every") every = std::atoi(value());
    else if (name == "--seconds") seconds = std::atof(value());
    else if (name == "--faults") faults = value(), seeds = 1;
    else if (name == "--no-sync") no_sync = true;
    else if (name == "--trace") trace = true;
    else return std::fprintf(stderr, "sim: unknown option %s\n", name.c_str()), 2;
  }
  if (jobs < 1 || jobs > 1000000) return std::fprintf(stderr, "sim: --jobs is 1 to 1000000\n"), 2;
  if (every < 1) return std::fprintf(stderr, "sim: --every is 1 or more\n"), 2;
  if (pass == "rows") return run_rows(seed, seeds, jobs);
  if (!pass.empty()) return run_pass(pass, seed, jobs, every, no_sync);

  Report sum;
  uint64_t done = 0, broken = 0, hash = 0;
  double begun = cpu_seconds();
  for (uint64_t s = seed; seconds > 0 ? cpu_seconds() - begun < seconds : s < seed + seeds; ++s) {
    Plan plan = make_plan(s, jobs);
    if (faults != nullptr) choose(plan, faults);
    plan.no_sync = no_sync;
    plan.trace = trace;
    Report r = simulate(plan);
    ++done;
    sum.jobs += r.jobs, sum.runs += r.runs, sum.uploads += r.uploads, sum.cuts += r.cuts, sum.kills += r.kills;
    sum.failed_turns += r.failed_turns, sum.times_full += r.times_full, sum.steps += r.steps, sum.virtual_ms += r.virtual_ms;
    hash = hash * 31 + r.hash;
    if (r.violation.empty()) continue;
    ++broken;
    std::printf("VIOLATION seed %llu: %s\n", static_cast<unsigned long long>(s), r.violation.c_str());
    if (!trace && broken <= 5) {
      std::vector<Fault> less = shorten(plan);
      for (const Fault& f : less) std::printf("  at %lld ms: %s %llu\n", static_cast<long long>(f.at_ms), fault_name(f.kind), static_cast<unsigned long long>(f.n));
      std::printf("  again: sim --seed %llu --jobs %d --faults %s%s --trace\n", static_cast<unsigned long long>(s), jobs,
                  numbers(make_plan(s, jobs), less).c_str(), no_sync ? " --no-sync" : "");
    }
    std::fflush(stdout);
  }
  double cpu = cpu_seconds() - begun;
  double hours = static_cast<double>(sum.virtual_ms) / 3600000;
  std::printf("%llu seeds, %lld jobs, %lld runs, %lld uploads, %lld turns; %lld kills, %lld power cuts, %lld failed turns, %lld times full\n",
              static_cast<unsigned long long>(done), static_cast<long long>(sum.jobs), static_cast<long long>(sum.runs),
              static_cast<long long>(sum.uploads), static_cast<long long>(sum.steps), static_cast<long long>(sum.kills),
              static_cast<long long>(sum.cuts), static_cast<long long>(sum.failed_turns), static_cast<long long>(sum.times_full));
  // Of a device with one job a second; the idle hours cost next to nothing, and are told apart.
  double busy_hours = static_cast<double>(sum.jobs) / 3600;
  std::printf("%.1f CPU s: %.1f hours of one job a second a CPU second (with the idle ones %.1f); trace %016llx\n", cpu, cpu > 0 ? busy_hours / cpu : 0,
              cpu > 0 ? hours / cpu : 0, static_cast<unsigned long long>(hash));
  std::printf("%llu violations\n", static_cast<unsigned long long>(broken));
  return broken == 0 ? 0 : 1;
}
