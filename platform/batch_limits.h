// What a batch may be asked to be, in the C API and in the configuration.
#pragma once

#include <cstdint>

namespace hf {

inline constexpr int kBatchJobs = 100, kBatchJobsMax = 1000;  // of a handler
inline constexpr int kSinkBatchJobsMax = 10000;
inline constexpr int64_t kBatchBytesMax = 64 << 20, kBatchWaitMaxMs = int64_t{24} * 3600 * 1000;

}  // namespace hf
