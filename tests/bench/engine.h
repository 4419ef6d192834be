// Holdfast through its C API, doing what bare.h does.
#pragma once

#include <holdfast.h>

#include <string>

namespace hf::bench {

// Each prints its line. keep: completed jobs stay in the file for a day, as by default; else they are deleted at
// once, as the bare rows are.
void engine_insert(const std::string& path, int jobs);  // durable enqueues, nothing runs
void engine_sequential(const std::string& path, int jobs, bool keep, hf_durability durability);  // enqueue, run, completed; one after the other
// By which the one above knows that a job is completed: what they cost, of one that is not and of one that is.
// The same, and the program's one thread runs the handlers (hf_work).
void engine_own_thread(const std::string& path, int jobs, hf_durability durability);
void engine_pipeline(const std::string& path, int jobs, int depth);  // `depth` jobs between enqueue and end of run
void engine_soak(const std::string& path, int jobs, int warm);       // the same: memory after the first `warm`, and after `jobs` more
void engine_socket(const std::string& path, int jobs, int clients);  // each client adds a job through the admin socket, then the next

// A million pending jobs, say. fill: makes them; close cleanly, or leave the file as a SIGKILL would.
void engine_fill(const std::string& path, int jobs, bool close);
void engine_first_claim(const std::string& path);  // from hf_open to the first run, and the memory after some runs

// Pending jobs of another type in so many queues, each with ten concurrency keys; 0: in one lane.
void engine_crowd(const std::string& path, int jobs, int queues);
// The sequential cycle while they wait for their handler, which runs one of them and does not end.
void engine_beside(const std::string& path, int jobs);
void engine_drain(const std::string& path, int jobs);  // runs so many of them, one after the other

}  // namespace hf::bench
