// What is told of a job: to those who ask (core/queries.h), and to its callbacks.
#pragma once

#include "core/jobs.h"

namespace hf {

// Of a row as Store::read() gave it. Thread: the engine's.
JobInfo job_info(const Turn& turn, const Jobs& jobs, const FullRow& row);

}  // namespace hf
