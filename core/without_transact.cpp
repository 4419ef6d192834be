// In place of guest.cpp.
#include "core/guest.h"
#include "core/left_out.h"

namespace hf {

Status Guest::run(const std::function<Status()>&) { return left_out("transactions of the program are", "TRANSACT"); }
const sqlite3_api_routines* guest_routines() { return nullptr; }

}  // namespace hf
