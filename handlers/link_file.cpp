#include "handlers/link_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/names.h"
#include "platform/descriptor.h"
#include "platform/folder.h"
#include "platform/memory.h"

namespace hf {
namespace {

// The first word of the file; "" if there is none.
std::string first_word(const std::string& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // a FIFO does not hold us
  char text[HF_NAME_MAX + 64];
  const ssize_t size = file.fd < 0 ? 0 : read(file.fd, text, sizeof text);
  const std::string_view all(text, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = std::min(all.find_first_not_of(kBlanks), all.size());
  return std::string(all.substr(begin, all.find_first_of(kBlanks, begin) - begin));
}

}  // namespace

LinkFile::LinkFile(Host& host, std::string path)
    : host_(host), path_(std::move(path)), folder_(folder_of(path_)), name_(name_of(path_)) {}

void LinkFile::start() {
  host_.loop().post([self = shared_from_this()] { self->open(); });
}

void LinkFile::stop() {
  auto task = patient([&] {
    return LoopPoster::prepare([self = shared_from_this()] {
      if (std::exchange(self->stopped_, true) || !self->opened_) return;
      self->itself_ = self;  // until the loop has let go of the handle
      uv_close(reinterpret_cast<uv_handle_t*>(&self->watch_), [](uv_handle_t* handle) { static_cast<LinkFile*>(handle->data)->itself_.reset(); });
    });
  });
  host_.loop().poster().post(std::move(task));
}

void LinkFile::open() {
  if (stopped_) return;
  opened_ = uv_fs_event_init(host_.loop().uv(), &watch_) == 0;
  watch_.data = this;
  const auto changed = [](uv_fs_event_t* watch, const char* name, int, int) {
    auto* self = static_cast<LinkFile*>(watch->data);
    if (self->stopped_ || (name != nullptr && self->name_ != name)) return;
    (void)guarded([&] { self->look(); });
  };
  const int error = opened_ ? uv_fs_event_start(&watch_, changed, folder_.c_str(), 0) : UV_ENOMEM;
  if (error != 0) host_.log().error("link_file_failed", {{"file", path_}, {"error", uv_strerror(error)}});
  look();
}

void LinkFile::look() {
  const std::string word = first_word(path_);
  if (word.empty()) return;
  (void)host_.submit(SetLink{word}, [log = host_.log(), path = path_](Request& request) {
    if (auto* error = std::get_if<Error>(&request.reply)) log.error("link_file_refused", {{"file", path}, {"error", error->message}});
  });
}

}  // namespace hf
