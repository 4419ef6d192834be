// What a build without a component says of it: toolchains/cmake/Components.cmake, docs/size.md.
#pragma once

#include <string>

#include "core/result.h"

namespace hf {

// left_out("conditions are", "GATES")
inline Error left_out(const char* what, const char* component) {
  return Error{HF_E_UNSUPPORTED, std::string(what) + " not in this build (HOLDFAST_WITH_" + component + "=OFF)"};
}

}  // namespace hf
