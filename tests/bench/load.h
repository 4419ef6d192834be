// Clients of a server on a Unix socket: each sends a request, waits for the answer, sends the next. One thread has them all.
#pragma once

#include <string>
#include <string_view>

namespace hf::bench {

// What a client says for one job: some requests, one after the other.
class Protocol {
 public:
  virtual ~Protocol() = default;
  virtual int requests() const = 0;
  // `answer`: to the request before, of the same job; "" with the first.
  virtual std::string request(int step, int job, std::string_view answer) const = 0;
  // How much of it is the whole answer to that request; 0: more has to come.
  virtual size_t answer_size(int step, std::string_view received) const = 0;
};

// Returns when so many jobs are done. What goes wrong ends the program.
void run_load(const std::string& socket_path, const Protocol& protocol, int jobs, int clients);

[[noreturn]] void load_failed(const std::string& why, std::string_view answer = {});

}  // namespace hf::bench
