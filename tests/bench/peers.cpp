// bench_peers beanstalkd|redis SOCKET JOBS CLIENTS: the cycle of a job on another queue, with so many in flight. One line of JSON.
// For tests/bench/peers.py, which starts the server.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/load.h"
#include "tests/bench/meter.h"

using namespace hf::bench;

namespace {

std::string payload_of(int job) {
  std::string text = std::to_string(job);
  return text.append(kPayloadBytes - text.size(), 'p');
}

size_t line_size(std::string_view received) {
  const size_t end = received.find("\r\n");
  return end == std::string_view::npos ? 0 : end + 2;
}

// put, reserve, delete.
class Beanstalkd : public Protocol {
 public:
  int requests() const override { return 3; }
  std::string request(int step, int job, std::string_view answer) const override {
    if (step == 0) return "put 0 0 60 " + std::to_string(kPayloadBytes) + "\r\n" + payload_of(job) + "\r\n";
    if (step == 1) return "reserve\r\n";
    const std::string_view rest = answer.substr(kReserved.size());
    return "delete " + std::string(rest.substr(0, rest.find(' '))) + "\r\n";
  }
  size_t answer_size(int step, std::string_view received) const override {
    const size_t line = line_size(received);
    if (line == 0) return 0;
    const std::string_view expected = step == 0 ? "INSERTED " : step == 1 ? kReserved : "DELETED\r\n";
    if (!received.starts_with(expected)) load_failed("beanstalkd", received);
    const size_t whole = step == 1 ? line + kPayloadBytes + 2 : line;
    return received.size() >= whole ? whole : 0;
  }

 private:
  static constexpr std::string_view kReserved = "RESERVED ";
};

// The reliable queue of its documentation: a list of what waits, one of what runs.
class Redis : public Protocol {
 public:
  int requests() const override { return 3; }
  std::string request(int step, int job, std::string_view answer) const override {
    if (step == 0) return command({"LPUSH", "waits", payload_of(job)});
    if (step == 1) return command({"LMOVE", "waits", "runs", "RIGHT", "LEFT"});
    const std::string_view payload = answer.substr(line_size(answer), kPayloadBytes);
    return command({"LREM", "runs", "1", std::string(payload)});
  }
  size_t answer_size(int step, std::string_view received) const override {
    const size_t line = line_size(received);
    if (line == 0) return 0;
    if (!received.starts_with(step == 0 ? ":" : step == 1 ? "$1" : ":1\r\n")) load_failed("redis", received);
    const size_t whole = step == 1 ? line + kPayloadBytes + 2 : line;
    return received.size() >= whole ? whole : 0;
  }

 private:
  static std::string command(std::initializer_list<std::string> words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return text;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) load_failed("usage: bench_peers beanstalkd|redis SOCKET JOBS CLIENTS");
  const std::string peer = argv[1];
  const int jobs = std::atoi(argv[3]);
  const int64_t begin = now_ns();
  if (peer == "beanstalkd") run_load(argv[2], Beanstalkd(), jobs, std::atoi(argv[4]));
  else run_load(argv[2], Redis(), jobs, std::atoi(argv[4]));
  Line().add("jobs", jobs).add("jobs_per_s", jobs / (static_cast<double>(now_ns() - begin) / 1e9)).print();
}
