// Keeps one connection to one broker while there is something to say.
#pragma once

#include <uv.h>

#include <list>
#include <memory>

#include "platform/broker/broker.h"
#include "platform/net/dial.h"
#include "platform/net/url.h"

namespace hf {

inline constexpr int64_t kBrokerIdleMs = 60'000;    // an unused connection is closed after this
inline constexpr size_t kBrokerMessagesMax = 1000;  // that wait or are unanswered; one more is kLocal

struct BrokerOptions {
  Url url;
  std::optional<TlsConfig> tls;  // default: the system's CA bundle, no client certificate
  bool allow_private = false;    // may be at loopback, link-local and private addresses
  std::shared_ptr<const HttpProxy> proxy = {};  // the way leads through it, as HttpRequest::proxy has it; null: none
  HttpDeadlines deadlines;       // first_byte_ms: of the greeting, and between two answers while some are owed
  int64_t idle_ms = kBrokerIdleMs;
  std::function<CertClock()> cert_clock;  // loop's thread; default: the system's clock, trusted
  ResolverOptions resolver;
  // The broker speaks first, and TLS begins after that (BrokerSession::State::kWantsTls), not with the connection.
  bool tls_after_greeting = false;
  std::function<Result<std::unique_ptr<BrokerSession>>()> make_session;  // one a connection
};

// Owned and used on the loop's thread, never blocks it. Without a message the connection is closed after idle_ms, and then
// nothing wakes: no ping is sent to keep an unused one.
//
// A connection is opened when there is a message. If it cannot be opened, or breaks, each message ends with that error: when
// to try again is the queue's to say.
class BrokerClient final : private StreamEvents {
 public:
  BrokerClient(uv_loop_t* loop, BrokerOptions options);
  // shutdown({}) if that was not called. The loop must still run until the handles are closed, which shutdown's callback tells.
  ~BrokerClient();
  BrokerClient(const BrokerClient&) = delete;
  BrokerClient& operator=(const BrokerClient&) = delete;

  // Calls `done` once, from the loop, never within publish(). It may call any function, but not destroy the client.
  PublishId publish(BrokerMessage message, PublishDoneFn done);
  // `done` comes with neither answer nor error; if the broker has the message already, its answer is not waited for.
  // False if `done` was called, or its call is due, already.
  bool cancel(PublishId id);

  // Every `done` that is owed comes, cancelled, within this call (a result that is due already, as it is); then, from the loop
  // or at once, when_closed: nothing is left on the loop. A later publish() is cancelled, within it.
  void shutdown(std::function<void()> when_closed);

  std::string name() const { return name_; }
  bool connected() const { return ready(); }

 private:
  struct Message {
    PublishId id = 0;
    BrokerMessage message;
    PublishDoneFn done;
    PublishResult result;  // once `done` is due
  };
  using Messages = std::list<Message>;  // they move from one to the next, which needs no memory

  void run_soon();
  void open();
  void goodbye();
  Origin origin() const;
  void dialled(NetError error, Way way);
  void greet();
  void look();
  void begin_tls();
  void take_answers();
  void pump();
  void arm();
  int64_t due_ms() const;
  void fire();
  void close();
  void lose(NetError error) noexcept;
  void finish(Messages& from, Messages::iterator message, PublishResult result) noexcept;
  void give_up() noexcept;
  bool ready() const { return session_ && session_->state() == BrokerSession::State::kReady; }
  bool dialling() const { return dial_ && !dial_->over(); }
  bool idle() const { return !dialling() && (!stream_ || stream_->closed()); }
  int64_t now_ms() const { return loop_now_ms(net_.loop); }

  void on_stream_open() override;
  void on_stream_data(std::string_view bytes) override;
  void on_stream_progress() override;
  void on_stream_end(NetError error, bool clean) override;

  const BrokerOptions options_;
  const std::string name_;
  HttpNet net_;
  std::optional<TlsConfigId> tls_id_;
  // What is due is done from a callback of its own, so that no caller's code runs amid ours.
  std::unique_ptr<LoopTimer> soon_;
  std::unique_ptr<LoopTimer> timer_;
  // When they are over they stay until the next are made: they must not go within their callbacks.
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<TlsSession> later_tls_;  // for after the greeting
  std::unique_ptr<BrokerSession> session_;
  bool secure_ = false;  // the handshake is over; without TLS at once
  Messages waiting_, sent_, due_;
  PublishId last_id_ = 0;
  NetPhase dial_phase_ = NetPhase::kNone;
  // Of the dial's phase, TLS, greeting; when ready: of the last answer, or of the first message after none was owed.
  int64_t phase_since_ms_ = 0;
  int64_t said_ms_ = 0;         // when something was sent last
  bool shut_ = false;
};

}  // namespace hf
