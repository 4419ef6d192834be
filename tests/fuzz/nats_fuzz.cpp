// Bytes of a NATS server, whole and cut in two ways: the same comes out. '@' stands for the inbox of the replies.
#include "platform/broker/nats_session.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

constexpr uint64_t kMessages = 3;

std::string answers_to(std::string_view data, size_t piece) {
  auto made = NatsSession::open({.under_tls = false, .name = "fuzz"});
  must(made.ok());
  BrokerSession& session = **made;
  session.receive("INFO {\"headers\":true,\"max_payload\":1000}\r\n");
  const std::string hello = session.take_output();
  const size_t at = hello.find("SUB ") + 4;
  const std::string inbox = hello.substr(at, hello.find('*') - at);
  session.receive("PONG\r\n");
  must(session.state() == BrokerSession::State::kReady);
  for (uint64_t id = 1; id <= kMessages; ++id) must(!session.publish(id, {id == 3 ? "b" : "a", "gw-1", "{}"}));
  session.take_output();

  std::string bytes;
  for (const char c : data) {
    if (c == '@') {
      bytes += inbox;
    } else {
      bytes += c;
    }
  }
  std::string said, out;
  bool answered[kMessages + 1] = {};
  for (std::string_view rest = bytes; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
    session.receive(rest.substr(0, piece));
    for (const BrokerAnswer& answer : session.take_answers()) {
      must(answer.id >= 1 && answer.id <= kMessages && !std::exchange(answered[answer.id], true));
      must((answer.verdict == Verdict::kStored) == answer.text.empty());
      must(answer.text.find_first_of("\r\n") == std::string::npos);
      said += std::to_string(answer.id) + std::to_string(static_cast<int>(answer.verdict)) + answer.text + "\n";
    }
    out += session.take_output();
  }
  must((session.state() == BrokerSession::State::kFailed) != session.failure().empty());
  return said + session.failure() + out;
}

}  // namespace

HF_FUZZ(input) {
  const std::string_view data = input.rest();
  const std::string whole = answers_to(data, data.size() * 64 + 1);
  must(whole == answers_to(data, 1));
  must(whole == answers_to(data, 7));
}
