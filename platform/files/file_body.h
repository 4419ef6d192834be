// A part of a file as the body of a request.
#pragma once

#include <memory>
#include <optional>

#include "platform/files/disk_call.h"
#include "platform/files/outbox_folder.h"
#include "platform/net/http_message.h"

namespace hf {

// Loop thread. `pool` outlives what is under way.
class FileBody : public HttpBody {
 public:
  // REQUIRES: size > 0
  FileBody(uv_loop_t* loop, HandleCountPtr handles, BlockingPool& pool, std::shared_ptr<const OutboxFile> file, int64_t from, int64_t size)
      : file_(std::move(file)), from_(from), size_(size), disk_(loop, std::move(handles), pool) {}

  int64_t size() const override { return size_; }
  void read(int64_t at, std::function<void(Result<Piece>)> ready) override;
  void stop() override { disk_.stop(); }
  // Why a piece could not be read, if one could not.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  const std::shared_ptr<const OutboxFile> file_;
  const int64_t from_, size_;
  std::optional<Error> failure_;
  DiskCall disk_;
};

// The SHA-256 of a part of a file, read piece by piece, so that it can be stopped. Loop thread.
class FileSum {
 public:
  FileSum(uv_loop_t* loop, HandleCountPtr handles, BlockingPool& pool) : disk_(loop, std::move(handles), pool) {}
  // Calls `done` once, from the loop, never within this call, with the 32 bytes.
  void start(std::shared_ptr<const OutboxFile> file, int64_t from, int64_t size, std::function<void(Result<std::string>)> done);
  void stop();

 private:
  struct Work;
  void next(std::shared_ptr<Work> work);
  DiskCall disk_;
  std::function<void(Result<std::string>)> done_;
};

}  // namespace hf
