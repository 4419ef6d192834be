#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "platform/broker/mqtt.h"
#include "platform/descriptor.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr uint32_t kPacketMax = 64 * 1024;  // of what a broker may send us; toolchains/deps/recipe.sh holds the library to it

struct Close {
  void operator()(mosquitto* library) const { mosquitto_destroy(library); }
};

// Properties of a packet, freed with it.
class Properties {
 public:
  ~Properties() { mosquitto_property_free_all(&list_); }
  mosquitto_property** add() { return &list_; }
  const mosquitto_property* get() const { return list_; }

 private:
  mosquitto_property* list_ = nullptr;
};

// "Not authorized (0x87)"; what the broker says itself behind it.
std::string reason(int code, const mosquitto_property* properties) {
  char number[16];
  snprintf(number, sizeof number, " (0x%02x)", static_cast<unsigned>(code));
  std::string text = mosquitto_reason_string(code);
  while (!text.empty() && text.back() == '.') text.pop_back();
  text += number;
  char* said = nullptr;
  if (mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &said, false) != nullptr && said != nullptr) {
    const std::unique_ptr<char, decltype(&std::free)> own(said, &std::free);
    text.append(": ").append(said, std::min<size_t>(strlen(said), 500));
  }
  return text;
}

// The library knows no transport but a socket of its own. It has one end of a pair here, and the other end is where its bytes
// come from and go to.
class MqttSession final : public BrokerSession {
 public:
  static Result<std::unique_ptr<BrokerSession>> open(const MqttOptions& options);
  ~MqttSession() override { library_.reset(); }

  State state() const override { return state_; }
  const std::string& failure() const override { return failure_; }
  void receive(std::string_view bytes) override;
  std::string take_output() override;
  std::list<BrokerAnswer> take_answers() override { return std::exchange(answers_, {}); }
  std::optional<BrokerAnswer> publish(uint64_t id, const BrokerMessage& message) override;
  int64_t silence_max_ms() const override { return keep_alive_s_ * 1000; }
  void tick() override { check(mosquitto_loop_misc(library_.get())); }
  void goodbye() override { (void)mosquitto_disconnect_v5(library_.get(), MQTT_RC_NORMAL_DISCONNECTION, nullptr); }

 private:
  MqttSession() = default;
  int begin(const MqttOptions& options, int library_end);

  void connected(int code, const mosquitto_property* properties);
  void acknowledged(int message, int code, const mosquitto_property* properties);
  void disconnected(int code, const mosquitto_property* properties);

  int unread() const;
  void check(int result);
  template <class F>
  void fail(F&& text) noexcept;

  Descriptor end_;  // ours
  std::unique_ptr<mosquitto, Close> library_;
  State state_ = State::kGreeting;
  std::string failure_;
  int64_t keep_alive_s_ = 0;
  std::list<BrokerAnswer> owed_, answers_;
  std::map<int, std::list<BrokerAnswer>::iterator> by_packet_;  // the owed ones
};

Result<std::unique_ptr<BrokerSession>> MqttSession::open(const MqttOptions& options) {
  static const int once = mosquitto_lib_init();
  (void)once;
  std::unique_ptr<MqttSession> session(new MqttSession);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return Error{HF_E_IO, std::string("no pair of sockets for MQTT: ") + std::strerror(errno)};
  session->end_.fd = ends[0];
  const int result = session->begin(options, ends[1]);
  if (result == MOSQ_ERR_NOMEM) return Error{HF_E_NO_MEMORY, "out of memory"};
  if (result != MOSQ_ERR_SUCCESS) return Error{HF_E_INVALID, std::string("MQTT: ") + mosquitto_strerror(result)};
  return std::unique_ptr<BrokerSession>(std::move(session));
}

int MqttSession::begin(const MqttOptions& options, int library_end) {
  Descriptor theirs(library_end);
  library_.reset(mosquitto_new(options.client_id.c_str(), false, this));
  if (!library_) return MOSQ_ERR_NOMEM;
  mosquitto* library = library_.get();
  keep_alive_s_ = options.keep_alive_s;
  mosquitto_connect_v5_callback_set(library, [](mosquitto*, void* self, int code, int, const mosquitto_property* properties) {
    static_cast<MqttSession*>(self)->connected(code, properties);
  });
  mosquitto_publish_v5_callback_set(library, [](mosquitto*, void* self, int id, int code, const mosquitto_property* properties) {
    static_cast<MqttSession*>(self)->acknowledged(id, code, properties);
  });
  mosquitto_disconnect_v5_callback_set(library, [](mosquitto*, void* self, int code, const mosquitto_property* properties) {
    static_cast<MqttSession*>(self)->disconnected(code, properties);
  });
  // "Threaded": it writes in take_output() alone.
  int result = mosquitto_threaded_set(library, true);
  const auto then = [&](int next) { result = result == MOSQ_ERR_SUCCESS ? next : result; };
  then(mosquitto_int_option(library, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5));
  then(mosquitto_int_option(library, MOSQ_OPT_SEND_MAXIMUM, options.max_in_flight));
  if (!options.user.empty() || options.password) {
    std::string password(options.password ? options.password->bytes() : "");
    then(mosquitto_username_pw_set(library, options.user.empty() ? nullptr : options.user.c_str(),
                                   options.password ? password.c_str() : nullptr));
    explicit_bzero(password.data(), password.size());
  }
  Properties properties;
  then(mosquitto_property_add_int32(properties.add(), MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                    static_cast<uint32_t>(options.session_expiry_s)));
  then(mosquitto_property_add_int32(properties.add(), MQTT_PROP_MAXIMUM_PACKET_SIZE, kPacketMax));
  if (result != MOSQ_ERR_SUCCESS) return result;
  const std::string place = "fd:" + std::to_string(theirs.fd);
  result = mosquitto_connect_bind_v5(library, place.c_str(), 0, options.keep_alive_s, nullptr, properties.get());
  // Unless it failed before it came to the socket, that is the library's, which may have closed it.
  char none;
  if (result == MOSQ_ERR_SUCCESS || recv(end_.fd, &none, 1, MSG_PEEK) == 0) theirs.fd = -1;
  (void)mosquitto_username_pw_set(library, nullptr, nullptr);  // it is in CONNECT now
  return result;
}

// ---- what the library says

void MqttSession::connected(int code, const mosquitto_property* properties) {
  if (code != MQTT_RC_SUCCESS) return fail([&] { return "refuses the connection: " + reason(code, properties); });
  uint16_t asked_s = 0;
  if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &asked_s, false) != nullptr) keep_alive_s_ = asked_s;
  if (state_ == State::kGreeting) state_ = State::kReady;
}

void MqttSession::acknowledged(int message, int code, const mosquitto_property* properties) {
  const auto found = by_packet_.find(message);
  if (found == by_packet_.end()) return;
  const auto answer = found->second;
  by_packet_.erase(found);
  answer->verdict = mqtt_verdict(code);
  if (answer->verdict != Verdict::kStored) (void)guarded([&] { answer->text = reason(code, properties); });
  answers_.splice(answers_.end(), owed_, answer);
}

void MqttSession::disconnected(int code, const mosquitto_property* properties) {
  fail([&] {
    if (code >= MQTT_RC_UNSPECIFIED) return "ended the connection: " + reason(code, properties);
    if (code == MOSQ_ERR_SUCCESS) return std::string("ended the connection");
    return std::string("broke the protocol: ") + mosquitto_strerror(code);
  });
}

template <class F>
void MqttSession::fail(F&& text) noexcept {
  if (state_ == State::kFailed) return;
  state_ = State::kFailed;
  (void)guarded([&] { failure_ = text(); });
}

// After each call that may end the connection.
void MqttSession::check(int result) {
  if (result != MOSQ_ERR_SUCCESS || mosquitto_socket(library_.get()) < 0) disconnected(result, nullptr);
}

// ---- bytes

int MqttSession::unread() const {
  int bytes = 0;
  const int socket = mosquitto_socket(library_.get());
  return socket >= 0 && ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : 0;
}

void MqttSession::receive(std::string_view bytes) {
  while (!bytes.empty() && state_ != State::kFailed) {
    const ssize_t given = send(end_.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (given > 0) bytes.remove_prefix(static_cast<size_t>(given));
    int left = unread();
    if (given <= 0 && left == 0) return fail([] { return std::string("cannot be heard: ") + std::strerror(errno); });
    while (left > 0 && state_ != State::kFailed) {
      check(mosquitto_loop_read(library_.get(), 1));
      const int now = unread();
      if (now == left) check(MOSQ_ERR_UNKNOWN);  // it reads on for ever
      left = now;
    }
  }
}

std::string MqttSession::take_output() {
  std::string out;
  char chunk[16 * 1024];
  while (out.size() < kBrokerOutputMax) {
    if (mosquitto_socket(library_.get()) >= 0 && mosquitto_want_write(library_.get()))
      check(mosquitto_loop_write(library_.get(), 1));
    const ssize_t got = recv(end_.fd, chunk, sizeof chunk, 0);
    if (got <= 0) break;
    out.append(chunk, static_cast<size_t>(got));
  }
  return out;
}

std::optional<BrokerAnswer> MqttSession::publish(uint64_t id, const BrokerMessage& message) {
  Properties properties;
  int result = mosquitto_property_add_string_pair(properties.add(), MQTT_PROP_USER_PROPERTY, "idempotency-key", message.key.c_str());
  const auto then = [&](int next) { result = result == MOSQ_ERR_SUCCESS ? next : result; };
  then(mosquitto_property_add_string(properties.add(), MQTT_PROP_CONTENT_TYPE, "application/json"));
  then(mosquitto_property_add_byte(properties.add(), MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1));  // UTF-8
  if (result == MOSQ_ERR_NOMEM) throw std::bad_alloc();
  owed_.push_back({id, Verdict::kStored, {}});
  const auto answer = std::prev(owed_.end());
  int packet = 0;
  if (result == MOSQ_ERR_SUCCESS) {
    result = mosquitto_publish_v5(library_.get(), &packet, message.topic.c_str(), static_cast<int>(message.payload.size()),
                                  message.payload.data(), 1, false, properties.get());
  }
  if (result == MOSQ_ERR_SUCCESS) {
    by_packet_.emplace(packet, answer);
    return std::nullopt;
  }
  BrokerAnswer refused = std::move(*answer);
  owed_.erase(answer);
  if (result == MOSQ_ERR_NOMEM) throw std::bad_alloc();
  if (result == MOSQ_ERR_OVERSIZE_PACKET || result == MOSQ_ERR_PAYLOAD_SIZE) {
    refused.verdict = Verdict::kRefused;
    refused.text = "a message of " + std::to_string(message.payload.size()) + " bytes is larger than the broker takes";
  } else if (result == MOSQ_ERR_QOS_NOT_SUPPORTED) {
    refused.verdict = Verdict::kBusy;
    refused.text = "the broker confirms no messages (its highest QoS is 0)";
  } else {
    refused.verdict = Verdict::kTryAgain;
    refused.text = mosquitto_strerror(result);
  }
  return refused;
}

}  // namespace

bool has_mqtt() { return true; }

Result<std::unique_ptr<BrokerSession>> make_mqtt_session(const MqttOptions& options) { return MqttSession::open(options); }

Verdict mqtt_verdict(int reason_code) {
  switch (reason_code) {
    case MQTT_RC_SUCCESS:
    case MQTT_RC_NO_MATCHING_SUBSCRIBERS: return Verdict::kStored;
    case MQTT_RC_TOPIC_NAME_INVALID:
    case MQTT_RC_PACKET_TOO_LARGE:
    case MQTT_RC_PAYLOAD_FORMAT_INVALID: return Verdict::kRefused;
    case MQTT_RC_QUOTA_EXCEEDED: return Verdict::kBusy;
    default: return Verdict::kTryAgain;  // not authorized, too: of one topic, and healed by the operator
  }
}

}  // namespace hf
