// NATS JetStream: a message is stored when the stream's acknowledgement says so. The protocol is lines of text
// (docs.nats.io, "NATS Client Protocol"), here over the bytes of platform/net.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "platform/broker/broker.h"
#include "platform/secret.h"

namespace hf {

inline constexpr size_t kNatsLineMax = 64 * 1024;     // of the server: INFO names the servers of a cluster
inline constexpr size_t kNatsPayloadMax = 64 * 1024;  // of the server: acknowledgements have some 100 bytes

struct NatsOptions {
  bool under_tls = true;
  std::string name = {};  // of this client, for those who look at the server
  std::string user = {};  // "": none
  std::shared_ptr<const Secret> password = {}, token = {};  // null: none
};

// Each message has its key as Nats-Msg-Id: within the stream's duplicate window the server stores it once. What the server
// says of a message:
//
//   an acknowledgement          stored; `duplicate` too
//   an error, code 400          refused: what is in the message, or its size
//   an error, code 5xx          busy: the stream cannot store now, or is full
//   another error, nobody       try again
//   listens on the subject, or
//   it may not be published on
class NatsSession final : public BrokerSession {
 public:
  // HF_E_IO: the kernel has no random bytes.
  static Result<std::unique_ptr<BrokerSession>> open(NatsOptions options);

  State state() const override { return state_; }
  const std::string& failure() const override { return failure_; }
  void secured() override;
  void receive(std::string_view bytes) override;
  std::string take_output() override { return std::exchange(out_, {}); }
  std::list<BrokerAnswer> take_answers() override { return std::exchange(answers_, {}); }
  std::optional<BrokerAnswer> publish(uint64_t id, const BrokerMessage& message) override;
  void goodbye() override {}

 private:
  explicit NatsSession(NatsOptions options) : options_(std::move(options)) {}
  void read_line(std::string_view line);
  void read_info(std::string_view json);
  void read_error(std::string_view text);
  void read_head(std::string_view line, bool with_headers);
  void read_reply(std::string_view payload);
  void greet();
  void answer(uint64_t id, Verdict verdict, std::string text);
  void fail(std::string text);

  const NatsOptions options_;
  State state_ = State::kGreeting;
  std::string failure_;
  bool informed_ = false;
  int64_t payload_max_ = 0;  // the server's, headers included; 0: it names none
  std::string inbox_;        // the replies' subjects are `inbox_` + id
  std::string in_, out_;
  // Of a reply whose payload is to come.
  std::optional<size_t> payload_;  // bytes, without the line end
  size_t headers_ = 0;             // of them
  uint64_t reply_to_ = 0;
  std::map<uint64_t, std::string> owed_;  // subjects, by the messages' ids
  std::list<BrokerAnswer> answers_;
};

}  // namespace hf
