// bench SCENARIO FILE [JOBS [MORE]]: one scenario on a new file, one line of JSON. run.py runs them all.
// MORE: how many are in flight, or clients, or queues, or the first so many.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/bench/bare.h"
#include "tests/bench/engine.h"

int main(int argc, char** argv) {
  using namespace hf::bench;
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench SCENARIO FILE [JOBS [MORE]]\n");
    return 2;
  }
  std::string scenario = argv[1];
  std::string path = argv[2];
  int jobs = argc > 3 ? std::atoi(argv[3]) : 1000;
  int more = argc > 4 ? std::atoi(argv[4]) : 50;
  if (scenario == "bare_insert") bare_insert(path, jobs);
  else if (scenario == "bare_sequential") bare_sequential(path, jobs, true);
  else if (scenario == "bare_sequential_normal") bare_sequential(path, jobs, false);
  else if (scenario == "bare_pipeline") bare_pipeline(path, jobs, more);
  else if (scenario == "insert") engine_insert(path, jobs);
  else if (scenario == "sequential") engine_sequential(path, jobs, false, HF_DURABLE_SYNC);
  else if (scenario == "sequential_keep") engine_sequential(path, jobs, true, HF_DURABLE_SYNC);
  else if (scenario == "sequential_result") engine_sequential(path, jobs, false, HF_DURABLE_RESULT);
  else if (scenario == "sequential_memory") engine_sequential(path, jobs, false, HF_DURABLE_MEMORY);
  else if (scenario == "own_thread") engine_own_thread(path, jobs, HF_DURABLE_SYNC);
  else if (scenario == "own_thread_memory") engine_own_thread(path, jobs, HF_DURABLE_MEMORY);
  else if (scenario == "pipeline") engine_pipeline(path, jobs, more);
  else if (scenario == "soak") engine_soak(path, jobs, more);
  else if (scenario == "socket") engine_socket(path, jobs, more);
  else if (scenario == "fill") engine_fill(path, jobs, true);
  else if (scenario == "fill_kill") engine_fill(path, jobs, false);
  else if (scenario == "first_claim") engine_first_claim(path);
  else if (scenario == "crowd") engine_crowd(path, jobs, more);
  else if (scenario == "beside") engine_beside(path, jobs);
  else if (scenario == "drain") engine_drain(path, jobs);
  else return std::fprintf(stderr, "bench: no scenario %s\n", scenario.c_str()), 2;
  return 0;
}
