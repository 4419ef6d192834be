// What a run reports while it goes on: signs of life, progress, checkpoints, lines for its log. The rest of class Jobs is in jobs.cpp.
#include "core/jobs.h"

namespace hf {

void Jobs::heard_from(JobId id, int attempt) {
  Run* run = turn_.running.find(id);
  if (run != nullptr && run->attempt == attempt) turn_.running.beat(*run, turn_.now_ms);
}

// `number`: as in RunEnded.
Result<Run*> Jobs::reporter(JobId id, int attempt, uint64_t number) {
  Run* run = turn_.running.find(id);
  if (run == nullptr || run->attempt != attempt || (number != 0 && run->batch != number)) return Error{HF_E_STALE, "this run is over"};
  turn_.running.beat(*run, turn_.now_ms);
  return run;
}

Status Jobs::progress(const Progress& p) {
  Result<Run*> run = reporter(p.id, p.attempt, 0);
  if (!run) return run.error();
  if (p.percent >= 0) (*run)->progress = p.percent;
  if (p.note) (*run)->note = *p.note;
  return ok_status();
}

Status Jobs::log_line(const LogLine& l) {
  Result<Run*> run = reporter(l.id, l.attempt, l.run);
  if (!run) return run.error();
  if ((*run)->log == nullptr) (*run)->log = std::make_shared<JobLog>();
  (*run)->log->add(l.text);
  return ok_status();
}

Status Jobs::remember(const Remember& r) {
  Result<Run*> run = reporter(r.id, r.attempt, r.run);
  if (!run) return run.error();
  if (r.memo.size() > kMemoMax) {
    return Error{HF_E_TOO_LARGE, "the checkpoint has " + std::to_string(r.memo.size()) + " bytes; the limit is " + std::to_string(kMemoMax) + " (HF_CHECKPOINT_MAX)"};
  }
  set_memo(**run, r.memo);
  return ok_status();
}

void Jobs::set_memo(Run& run, std::string_view memo) {
  if (run.opts.memo == memo) return;
  flush();
  run.opts.memo = memo;
  take_room(memo.size());
  turn_.store.set_opts(run.id, encode_opts(run.opts));
}

}  // namespace hf
