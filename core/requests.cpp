#include "core/requests.h"

#include <cinttypes>
#include <cstdio>

namespace hf {

std::string JobKey::text() const {
  if (!prefix_) return {};
  return id_ == 0 ? *prefix_ : *prefix_ + std::to_string(id_);
}

void JobKey::write(Text& to) const noexcept {
  const char* prefix = prefix_ ? prefix_->c_str() : "";
  if (id_ == 0) std::snprintf(to.data(), to.size(), "%s", prefix);
  else std::snprintf(to.data(), to.size(), "%s%" PRId64, prefix, id_);
}

Op::Op() = default;
Op::Op(const Op&) = default;
Op::Op(Op&&) noexcept = default;
Op& Op::operator=(const Op&) = default;
Op& Op::operator=(Op&&) noexcept = default;
Op::~Op() = default;

void Op::put(RunEnded&& ended) noexcept {
  if (auto* old = std::get_if<RunEnded>(this)) *old = std::move(ended);
  else emplace<RunEnded>(std::move(ended));
}

void Op::put(Op&& op) noexcept {
  auto* old = std::get_if<Enqueue>(this);
  auto* enqueue = std::get_if<Enqueue>(&op);
  if (old != nullptr && enqueue != nullptr) old->specs.swap(enqueue->specs);
  else *this = std::move(op);
}

void Op::clear() noexcept {
  constexpr size_t kKept = 4;  // jobs
  const auto small = [](const std::string& text) { return text.capacity() <= std::string().capacity(); };
  if (auto* enqueue = std::get_if<Enqueue>(this)) {
    enqueue->specs.clear();
    if (enqueue->specs.capacity() > kKept) std::vector<JobSpec>().swap(enqueue->specs);
  } else if (auto* ended = std::get_if<RunEnded>(this); ended == nullptr || !small(ended->result) || !small(ended->error) || ended->children.capacity() > 0) {
    emplace<Enqueue>();
  }
}

Reply::Reply() = default;
Reply::Reply(const Reply&) = default;
Reply::Reply(Reply&&) noexcept = default;
Reply& Reply::operator=(const Reply&) = default;
Reply& Reply::operator=(Reply&&) noexcept = default;
Reply::~Reply() = default;

}  // namespace hf
