#include "platform/files/disk_call.h"

namespace hf {

DiskCall::DiskCall(uv_loop_t* loop, HandleCountPtr handles, BlockingPool& pool)
    : pool_(pool), timer_(loop, std::move(handles), [this] { late(); }) {}

void DiskCall::begin(std::function<void()> work, Done done) {
  done_ = std::move(done);
  failed_ = {HF_E_BUSY, "the disk did not answer within " + std::to_string(kDiskCallMaxMs / 1000) + " s"};
  auto task = pool_.submit(std::move(work), [this] {
    task_ = 0;
    timer_.stop();
    const Done ready = std::exchange(done_, nullptr);
    ready(nullptr);
  });
  if (task) {
    task_ = *task;
    timer_.start(kDiskCallMaxMs);
  } else {
    failed_ = {HF_E_BUSY, "the disk is not asked: " + task.error().message};
    timer_.start(0);
  }
}

void DiskCall::late() {
  if (task_ != 0) pool_.abandon(std::exchange(task_, 0));
  const Done ready = std::exchange(done_, nullptr);
  const Error failed = failed_;
  ready(&failed);
}

void DiskCall::stop() {
  if (task_ != 0) pool_.abandon(std::exchange(task_, 0));
  timer_.stop();
  done_ = nullptr;
}

}  // namespace hf
