// Messages to a broker that confirms each of them, whatever its protocol: MQTT (mqtt.h), NATS JetStream (nats_session.h).
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "platform/net/net_error.h"

namespace hf {

inline constexpr size_t kBrokerOutputMax = 64 * 1024;  // bytes made for the wire and not taken yet, about; and one message more

struct BrokerMessage {
  std::string topic;    // of MQTT; the subject of NATS
  std::string key;      // idempotency key: goes with it, the same on every attempt
  std::string payload;  // JSON
};

// What the broker, or the protocol, says of one message.
enum class Verdict : uint8_t {
  kStored,
  kRefused,   // this message, now and ever
  kTryAgain,  // not this time
  kBusy,      // the broker wants nothing of us for now
};
struct BrokerAnswer {
  uint64_t id = 0;  // of the message
  Verdict verdict = Verdict::kStored;
  std::string text;  // why it is not stored
};

// One connection's protocol without I/O: bytes of the broker in, bytes for the broker out. Owner: BrokerClient, on the loop's
// thread. It never waits; what has no memory ends it (failure()), or throws std::bad_alloc.
class BrokerSession {
 public:
  enum class State : uint8_t {
    kGreeting,  // not ready for messages yet
    kWantsTls,  // what comes next goes under TLS: secured()
    kReady,
    kFailed,    // failure() says why; nothing more goes in or out
  };
  virtual ~BrokerSession() = default;

  virtual State state() const = 0;
  virtual const std::string& failure() const = 0;  // "Not authorized (0x87)": one line
  virtual void secured() {}

  virtual void receive(std::string_view bytes) = 0;
  // Some kBrokerOutputMax at most a call; "" if there is nothing to send.
  virtual std::string take_output() = 0;
  // What came for the messages since the last call; each at most once.
  virtual std::list<BrokerAnswer> take_answers() = 0;

  // An answer if the message cannot be sent on this connection. `id` is never used twice. REQUIRES: kReady
  virtual std::optional<BrokerAnswer> publish(uint64_t id, const BrokerMessage& message) = 0;
  // The broker wants to hear of us at least so often, milliseconds; 0: it does not mind. tick() is called after so long a
  // silence of ours, and again after each such time.
  virtual int64_t silence_max_ms() const { return 0; }
  virtual void tick() {}
  virtual void goodbye() = 0;  // its words are in take_output()
};

// One of the three: `answer`, `error`, or neither (cancelled).
struct PublishResult {
  std::optional<BrokerAnswer> answer;
  NetError error;     // no answer: the broker may have the message or not
  bool sent = false;  // without an answer: a byte of the message may have reached the broker
};
using PublishId = uint64_t;  // never 0, never used twice by a client
using PublishDoneFn = std::function<void(PublishResult)>;

}  // namespace hf
