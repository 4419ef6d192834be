// A program on the C API: opening, the admin socket, enqueues, functions, programs, requests, uploads and the close, while
// something fails in the library (fault.h). The process lives on, nobody waits for ever, and what was acknowledged is there
// and comes to its end; completed means that the peer has it, and a server that is not to be trusted has nothing.
#pragma once

#include <holdfast.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "peer.h"
#include "tests/temp_folder.h"

namespace hf::test {

class World {
 public:
  World();
  // A life of the program in which the n-th one fails; 0: none. How many there were.
  uint64_t live(int64_t n, int64_t for_ms);
  uint64_t missed = 0;  // lives in which none failed: there were fewer than thought
  uint64_t acknowledged = 0;

 private:
  template <class F>
  void must(const char* what, F call);
  void open();
  void add(const char* type, const std::string& token) { add(type, token, token); }
  void add(const char* type, const std::string& payload, const std::string& token);
  void add_async(const std::string& token);
  void work(int64_t n);
  void wait_for_all();
  void check();
  void wait_for_callback(hf_job_id id);

  struct Told {  // outlives the call
    std::atomic<int> code{0};
    std::atomic<hf_job_id> id{0};
  } told_;
  struct Job {
    std::string type, token;
  };
  const TempFolder dir_;
  TestCa ca_{"Test Root"}, others_{"Stranger"};
  const TestCa::Pair ours_ = ca_.issue("localhost", "DNS:localhost"), theirs_ = others_.issue("localhost", "DNS:localhost");
  RememberingPeer plain_{Speaks::http}, cloud_{Speaks::https, &ours_}, far_{Speaks::https_behind_a_proxy, &ours_}, bus_{Speaks::nats};
  RememberingPeer stranger_{Speaks::https, &theirs_};
  hf_engine* engine_ = nullptr;
  std::map<hf_job_id, Job> acknowledged_;
  size_t descriptors_ = SIZE_MAX;  // of a program without an engine
};

// Each place fails, once and for a while. HOLDFAST_FAULTS=2000 tries about so many of them, HOLDFAST_FAULT=N[:MS] is one.
void fail_each(uint64_t at_least, uint64_t share, uint64_t share_if_slow);

}  // namespace hf::test
