#include "passes.h"

#include <memory>

#include "core/page_image.h"

namespace hf::sim {

namespace {

// What a device finds when the power comes back; "" if all is as it must be.
std::string check_image(const Disk& image, Ledger ledger, const std::vector<Op>& in_flight, EngineOptions options) {
  options.vfs = image.vfs();
  options.boot_id += "+";
  options.now.boot_ms = 1000;
  options.now.wall_ms += 5000;
  options.before = {};
  // What a cut leaves must not be taken for damage: whoever opens the file looks at its log first (platform/heal.h).
  {
    Result<std::unique_ptr<PageImage>> look = PageImage::open(options.path, options.vfs);
    if (!look) return "cannot be looked at: " + look.error().message;
    if ((*look)->log().foreign) return "its log is taken for another's";
    Result<std::unique_ptr<RawFile>> log = RawFile::open(options.path, options.vfs, true);
    if (!log) return log.error().message;
    options.log = (*look)->log().present ? Store::LogFile::present : *log == nullptr ? Store::LogFile::absent : Store::LogFile::unknown;
  }
  Result<std::unique_ptr<Engine>> opened = Engine::open(options);
  if (!opened) return "does not open: " + opened.error().message;
  Engine& engine = **opened;
  if (engine.log_lost()) return "its log is thought to be lost";
  try {
    auto ask = [&](Op op) {
      Request request{std::move(op), {}, {}};
      Request* one = &request;
      Result<Tick> tick = engine.tick(options.now, {&one, 1});
      if (!tick) throw Violation{"a turn fails: " + tick.error().message};
      if (auto* error = std::get_if<Error>(&request.reply)) throw Violation{error->message};
      return std::move(request.reply);
    };
    ListQuery query;
    query.limit = 1000;
    JobSpec spec;
    spec.type = spec.tags = "after";
    ledger.in_doubt(in_flight);
    ledger.in_doubt({Enqueue{{spec}}});  // by a recovery that the power cut short
    ledger.reconcile(std::get<JobPage>(ask(List{query})).jobs, Loss::power);
    std::string check = std::get<std::string>(ask(Check{}));
    if (!check.empty()) return check;
    JobId id = std::get<std::vector<JobId>>(ask(Enqueue{{spec}})).front();
    if (ledger.ever_seen(id)) return "job " + std::to_string(id) + ": this id was used before";
  } catch (const Violation& v) {
    return v.what;
  }
  return "";
}

std::string cut_name(Cut how) {
  static constexpr const char* kNames[] = {"drop", "keep", "prefix", "scatter", "newest"};
  return kNames[static_cast<int>(how)];
}

}  // namespace

CutPass cut_everywhere(uint64_t seed, int jobs, int every, bool again, bool no_sync) {
  CutPass pass;
  Disk image, second;
  uint64_t changes_seen = 0;
  Plan plan;
  plan.seed = seed;
  plan.jobs = jobs;
  plan.no_sync = no_sync;
  plan.faults.push_back({jobs * 900LL, FaultKind::restart, 0, 1});
  plan.before_change = [&](const Moment& m) {
    if (++changes_seen % static_cast<uint64_t>(every) != 0) return;
    for (Cut how : kCuts) {
      std::string where = "seed " + std::to_string(seed) + " change " + std::to_string(changes_seen) + " " + cut_name(how);
      Random random(seed * 1000003 + changes_seen);
      m.disk.cut_into(image, how, random);
      uint64_t step = 0;
      image.on_call = [&](Call c) {
        if (!again || !changes(c)) return Verdict::ok;
        ++step;
        for (Cut then : kCuts) {
          Random chance(seed * 7 + changes_seen * 1009 + step);
          image.cut_into(second, then, chance);
          ++pass.again.tried;
          std::string what = check_image(second, m.ledger, m.in_flight, m.options);
          if (!what.empty()) pass.again.add(where + ", in its recovery at change " + std::to_string(step) + " " + cut_name(then), what);
        }
        return Verdict::ok;
      };
      ++pass.first.tried;
      std::string what = check_image(image, m.ledger, m.in_flight, m.options);
      if (!what.empty()) pass.first.add(where, what);
    }
  };
  Report whole = simulate(plan);
  if (!whole.violation.empty()) pass.first.add("seed " + std::to_string(seed), whole.violation);
  return pass;
}

namespace {
PassReport fail_each(uint64_t seed, int jobs, int every, uint64_t Plan::* which, uint64_t Report::* all, const Plan& base, const char* name) {
  PassReport report;
  Plan plan = base;
  plan.seed = seed;
  plan.jobs = jobs;
  plan.faults.push_back({jobs * 900LL, FaultKind::restart, 0, 1});
  uint64_t end = simulate(plan).*all;
  for (uint64_t n = 1; n <= end; n += static_cast<uint64_t>(every)) {
    plan.*which = n;
    ++report.tried;
    Report r = simulate(plan);
    if (!r.violation.empty()) report.add("seed " + std::to_string(seed) + " " + name + " " + std::to_string(n), r.violation);
  }
  return report;
}
}  // namespace

PassReport fail_every_call(uint64_t seed, int jobs, int every, Verdict how, bool on) {
  Plan base;
  base.fail_how = how;
  base.on = on;
  return fail_each(seed, jobs, every, &Plan::fail_call, &Report::calls, base, "disk call");
}

PassReport fail_every_allocation(uint64_t seed, int jobs, int every, bool on) {
  Plan base;
  base.on = on;
  return fail_each(seed, jobs, every, &Plan::fail_allocation, &Report::allocations, base, "allocation");
}

}  // namespace hf::sim
