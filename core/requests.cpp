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

Reply::Reply() = default;
Reply::Reply(const Reply&) = default;
Reply::Reply(Reply&&) noexcept = default;
Reply& Reply::operator=(const Reply&) = default;
Reply& Reply::operator=(Reply&&) noexcept = default;
Reply::~Reply() = default;

}  // namespace hf
