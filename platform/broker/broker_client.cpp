#include "platform/broker/broker_client.h"

#include <algorithm>
#include <utility>

#include "platform/clock.h"

namespace hf {
namespace {

constexpr int64_t kNoTime = INT64_MAX;

NetError copy_of(const NetError& error) noexcept {
  NetError copy{error.kind, error.phase, {}};
  (void)guarded([&] { copy.message = error.message; });
  return copy;
}

}  // namespace

BrokerClient::BrokerClient(uv_loop_t* loop, BrokerOptions options)
    : options_(std::move(options)), name_(options_.url.host_port()) {
  net_.loop = loop;
  net_.handles = std::make_shared<HandleCount>();
  net_.resolver = std::make_unique<Resolver>(loop, net_.handles, options_.resolver);
  net_.tls = std::make_unique<TlsStore>(loop, net_.handles);
  net_.cert_clock = options_.cert_clock;
  if (!net_.cert_clock) net_.cert_clock = [] { return CertClock{true, wall_ms()}; };
  soon_ = std::make_unique<LoopTimer>(loop, net_.handles, [this] { run_soon(); });
  timer_ = std::make_unique<LoopTimer>(loop, net_.handles, [this] { fire(); });
  net_.handles->no_memory = [this] { give_up(); };
}

BrokerClient::~BrokerClient() { shutdown({}); }

// ---- messages

PublishId BrokerClient::publish(BrokerMessage message, PublishDoneFn done) {
  const PublishId id = ++last_id_;
  if (shut_) {
    done({});
    return id;
  }
  Messages one(1);
  one.front().id = id;
  one.front().done = std::move(done);
  if (waiting_.size() + sent_.size() >= kBrokerMessagesMax) {
    one.front().result.error =
        net_error(NetErrorKind::kLocal, std::to_string(kBrokerMessagesMax) + " messages to " + name_ + " wait already");
    due_.splice(due_.end(), one);
  } else {
    one.front().message = std::move(message);
    waiting_.splice(waiting_.end(), one);
  }
  soon_->start(0);
  return id;
}

bool BrokerClient::cancel(PublishId id) {
  for (Messages* from : {&waiting_, &sent_}) {
    const auto message = std::find_if(from->begin(), from->end(), [&](const Message& other) { return other.id == id; });
    if (message == from->end()) continue;
    PublishResult result;
    result.sent = from == &sent_;
    finish(*from, message, std::move(result));
    arm();
    return true;
  }
  return false;
}

void BrokerClient::finish(Messages& from, Messages::iterator message, PublishResult result) noexcept {
  message->result = std::move(result);
  due_.splice(due_.end(), from, message);
  if (soon_) soon_->start(0);
}

void BrokerClient::run_soon() {
  // Only what is due now: a `done` that publishes what is refused at once cannot hold the loop.
  for (size_t left = due_.size(); left > 0 && !due_.empty(); --left) {
    Messages one;
    one.splice(one.end(), due_, due_.begin());
    one.front().done(std::move(one.front().result));
  }
  if (shut_) return;
  if (!due_.empty()) soon_->start(0);
  if (waiting_.empty()) return;
  if (idle()) return open();
  pump();
  arm();
}

// ---- the connection

void BrokerClient::open() {
  stream_.reset(new Stream(name_, net_.buffer, *this));
  if (options_.url.https && !tls_id_) {
    TlsConfig config = options_.tls.value_or(TlsConfig());
    config.speaks_http = false;
    auto added = net_.tls->add(std::move(config));
    if (!added) return lose(net_error(NetErrorKind::kLocal, added.error().message));
    tls_id_ = *added;
  }
  dial_phase_ = NetPhase::kDns;
  const auto on_phase = [this](NetPhase phase) {
    dial_phase_ = phase;
    phase_since_ms_ = now_ms();
    arm();
  };
  dial_ = std::make_unique<Dial>(net_, origin(), options_.deadlines, on_phase,
                                 [this](NetError error, Way way) { dialled(std::move(error), std::move(way)); });
  arm();
}

Origin BrokerClient::origin() const {
  const Url& url = options_.url;
  return {url.https,      url.host, url.port, url.host_is_ip, tls_id_.value_or(kTlsSystem), options_.allow_private,
          options_.proxy, options_.tls_after_greeting};
}

void BrokerClient::dialled(NetError error, Way way) {
  if (error) return lose(std::move(error));
  if (options_.tls_after_greeting) later_tls_ = std::move(way.tls);
  secure_ = !way.tls;
  phase_since_ms_ = now_ms();
  NetError failed = stream_->start(std::move(way.socket), std::move(way.tls));
  if (failed) return lose(std::move(failed));
  if (!secure_) return arm();
  greet();
  if (session_ && !way.said.empty()) on_stream_data(way.said);
}

void BrokerClient::begin_tls() {
  if (!later_tls_) return lose(net_error(NetErrorKind::kTlsProtocol, name_ + " demands TLS, which the URL does not"));
  secure_ = false;
  phase_since_ms_ = now_ms();
  NetError failed = stream_->secure(std::move(later_tls_));
  if (failed) return lose(std::move(failed));
  arm();
}

void BrokerClient::on_stream_open() {
  secure_ = true;
  if (!session_) return greet();
  session_->secured();
  look();
}

void BrokerClient::greet() {
  auto session = options_.make_session();
  if (!session) return lose(net_error(NetErrorKind::kLocal, session.error().message));
  session_ = std::move(*session);
  phase_since_ms_ = said_ms_ = now_ms();
  look();
}

void BrokerClient::on_stream_data(std::string_view bytes) {
  const bool was_ready = ready();
  session_->receive(bytes);
  if (!was_ready && ready()) phase_since_ms_ = now_ms();
  look();
}

void BrokerClient::on_stream_progress() {
  phase_since_ms_ = now_ms();
  pump();
  arm();
}

void BrokerClient::on_stream_end(NetError error, bool) { lose(std::move(error)); }

// What the session has come to.
void BrokerClient::look() {
  take_answers();
  switch (session_->state()) {
    case BrokerSession::State::kFailed: {
      NetError error = net_error(NetErrorKind::kBadResponse, name_ + " " + session_->failure());
      error.phase = NetPhase::kReceive;
      return lose(std::move(error));
    }
    case BrokerSession::State::kWantsTls: return begin_tls();
    default: break;
  }
  pump();
  arm();
}

void BrokerClient::take_answers() {
  for (BrokerAnswer& answer : session_->take_answers()) {
    phase_since_ms_ = now_ms();
    const auto message = std::find_if(sent_.begin(), sent_.end(), [&](const Message& other) { return other.id == answer.id; });
    if (message == sent_.end()) continue;  // cancelled
    PublishResult result;
    result.answer = std::move(answer);
    result.sent = true;
    finish(sent_, message, std::move(result));
  }
}

// Writes what there is, one piece after the other: the next one is made when the kernel has the one before.
void BrokerClient::pump() {
  while (session_ && secure_ && stream_->sent()) {
    std::string bytes = session_->take_output();
    while (bytes.size() < kBrokerOutputMax && ready() && !waiting_.empty()) {
      Message& next = waiting_.front();
      if (sent_.empty()) phase_since_ms_ = now_ms();
      if (auto answer = session_->publish(next.id, next.message)) {
        PublishResult result;
        result.answer = std::move(answer);
        finish(waiting_, waiting_.begin(), std::move(result));
      } else {
        next.message = {};  // the session has it
        sent_.splice(sent_.end(), waiting_, waiting_.begin());
      }
      bytes += session_->take_output();
    }
    if (session_->state() == BrokerSession::State::kFailed) {
      NetError error = net_error(NetErrorKind::kBadResponse, name_ + " " + session_->failure());
      return lose(std::move(error));
    }
    if (bytes.empty()) return;
    said_ms_ = now_ms();
    stream_->send({std::make_shared<const std::string>(std::move(bytes))});
  }
}

void BrokerClient::goodbye() {
  session_->goodbye();
  std::string bytes = session_->take_output();
  if (stream_->sent() && !bytes.empty()) stream_->send({std::make_shared<const std::string>(std::move(bytes))});
}

void BrokerClient::close() {
  if (dial_) dial_->close();
  if (stream_) stream_->close();
  session_.reset();
  later_tls_.reset();
  secure_ = false;
  if (timer_) timer_->stop();
}

void BrokerClient::lose(NetError error) noexcept {
  close();
  while (!sent_.empty()) {
    PublishResult result;
    result.error = copy_of(error);
    result.sent = true;
    finish(sent_, sent_.begin(), std::move(result));
  }
  while (!waiting_.empty()) {
    PublishResult result;
    result.error = copy_of(error);
    finish(waiting_, waiting_.begin(), std::move(result));
  }
}

// Memory ran out in a callback, and nobody knows how far it had come.
void BrokerClient::give_up() noexcept {
  if (!shut_) lose(net_error(NetErrorKind::kLocal, "out of memory"));
}

// ---- deadlines

int64_t BrokerClient::due_ms() const {
  if (idle()) return kNoTime;
  if (dialling() && dial_phase_ == NetPhase::kProxy) return phase_since_ms_ + options_.deadlines.connect_ms;
  if (dialling() && dial_phase_ != NetPhase::kTls) return kNoTime;  // the lookup and the connection keep their own
  if (!secure_) return phase_since_ms_ + options_.deadlines.tls_ms;
  if (!ready() || !sent_.empty() || !waiting_.empty()) return phase_since_ms_ + options_.deadlines.first_byte_ms;
  const int64_t silence_ms = session_->silence_max_ms();
  return phase_since_ms_ + (silence_ms > 0 ? std::min(silence_ms, options_.idle_ms) : options_.idle_ms);
}

void BrokerClient::arm() {
  if (!timer_) return;
  int64_t until_ms = due_ms();
  if (ready() && session_->silence_max_ms() > 0) until_ms = std::min(until_ms, said_ms_ + session_->silence_max_ms());
  if (until_ms == kNoTime) return timer_->stop();
  timer_->start(until_ms - now_ms());
}

void BrokerClient::fire() {
  const int64_t due = due_ms();
  if (due == kNoTime) return;
  if (now_ms() < due) {
    const int64_t silence_ms = ready() ? session_->silence_max_ms() : 0;
    if (silence_ms == 0 || now_ms() < said_ms_ + silence_ms) return arm();
    said_ms_ = now_ms();
    session_->tick();
    return look();
  }
  const auto late = [&](NetPhase phase, const std::string& what, int64_t ms) {
    lose({NetErrorKind::kTimeout, phase, what + " within " + std::to_string(ms) + " ms"});
  };
  const HttpDeadlines& deadlines = options_.deadlines;
  if (dialling() && dial_phase_ == NetPhase::kProxy)
    return late(NetPhase::kProxy, "no answer of the proxy for " + name_, deadlines.connect_ms);
  if (!secure_) return late(NetPhase::kTls, "no TLS handshake with " + name_, deadlines.tls_ms);
  if (!ready()) return late(NetPhase::kFirstByte, name_ + " did not accept the connection", deadlines.first_byte_ms);
  if (!sent_.empty() || !waiting_.empty())
    return late(NetPhase::kFirstByte, name_ + " acknowledged nothing", deadlines.first_byte_ms);
  goodbye();
  close();
}

// ---- the end

void BrokerClient::shutdown(std::function<void()> when_closed) {
  if (!shut_) {
    shut_ = true;
    net_.handles->no_memory = nullptr;
    for (Messages* from : {&sent_, &waiting_})
      while (!from->empty()) finish(*from, from->begin(), {});
    if (ready()) (void)guarded([&] { goodbye(); });
    close();
    soon_.reset();
    timer_.reset();
    net_.resolver.reset();
    net_.tls.reset();
    while (!due_.empty()) {
      Messages one;
      one.splice(one.end(), due_, due_.begin());
      one.front().done(std::move(one.front().result));
    }
  }
  if (when_closed) net_.handles->when_none(std::move(when_closed));
}

}  // namespace hf
