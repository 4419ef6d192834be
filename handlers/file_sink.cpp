#include "handlers/file_sink.h"

#include <cassert>
#include <utility>

#include "handlers/next_turn.h"
#include "platform/memory.h"

namespace hf {
namespace {

// Of a sink: one may hang in the disk, the other goes on. A read that is under way when the link breaks is abandoned, and is soon
// over; a DiskCall does not wait for ever.
constexpr BlockingPoolOptions kDiskThreads = {2, 256, 30000, true};

}  // namespace

FileSinkRunner::FileSinkRunner(uv_loop_t* loop, HttpClient& client, FileSinkOptions options, EndRunThen end_run, std::function<void(Op)> tell)
    : loop_(loop), options_(std::move(options)), peer_(loop, client, options_.target), end_run_(std::move(end_run)),
      disk_(std::make_unique<BlockingPool>(loop, handles_, kDiskThreads)),
      shared_(new UploadShared{loop, handles_, *disk_, peer_, options_.files, options_.slice, std::move(tell)}),
      self_(std::make_shared<FileSinkRunner*>(this)) {}

FileSinkRunner::~FileSinkRunner() {
  assert(uploads_.empty());
}

void FileSinkRunner::start(StartRun run) {
  for (RunJob& job : run.jobs) {
    const Fence fence = fence_of(job);
    const bool begun = guarded([&] {
      auto& upload = uploads_[fence];
      upload = std::make_unique<FileUpload>(*shared_, std::move(job), run.timeout_ms,
                                            [this, fence](RunEnded how, std::string path, std::optional<FileState> file) {
                                              ended(fence, std::move(how), std::move(path), file);
                                            });
      upload->start();
    });
    if (begun) continue;
    uploads_.erase(fence);
    throw std::bad_alloc();  // the run has not begun
  }
}

void FileSinkRunner::stop(JobId id, int attempt, StopReason reason) {
  const auto upload = newest_run(uploads_, id, attempt);
  if (upload != uploads_.end()) upload->second->stop(reason);
}

void FileSinkRunner::ended(const Fence& fence, RunEnded how, std::string path, std::optional<FileState> file) noexcept {
  uploads_.erase(fence);
  std::function<void()> recorded;
  // Without memory, or when the process ends before it is recorded, the file stays.
  if (file) (void)guarded([&] {
    recorded = [self = std::weak_ptr(self_), path, file = *file] {
      if (const auto runner = self.lock()) (void)guarded([&] { (*runner)->remove(path, file); });
    };
  });
  end_run_(std::move(how), std::move(recorded));
  close_if_done();
}

void FileSinkRunner::remove(const std::string& path, const FileState& file) {
  deletions_.emplace_back(loop_, handles_, *disk_);
  const auto call = std::prev(deletions_.end());
  const bool begun = guarded([&] {
    call->start<Done>([folder = OutboxFolder(options_.files.root), path, file] { return folder.remove(path, file); },
                      [this, call](const Status&) {
                        deletions_.erase(call);
                        close_if_done();
                      });
  });
  if (!begun) deletions_.erase(call);
}

void FileSinkRunner::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  // Each may end within, and is gone then.
  for (auto next = uploads_.begin(); next != uploads_.end();) {
    const auto upload = next++;
    upload->second->stop(StopReason::shutdown);
  }
  close_if_done();
}

void FileSinkRunner::close_if_done() {
  if (!closed_ || !uploads_.empty() || !deletions_.empty()) return;
  self_.reset();
  peer_.release();
  // Not here: this may be called by one of its calls.
  on_next_turn(loop_, [this, closed = std::exchange(closed_, nullptr)] {
    shared_.reset();
    disk_.reset();
    handles_->when_none(closed);
  });
}

}  // namespace hf
