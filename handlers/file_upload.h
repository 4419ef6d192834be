// One upload of a file, from the job to the end of its run.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "handlers/end_run.h"
#include "handlers/files_options.h"
#include "handlers/http_peer.h"
#include "handlers/upload_job.h"
#include "handlers/upload_protocol.h"
#include "platform/files/file_body.h"

namespace hf {

// In one run, one after another and without a byte more on the server: answers that did not store, requests that broke off. The
// next one ends the run.
inline constexpr int kUploadStallsMax = 3;
// Uploads of one job that are made anew and get on from their own start. Of later ones only what none of them had before counts:
// a server that loses each would have it sent again for ever.
inline constexpr int kUploadsAnewMax = 10;
inline constexpr int64_t kUploadRequestMs = 120000;  // a whole request, beside its body
inline constexpr int64_t kUploadMinRate = 1024;  // bytes a second, of a whole request: slower ones time out
inline constexpr int64_t kUploadAnswerMs = 120000;  // a server may have to store what it got

// What the uploads of a sink share; it outlives them. Loop thread.
struct UploadShared {
  uv_loop_t* loop;
  HandleCountPtr handles;
  BlockingPool& disk;
  HttpPeer& peer;
  const FilesOptions& options;
  int64_t slice;  // of FileSinkOptions
  std::function<void(Op)> tell;  // Remember, Progress
  TusServer tus = {};
};

// Loop thread. It asks where the upload has got to, and goes on from there, as long as each time some more of the file arrives;
// what was broken off then costs no attempt.
class FileUpload {
 public:
  // `file`: what was uploaded, if the run is done and the file is to be deleted. The FileUpload may be destroyed in it.
  using EndFn = std::function<void(RunEnded, std::string path, std::optional<FileState> file)>;
  FileUpload(UploadShared& shared, RunJob job, int64_t timeout_ms, EndFn end);
  FileUpload(const FileUpload&) = delete;
  FileUpload& operator=(const FileUpload&) = delete;

  void start();                  // `end` is called once, never within this call
  void stop(StopReason reason);  // soon, perhaps within this call

 private:
  template <class F>
  void step(F f) noexcept;
  void opened(Result<std::shared_ptr<const OutboxFile>> file);
  void begin();
  void ask_next();
  void send(const std::string& sum);
  void answered(const HttpResult& result);
  void heard(const HttpResult& result);
  RunEnded slice_done() const;
  void stalled(RunEnded how);
  void give_back(RunEnded how);
  void file_failed(const Error& error);
  void remember();
  void end(RunEnded how, std::optional<FileState> file = {}) noexcept;

  UploadShared& shared_;
  const RunJob job_;
  const int64_t timeout_ms_;
  EndFn end_;
  UploadJob upload_;
  DiskCall disk_;
  FileSum sum_;
  std::shared_ptr<const OutboxFile> file_;
  UploadMemo memo_;
  std::string told_;  // the memo that was told last
  std::unique_ptr<UploadProtocol> protocol_;
  UploadAsk ask_;
  RequestId request_ = 0;
  bool asking_ = false;  // its answer is owed; also of one that could not be made, which has no number
  std::shared_ptr<FileBody> body_;  // of that request, if it has one
  std::optional<StopReason> stopped_;
  bool moved_ = false;  // the server has more of this upload than before
  int stalls_ = 0;
  int64_t wire_bytes_ = 0, taken_ = 0;  // of this run: sent and received; of the file, sent
  int percent_ = -1;
};

}  // namespace hf
