// Room that is set aside for a full disk: a file PATH.ballast of blocks that hold nothing. When the disk is full it is
// given up, and what it held is enough to record the ends of runs, to cancel and to delete; once there is room for it
// again, and kRoomBeside more, it is made anew. Its size is Limits::ballast.
//
// Thread: one at a time.
#pragma once

#include <string>

#include "core/result.h"

namespace hf {

inline constexpr int64_t kRoomBeside = 256 << 10;  // bytes that must be free beside it, so that it is not given up at once

class Ballast {
 public:
  explicit Ballast(const std::string& database) : path_(database + ".ballast") {}

  // It is there with `bytes` from now on; -1: it is not, and there is room. HF_E_FULL if there is none, else HF_E_IO.
  Status keep(int64_t bytes);
  // Its room is the database's. True if it was there.
  bool give_up();
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace hf
