#include "core/loss_report.h"

#include <algorithm>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr const char* kMetaLast = "loss_report";

}  // namespace

void LossReporter::load() { last_ = turn_.store.meta(kMetaLast, 0); }

Status LossReporter::set(const SetLossReport& report) {
  if (!report.sink.empty()) HF_TRY(check_name("sink", report.sink));
  HF_TRY(check_duration("every", report.every_ms, kLossReportMinMs, kLossReportMaxMs));
  to_ = report;
  return ok_status();
}

int64_t LossReporter::due_ms() const {
  return to_.sink.empty() || !turn_.losses.unreported() ? kNever : turn_.losses.first_ms() + to_.every_ms;
}

// The end of the last one is a turn, too.
int64_t LossReporter::next_wake_ms() const { return due_ms() > turn_.now_ms ? due_ms() : kNever; }

bool LossReporter::under_way() {
  if (last_ == 0) return false;
  jobs_.flush();
  const FullRow row = turn_.store.read(last_, false);
  return row.found && !is_final(row.job.state);
}

void LossReporter::act() {
  if (turn_.room != Room::enough || due_ms() > turn_.now_ms || under_way()) return;
  const Result<JobId> made = jobs_.add_delivery({kLossReportType, to_.sink, loss_record(turn_.losses.list(turn_.wall_ms, turn_.now_ms))});
  if (!made) return;  // there is no lane left: the counts stay
  last_ = *made;
  turn_.store.set_meta(kMetaLast, last_);
  turn_.losses.reported();
}

}  // namespace hf
