// In place of heal.cpp: a file that is damaged is refused, and left as it is.
#include "core/left_out.h"
#include "platform/folder.h"
#include "platform/heal.h"

namespace hf {
namespace {

Error damaged(const std::string& what) {
  return Error{HF_E_CORRUPT, what + "; it was left untouched: " + left_out("salvage is", "SALVAGE").message};
}

}  // namespace

Result<std::unique_ptr<Engine>> open_healing(const EngineOptions& given, const Logger& log, int met) {
  const std::string& path = given.path;
  if (met == HF_E_CORRUPT) return damaged("damage was met while it was open");
  if (size_of(path + ".salvaged") >= 0) return damaged("a salvage of the file was cut off");
  EngineOptions options = given;
  const int64_t bytes = size_of(path), log_bytes = size_of(path + "-wal");
  // SQLite would throw the log away.
  if (bytes == 0 && log_bytes > 0) return damaged("the file is empty and its log is not");
  if (bytes >= 0) options.log = log_bytes > 0 ? Store::LogFile::present : log_bytes < 0 ? Store::LogFile::absent : Store::LogFile::unknown;
  Result<std::unique_ptr<Engine>> engine = Engine::open(options);
  if (!engine) return engine.error().code == HF_E_CORRUPT ? damaged(engine.error().message) : engine.error();
  if ((*engine)->log_lost()) log.error("log_missing", {{"file", path + "-wal"}});
  return engine;
}

std::vector<std::string> damaged_files(const std::string&) { return {}; }

}  // namespace hf
