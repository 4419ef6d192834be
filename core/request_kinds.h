// What kind of request it is, for the disk and for the room on it.
#pragma once

#include "core/requests.h"

namespace hf {

// Reads change nothing, and RunEnded and the like acknowledge nothing to the outside: their commits need not wait
// for the disk. What is lost at a power cut then is repeated, with the same key.
bool waits_for_disk(const Request& r);
// Its commit may be put off for a moment, so that others share it: new jobs that need not be on the disk when they are acknowledged, and
// ends of runs.
bool can_wait(const Request& r);
// What makes the file larger, or writes much of it anew. (Ends of runs: Jobs::end_adds().)
bool adds(const Request& r);
bool reads(const Request& r);

}  // namespace hf
