#include <atomic>

#include "tests/bench/engine.h"
#include "tests/bench/host.h"
#include "tests/bench/load.h"

namespace hf::bench {
namespace {

class AddJob : public Protocol {
 public:
  int requests() const override { return 1; }
  std::string request(int, int, std::string_view) const override { return request_; }
  size_t answer_size(int, std::string_view received) const override {
    constexpr std::string_view kLength = "Content-Length: ", kEnd = "\r\n\r\n";
    const size_t end = received.find(kEnd), length = received.find(kLength);
    if (end == std::string_view::npos) return 0;
    if (received.substr(0, 13) != "HTTP/1.1 201 " || length > end) load_failed("not taken", received);
    const size_t whole = end + kEnd.size() + std::strtoul(received.data() + length + kLength.size(), nullptr, 10);
    return received.size() >= whole ? whole : 0;
  }

 private:
  static std::string made() {
    const std::string body = R"({"type":"job","payload":")" + std::string(kPayloadBytes, 'p') + "\"}";
    return "POST /v1/jobs HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }
  const std::string request_ = made();
};

}  // namespace

void engine_socket(const std::string& path, int jobs, int clients) {
  struct Left {
    std::atomic<int> jobs;
    Semaphore none{};
  } left{jobs};
  Engine engine(path);
  engine.start(
      [](hf_job*, void* user) -> int {
        auto* l = static_cast<Left*>(user);
        if (l->jobs.fetch_sub(1) == 1) l->none.add();
        return HF_OK;
      },
      &left);
  const std::string socket = path + ".sock";
  check(hf_serve(engine.engine, socket.c_str(), nullptr), "hf_serve", engine.engine);
  Meter meter;
  run_load(socket, AddJob(), jobs, clients);
  left.none.take();
  while (engine.figures().running != 0) {
  }
  Line().add(meter.cost(), jobs).print();
}

}  // namespace hf::bench
