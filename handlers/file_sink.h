// Uploads the files that jobs name: docs/delivery.md, "Files".
#pragma once

#include <list>
#include <map>
#include <memory>

#include "handlers/file_upload.h"
#include "platform/runner.h"

namespace hf {

struct FileSinkOptions {
  HttpTarget target;
  FilesOptions files;
  int64_t slice = 0;  // bytes: a run sends at least so much, then it is handed back, so that a budget is asked before it goes on; 0: it goes on
};

// How runs are reported. `recorded` is called on the loop thread once the end is in the queue's file; it may never be.
using EndRunThen = std::function<void(RunEnded, std::function<void()> recorded)>;

// Loop thread. One upload a job.
class FileSinkRunner : public Runner {
 public:
  // Made on the loop thread. `client` outlives the runner; `end_run` and `tell` (a Remember or Progress) do not throw.
  FileSinkRunner(uv_loop_t* loop, HttpClient& client, FileSinkOptions options, EndRunThen end_run, std::function<void(Op)> tell);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever started
  ~FileSinkRunner() override;

  void start(StartRun run) override;
  void stop(JobId id, int attempt, StopReason reason) override;
  // Uploads under way are broken off, their jobs handed back.
  void shutdown(std::function<void()> closed) override;

 private:
  using Deletions = std::list<DiskCall>;
  void ended(const Fence& fence, RunEnded how, std::string path, std::optional<FileState> file) noexcept;
  void remove(const std::string& path, const FileState& file);
  void close_if_done();

  uv_loop_t* const loop_;
  const FileSinkOptions options_;
  HttpPeer peer_;
  const EndRunThen end_run_;
  const HandleCountPtr handles_ = std::make_shared<HandleCount>();
  std::unique_ptr<BlockingPool> disk_;
  std::unique_ptr<UploadShared> shared_;
  std::map<Fence, std::unique_ptr<FileUpload>> uploads_;
  Deletions deletions_;
  std::shared_ptr<FileSinkRunner*> self_;  // null once it shuts down: of those who come later
  std::function<void()> closed_;
};

}  // namespace hf
