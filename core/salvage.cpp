#include "core/salvage.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/names.h"
#include "core/salvage_host.h"
#include "core/store.h"

namespace hf {
namespace {

constexpr int64_t kLongestMs = 100LL * 366 * 86400 * 1000;
constexpr int64_t kClockSlackMs = 120000;         // the saved point of elapsed time is at most a minute behind the rows
constexpr int64_t kIdleMostMs = 400LL * 86400 * 1000;
constexpr size_t kMetaTextMax = 16384;

using Kind = Value::Kind;

bool in(int64_t v, int64_t low, int64_t high) { return v >= low && v <= high; }

class Salvage {
 public:
  Salvage(PageImage& image, Store& store) : image_(image), store_(store) {}

  Status run() {
    image_.weigh();
    store_.begin(false);
    read_small_tables();
    read_indexes();
    for_each_page([this](int64_t page) { read_lanes(page); });
    find_lost_lanes();
    for_each_page([this](int64_t page) { read_bodies(page); });
    damaged_ = 0;  // of jobs, from here
    for_each_page([this](int64_t page) { read_jobs(page); });
    finish();
    if (!store_.commit()) return store_.error();
    return ok_status();
  }
  const Salvaged& result() const { return result_; }

 private:
  // The surest pages first: of two rows with one id the first one stays. Those of hf_brief last: what moved to `job` went on there.
  template <class F>
  void for_each_page(F each) {
    std::vector<int64_t> brief, doubtful;
    for (int64_t page = 2; page <= image_.pages() && store_.ok(); ++page) {
      if (!image_.in_use(page) || !image_.table_leaf(page)) continue;
      if (!image_.may_be_ours(page)) {
        unassigned_ = unassigned_ || image_.tree_of(page) == kNoTree;
        continue;
      }
      if (!image_.surely_in_use(page)) doubtful.push_back(page);
      else if (image_.tree_of(page) == kBriefTree) brief.push_back(page);
      else each(page);
    }
    for (int64_t page : brief) each(page);
    for (int64_t page : doubtful) each(page);
  }

  void written() {
    if (++rows_ % kRowsACommit != 0 || !store_.ok()) return;
    store_.commit();
    store_.begin(false);
  }

  // ---- meta, queues, schedules: each row is a record of an index tree
  void read_small_tables() {
    for (int64_t page = 2; page <= image_.pages(); ++page) {
      const Tree tree = image_.tree_of(page);
      if (!image_.in_use(page) || (tree != kMetaTree && tree != kQueueTree && tree != kScheduleTree)) continue;
      int64_t damaged = 0;
      for (PageRow& row : image_.rows(page, damaged)) {
        if (tree == kMetaTree) read_meta(row);
        if (tree == kQueueTree) read_queue(row);
        if (tree == kScheduleTree) read_schedule(row);
      }
    }
  }

  void read_meta(const PageRow& row) {
    if (row.values.size() != 2 || !row.values[0].is(Kind::text)) return;
    const std::string& key = row.values[0].bytes;
    const Value& value = row.values[1];
    const bool plain = !key.empty() && key.size() <= 64 && std::all_of(key.begin(), key.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
    if (key == "clean") in_use_ = value.number != kClean;  // a copy was made of one
    if (!plain || key == "clean" || key == "min_reader" || key.starts_with("count_") || key == "lane_counts") return;
    if (value.is(Kind::text) && value.bytes.size() <= kMetaTextMax) store_.set_meta_text(key.c_str(), value.bytes);
    if (!value.is(Kind::number)) return;
    if (key == "next_id" && in(value.number, 1, kLargestId)) next_id_ = value.number;
    if (key == "elapsed" && !in(value.number, 1, kLongestMs)) return;
    if (key == "elapsed") elapsed_ms_ = value.number;
    if (key == "file_id" && !in(value.number, 0, std::numeric_limits<uint32_t>::max())) return;
    if (value.number >= 0) store_.set_meta(key.c_str(), value.number);
  }

  void read_queue(const PageRow& row) {
    if (row.values.size() != 3 || !row.values[0].is(Kind::text) || !row.values[1].is(Kind::number) || !row.values[2].is(Kind::blob)) return;
    if (!check_queue_name(row.values[0].bytes)) return;
    store_.put_queue(queue_row(row.values[0].bytes, row.values[1].number != 0, row.values[2].bytes));
    ++result_.queues;
  }

  void read_schedule(const PageRow& row) {
    const std::vector<Value>& v = row.values;
    if (v.size() != 10 || !v[0].is(Kind::text) || !v[1].is(Kind::blob)) return;
    for (size_t i = 2; i < 10; ++i) {
      if (!v[i].is(Kind::number) || v[i].number < 0) return;
    }
    ScheduleRow s;
    s.spec = decode_schedule(v[1].bytes);
    s.spec.name = v[0].bytes;
    if (!check_name("schedule", s.spec.name) || !check_name("job type", s.spec.job.type)) return;
    if (s.spec.cron.size() > 1024 || s.spec.zone.size() > 256 || !valid_utf8(s.spec.cron) || !valid_utf8(s.spec.zone)) return;
    s.paused = v[2].number != 0;
    s.next_ms = v[3].number;
    s.fire_ms = v[4].number;
    s.last_wall_ms = v[5].number;
    s.last_job = v[6].number;
    s.fired = v[7].number;
    s.skipped = v[8].number;
    s.failures = static_cast<int>(std::min<int64_t>(v[9].number, 1 << 20));
    store_.put_schedule(s);
    ++result_.schedules;
  }

  // ---- which jobs there were, by the indexes: each job is in exactly one of three, but for those that ran in a file in use
  static bool fits(Tree tree, int64_t first) { return tree == kPendingTree ? first > 0 : tree == kRunningTree ? first == 1 : in(first, 2, kStates - 1); }
  void read_indexes() {
    int64_t damaged = 0;
    for (int64_t page = 2; page <= image_.pages(); ++page) {
      const Tree tree = image_.tree_of(page);
      if (!image_.in_use(page) || (tree != kPendingTree && tree != kRunningTree && tree != kFinalTree)) continue;
      const size_t columns = tree == kPendingTree ? 4 : tree == kRunningTree ? 2 : 3;
      for (const PageRow& row : image_.rows(page, damaged)) {
        const bool numbers = row.values.size() == columns && std::all_of(row.values.begin(), row.values.end(), [](const Value& v) { return v.is(Kind::number); });
        if (!numbers || !in(row.values.back().number, 1, kLargestId) || !fits(tree, row.values[0].number)) {
          ++damaged;
        } else {
          known_.push_back(row.values.back().number);
        }
      }
    }
    for (Tree tree : {kPendingTree, kRunningTree, kFinalTree}) damaged += image_.broken_links(tree);
    std::sort(known_.begin(), known_.end());
    const auto twice = std::unique(known_.begin(), known_.end());  // a page that was written in another's place
    indexes_whole_ = damaged == 0 && twice == known_.end();
    known_.erase(twice, known_.end());
    // Ids below next_id were given out, others were not: unless it is next_id that is damaged.
    if (next_id_ > 0 && !known_.empty() && known_[known_.size() / 2] < next_id_) id_limit_ = next_id_ - 1;
    std::erase_if(known_, [this](JobId id) { return id > id_limit_; });
    largest_ = known_.empty() ? 0 : known_.back();
  }

  // ---- lanes
  // A lane's row never changes, and its number is never another's: a copy on a page that is free again is as good.
  void read_lanes(int64_t page) {
    int64_t damaged = 0;
    for (const PageRow& row : image_.rows(page, damaged)) take_lane(row);
  }
  void take_lane(const PageRow& row) {
    const std::vector<Value>& v = row.values;
    if (v.size() != 5 || !v[0].is(Kind::null) || !v[4].is(Kind::number)) return;
    if (!v[1].is(Kind::text) || !v[2].is(Kind::text) || !v[3].is(Kind::text)) return;
    const int64_t id = row.rowid;
    if (!in(id, 1, kLanesMax) || !in(v[4].number, 0, kLanesMax) || v[4].number == id) return;
    if (!check_queue_name(v[1].bytes) || !check_name("job type", v[2].bytes) || v[3].bytes.size() > HF_KEY_MAX) return;
    lanes_.emplace(static_cast<int>(id), LaneRow{static_cast<int>(id), v[1].bytes, v[2].bytes, v[3].bytes, static_cast<int>(v[4].number)});
  }
  void find_lost_lanes() {
    // What jobs name and what has no row; only then is it worth to look at pages that are not in use. Where a program has
    // tables of its own these may have been theirs.
    std::set<int> missing;
    for_each_page([&](int64_t page) {
      int64_t damaged = 0;
      for (PageRow& row : image_.rows(page, damaged)) {
        if (!whole_job_row(row.values) || !row.values[1].is(Kind::number) || !in(row.values[1].number, 1, kLanesMax)) continue;
        if (!lanes_.contains(static_cast<int>(row.values[1].number))) missing.insert(static_cast<int>(row.values[1].number));
      }
    });
    for (const auto& [id, lane] : lanes_) {
      if (lane.origin != 0 && !lanes_.contains(lane.origin)) missing.insert(lane.origin);
    }
    for (int64_t page = 2; !missing.empty() && !image_.may_have_others() && page <= image_.pages(); ++page) {
      if (image_.table_leaf(page) && !image_.in_use(page)) read_lanes(page);
    }
    for (int id : missing) {
      if (lanes_.emplace(id, LaneRow{id, "lost", "lost", "", 0}).second) lost_lanes_.insert(id);
    }
    for (const auto& [id, lane] : lanes_) {
      if (lane.origin != 0 && !lanes_.contains(lane.origin)) lanes_.at(id).origin = 0;
      store_.insert_lane(lane);
    }
  }

  // ---- bodies
  void read_bodies(int64_t page) {
    if (!image_.may_be_body(page)) return;
    int64_t damaged = 0;
    for (const PageRow& row : image_.rows(page, damaged)) {
      if (row.values.size() != 2 || !row.values[0].is(Kind::null) || !row.values[1].is(Kind::blob)) continue;
      if (!in(row.rowid, 2, 2 * id_limit_ + 1)) continue;
      store_.restore_body(row.rowid, row.values[1].bytes);
      written();
    }
  }

  // ---- jobs
  void read_jobs(int64_t page) {
    const Tree tree = image_.tree_of(page);
    int64_t damaged = 0;
    for (PageRow& row : image_.rows(page, damaged)) {
      if (whole_job_row(row.values) && in(row.rowid, 1, id_limit_)) read_job(row);
    }
    if (tree == kJobTree || tree == kBriefTree) damaged_ += damaged;
  }

  void read_job(PageRow& row) {
    std::vector<Value>& v = row.values;
    // The columns that make it a job; all lie at the beginning of the row.
    for (size_t i = 1; i <= 6; ++i) {
      if (!v[i].is(Kind::number)) return;
    }
    if (!in(v[1].number, 1, kLanesMax) || !in(v[2].number, -1, kStates - 1)) return;
    const JobId id = row.rowid;
    FullRow full;
    JobRow& job = full.job;
    job.id = id;
    job.lane = static_cast<int>(v[1].number);
    job.state = v[2].number < 0 ? State::running : static_cast<State>(v[2].number);
    job.priority = static_cast<int>(std::clamp<int64_t>(-v[3].number, -HF_PRIORITY_MAX, HF_PRIORITY_MAX));
    job.due_ms = std::max<int64_t>(v[4].number, 0);
    job.attempts = static_cast<int>(std::clamp<int64_t>(v[5].number, 0, std::numeric_limits<int>::max()));
    const int64_t latest = elapsed_ms_ > 0 ? elapsed_ms_ + kClockSlackMs : kLongestMs;
    job.created_ms = std::clamp<int64_t>(v[6].number, 1, latest);
    if (is_final(job.state)) full.finished_ms = v[7].is(Kind::number) ? std::clamp<int64_t>(v[7].number, 1, latest) : job.created_ms;
    job.at_wall_ms = std::max<int64_t>(v[8].number, 0);
    job.expires_ms = std::max<int64_t>(v[9].number, 0);
    job.unique_key = v[10].bytes;
    const JobOpts opts = decode_opts(v[11].bytes);
    job.opts = encode_opts(opts);  // fields that hold together
    const bool waits = job.state == State::pending && job.due_ms == kNever && !opts.after.empty();
    if (waits) waiting_.push_back(id);
    if (job.due_ms == kNever && job.at_wall_ms == 0 && !waits) job.due_ms = job.created_ms;
    full.error = std::string(cut_utf8(v[12].bytes, HF_ERROR_TEXT_MAX));
    full.history = encode_history(decode_history(v[13].bytes));
    full.payload = std::move(v[14].bytes);
    full.result = std::move(v[15].bytes);

    const LaneRow* lane = find_lane(job.lane);
    const bool delivery = lane->origin != 0 && !is_final(job.state);
    const size_t need = delivery ? 15 : 14;
    const bool has_need = v[need].is(Kind::blob) || (v[need].is(Kind::null) && store_.has_body(id * 2 + (delivery ? 1 : 0)));
    const bool cut = v[10].is(Kind::lost) || v[11].is(Kind::lost) || !has_need;
    if (!is_final(job.state) && cut) {
      job.state = State::dead;
      full.finished_ms = job.created_ms;
      job.unique_key.clear();
      full.error = std::string("the file was damaged: ") + (has_need ? "its options are lost" : delivery ? "its result is lost" : "its payload is lost");
    }
    if (job.unique_key.size() > HF_KEY_MAX || (!job.unique_key.empty() && store_.find_unique(job.unique_key) != 0)) job.unique_key.clear();
    if (!store_.restore(full, v[14].is(Kind::null), v[15].is(Kind::null))) {  // there is a surer one
      ++copies_;
      return;
    }
    written();
    largest_ = std::max(largest_, id);
    if (std::binary_search(known_.begin(), known_.end(), id)) ++found_;
    latest_row_ms_ = std::max({latest_row_ms_, job.created_ms, full.finished_ms});
    if ((cut && !has_need && job.state == State::dead) || lost_lanes_.contains(job.lane)) {
      ++result_.lost;
    } else {
      ++result_.saved;
    }
  }
  const LaneRow* find_lane(int id) { return &lanes_.at(id); }

  // Who waits for others (core/follow.cpp) goes on with that while they are there, and learns of the end of those that are not.
  void tie(JobId id) {
    const FullRow row = store_.read(id, false);
    if (!row.found || row.job.state != State::pending || row.job.due_ms != kNever) return;
    JobOpts opts = decode_opts(row.job.opts);
    JobId failed = 0;
    std::erase_if(opts.after, [&](JobId other) {
      const FullRow before = store_.read(other, false);
      if (before.found && !is_final(before.job.state)) {
        JobOpts its = decode_opts(before.job.opts);
        if (std::find(its.followers.begin(), its.followers.end(), id) != its.followers.end()) return false;
        if (its.followers.size() < kFollowersMax) {
          its.followers.push_back(id);
          store_.set_opts(other, encode_opts(its));
          return false;
        }
      }
      if ((!before.found || before.job.state != State::completed) && !opts.after_run) failed = other;
      return true;
    });
    if (failed != 0) {
      opts.after = {failed};
      doomed_ += std::to_string(id) + " ";
    }
    if (opts.after.empty() && !opts.unique_key.empty() && store_.find_unique(opts.unique_key) == 0) store_.set_unique(id, opts.unique_key);
    store_.set_opts(id, encode_opts(opts));
    if (failed != 0 || opts.after.empty()) store_.make_pending(id, row.job.lane, row.job.priority, row.job.created_ms, 0, row.job.attempts);
    written();
  }

  void finish() {
    store_.remove_bodies_without_job();
    for (const JobId id : waiting_) tie(id);
    store_.set_meta_text(kMetaDoomed, doomed_);
    // By the indexes, so many jobs were there that were not read; by the pages, so many rows at least.
    const int64_t unread = static_cast<int64_t>(known_.size()) - found_;
    result_.lost += std::max(unread, damaged_);
    const bool some_lost = unread > 0 || damaged_ > 0 || copies_ > 0 || image_.broken_links(kJobTree) > 0 || image_.broken_links(kBriefTree) > 0;
    result_.lost_unknown = (!indexes_whole_ || in_use_) && some_lost;
    if (unassigned_) result_.lost_unknown = true;  // pages that are ours or theirs
    if (image_.log().cut_off > 0 || image_.log().foreign) result_.lost_unknown = true;  // there was a log that is not read
    // A time far behind every row is a damaged one: all that waits would be due, all that is kept would go.
    if (latest_row_ms_ > 0 && elapsed_ms_ > latest_row_ms_ + kIdleMostMs) store_.set_meta("elapsed", latest_row_ms_);
    store_.set_meta("next_id", std::min(std::max(next_id_, largest_) + kIdGap, kLargestId));
    store_.set_meta("min_reader", kSchemaVersion);
    store_.set_meta("clean", kCopied);
    store_.set_meta("salvages", store_.meta("salvages", 0) + 1);
    store_.set_meta("salvage_saved", store_.meta("salvage_saved", 0) + result_.saved);
    store_.set_meta("salvage_lost", store_.meta("salvage_lost", 0) + result_.lost);
    store_.set_meta("salvage_unknown", store_.meta("salvage_unknown", 0) != 0 || result_.lost_unknown);
    store_.set_meta("salvage_ms", 0);  // the engine that opens it knows the time
  }

  PageImage& image_;
  Store& store_;
  Salvaged result_;
  int64_t next_id_ = 0, elapsed_ms_ = 0;
  JobId id_limit_ = kLargestId, largest_ = 0;
  std::vector<JobId> known_;  // ascending
  std::vector<JobId> waiting_;  // for others
  std::string doomed_;          // of these: kMetaDoomed
  bool indexes_whole_ = false, unassigned_ = false;
  bool in_use_ = true;
  int64_t found_ = 0, damaged_ = 0, copies_ = 0, rows_ = 0, latest_row_ms_ = 0;
  std::map<int, LaneRow> lanes_;
  std::set<int> lost_lanes_;
};

}  // namespace

Result<Salvaged> salvage(PageImage& image, const SalvageOptions& options) {
  const int page_size = image.bytes() >= 512 ? image.page_size() : options.page_size;
  auto store = Store::open({options.to, options.vfs, page_size, options.new_file_id});
  if (!store) return store.error();
  Salvage work(image, **store);
  HF_TRY(work.run());
  HF_TRY((*store)->close());
  Salvaged result = work.result();
  HF_TRY(salvage_host(image, options, result));
  return result;
}

}  // namespace hf
