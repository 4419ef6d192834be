// The completion script that is installed, for `holdfast completion bash`.
#pragma once

namespace hf {

extern const char kCompletionBash[];

}  // namespace hf
