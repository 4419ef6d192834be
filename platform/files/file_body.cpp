#include "platform/files/file_body.h"

#include <algorithm>
#include <string>

#include "platform/files/sha256.h"

namespace hf {

void FileBody::read(int64_t at, std::function<void(Result<Piece>)> ready) {
  const int64_t size = std::min(size_ - at, static_cast<int64_t>(kBodyPieceMax));
  disk_.start<Piece>(
      [file = file_, at = from_ + at, size]() -> Result<Piece> {
        auto piece = std::make_shared<std::string>(static_cast<size_t>(size), '\0');
        HF_TRY(file->read(at, piece->data(), piece->size()));
        return Piece(std::move(piece));
      },
      [this, ready = std::move(ready)](Result<Piece> piece) {
        if (!piece) failure_ = piece.error();
        ready(std::move(piece));
      });
}

namespace {

constexpr int64_t kSumStep = 4 << 20;  // bytes a call of the disk: a slow card reads them well within kDiskCallMaxMs

}  // namespace

struct FileSum::Work {
  std::shared_ptr<const OutboxFile> file;
  int64_t at, end;
  Sha256 sum;
};

void FileSum::start(std::shared_ptr<const OutboxFile> file, int64_t from, int64_t size, std::function<void(Result<std::string>)> done) {
  done_ = std::move(done);
  auto work = std::make_shared<Work>();
  work->file = std::move(file);
  work->at = from;
  work->end = from + size;
  next(std::move(work));
}

void FileSum::stop() {
  disk_.stop();
  done_ = nullptr;
}

void FileSum::next(std::shared_ptr<Work> work) {
  disk_.start<std::string>(
      [work]() -> Result<std::string> {
        std::string piece(static_cast<size_t>(std::min(work->end - work->at, static_cast<int64_t>(kBodyPieceMax))), '\0');
        for (const int64_t until = std::min(work->end, work->at + kSumStep); work->at < until;) {
          piece.resize(static_cast<size_t>(std::min(until - work->at, static_cast<int64_t>(kBodyPieceMax))));
          HF_TRY(work->file->read(work->at, piece.data(), piece.size()));
          work->sum.add(piece);
          work->at += static_cast<int64_t>(piece.size());
        }
        return work->at == work->end ? work->sum.finish() : Result<std::string>(std::string());
      },
      [this, work](Result<std::string> sum) {
        if (sum && sum->empty()) return next(work);
        const auto done = std::exchange(done_, nullptr);
        done(std::move(sum));
      });
}

}  // namespace hf
