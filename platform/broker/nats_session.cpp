#include "platform/broker/nats_session.h"

#include <sys/random.h>

#include <charconv>
#include <utility>

#include "core/names.h"
#include "platform/json_text.h"

namespace hf {
namespace {

using Kind = JsonNode::Kind;

constexpr std::string_view kEnd = "\r\n";
constexpr size_t kSaidMax = 300;  // bytes of the server's words in an error

template <class N>
bool number(std::string_view text, N* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

// The next word; blanks and tabs part them.
std::string_view word(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of(" \t"), line->size()));
  const std::string_view first = line->substr(0, line->find_first_of(" \t"));
  line->remove_prefix(first.size());
  return first;
}

std::string said(std::string_view text) { return one_line(cut_utf8(text, kSaidMax)); }

// Also of a name that came from a job: "a..b".
bool sendable(std::string_view subject) {
  return !subject.empty() && subject.find_first_of(" \t\r\n*>") == subject.npos && subject[0] != '.' && subject.back() != '.' &&
         subject.find("..") == subject.npos;
}

}  // namespace

Result<std::unique_ptr<BrokerSession>> NatsSession::open(NatsOptions options) {
  std::unique_ptr<NatsSession> session(new NatsSession(std::move(options)));
  unsigned char random[12];
  if (getrandom(random, sizeof random, GRND_NONBLOCK) != static_cast<ssize_t>(sizeof random))
    return Error{HF_E_IO, "the kernel has no random bytes yet"};
  session->inbox_ = "_INBOX." + hex({reinterpret_cast<const char*>(random), sizeof random}) + ".";
  return std::unique_ptr<BrokerSession>(std::move(session));
}

void NatsSession::fail(std::string text) {
  if (state_ == State::kFailed) return;
  state_ = State::kFailed;
  failure_ = std::move(text);
}

// ---- what the server says

void NatsSession::receive(std::string_view bytes) {
  in_ += bytes;
  size_t at = 0;
  while (state_ != State::kFailed) {
    const std::string_view rest = std::string_view(in_).substr(at);
    if (payload_) {
      if (rest.size() < *payload_ + kEnd.size()) break;
      if (rest.substr(*payload_, kEnd.size()) != kEnd) return fail("broke the protocol: a payload without its end");
      at += *payload_ + kEnd.size();
      read_reply(rest.substr(0, *payload_));
      payload_.reset();
      continue;
    }
    const size_t end = rest.find(kEnd);
    if (end == rest.npos ? rest.size() > kNatsLineMax : end > kNatsLineMax) return fail("broke the protocol: a line without an end");
    if (end == rest.npos) break;
    at += end + kEnd.size();
    read_line(rest.substr(0, end));
    // What follows INFO in the clear might be anybody's.
    if (state_ == State::kWantsTls && at < in_.size()) return fail("broke the protocol: it speaks on where TLS begins");
  }
  in_.erase(0, at);
}

void NatsSession::read_line(std::string_view line) {
  std::string_view rest = line;
  std::string what(word(&rest));
  for (char& c : what) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (!informed_ && what != "INFO" && what != "-ERR") return fail("is no NATS server");
  if (what == "INFO") return read_info(rest);
  if (what == "MSG" || what == "HMSG") return read_head(rest, what == "HMSG");
  if (what == "-ERR") return read_error(rest);
  if (what == "PING") {
    out_ += "PONG\r\n";
  } else if (what == "PONG") {
    if (state_ == State::kGreeting) state_ = State::kReady;
  } else if (what != "+OK") {
    fail("broke the protocol: it says " + hf::quoted(line));
  }
}

// Comes again when the cluster changes.
void NatsSession::read_info(std::string_view json) {
  const auto info = parse_json(json);
  if (!info.ok() || info->kind != Kind::object) return fail("broke the protocol: INFO without a JSON object");
  const auto flag = [&](const char* name) {
    const JsonNode* found = info->find(name, Kind::boolean);
    return found != nullptr && found->boolean;
  };
  if (const JsonNode* largest = info->find("max_payload", Kind::integer)) payload_max_ = largest->integer;
  if (std::exchange(informed_, true)) return;
  if (!flag("headers")) return fail("knows no headers: it is too old, or they are turned off");
  if (options_.under_tls) {
    state_ = State::kWantsTls;
  } else if (flag("tls_required")) {
    fail("demands TLS: the URL begins with tls:// then");
  } else {
    greet();
  }
}

void NatsSession::secured() {
  state_ = State::kGreeting;
  greet();
}

void NatsSession::greet() {
  JsonObject connect;
  connect["verbose"] = false;
  connect["pedantic"] = false;
  connect["tls_required"] = options_.under_tls;
  connect["lang"] = "holdfast";
  connect["version"] = HF_VERSION;
  connect["protocol"] = 1;
  connect["headers"] = true;
  connect["no_responders"] = true;
  connect["name"] = options_.name;
  if (!options_.user.empty()) connect["user"] = options_.user;
  if (options_.password) connect["pass"] = options_.password->bytes();
  if (options_.token) connect["auth_token"] = options_.token->bytes();
  out_ += "CONNECT " + connect.text() + "\r\nSUB " + inbox_ + "* 1\r\nPING\r\n";
}

// The connection ends after most of them.
void NatsSession::read_error(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\'')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\'')) text.remove_suffix(1);
  constexpr std::string_view kNotAllowed = "Permissions Violation for Publish to \"";
  if (state_ != State::kReady) return fail("refuses the connection: " + said(text));
  if (!text.starts_with(kNotAllowed)) return fail("ended the connection: " + said(text));
  const std::string_view rest = text.substr(kNotAllowed.size());
  const std::string_view subject = rest.substr(0, rest.find('"'));
  for (auto message = owed_.begin(); message != owed_.end();) {
    const auto next = std::next(message);
    if (message->second == subject) answer(message->first, Verdict::kTryAgain, said(text));
    message = next;
  }
}

// "SUBJECT SID [REPLY] [HEADER BYTES] BYTES"
void NatsSession::read_head(std::string_view line, bool with_headers) {
  const std::string_view subject = word(&line);
  word(&line);  // the one subscription
  std::string_view sizes[3];
  size_t count = 0;
  for (std::string_view next = word(&line); !next.empty() && count < 3; next = word(&line)) sizes[count++] = next;
  size_t headers = 0, bytes = 0;
  const size_t numbers = with_headers ? 2 : 1;
  if (count < numbers || count > numbers + 1 || !number(sizes[count - 1], &bytes) || (with_headers && !number(sizes[count - 2], &headers)))
    return fail("broke the protocol: a message without a size");
  if (bytes > kNatsPayloadMax || headers > bytes) return fail("broke the protocol: a message of " + std::to_string(bytes) + " bytes");
  uint64_t id = 0;
  if (!subject.starts_with(inbox_) || !number(subject.substr(inbox_.size()), &id)) id = 0;  // nobody's
  reply_to_ = id;
  headers_ = headers;
  payload_ = bytes;
}

void NatsSession::read_reply(std::string_view payload) {
  if (!owed_.contains(reply_to_)) return;
  const std::string_view headers = payload.substr(0, headers_);
  payload.remove_prefix(headers_);
  if (headers.starts_with("NATS/1.0 503"))
    return answer(reply_to_, Verdict::kTryAgain, "no stream takes messages on the subject " + owed_[reply_to_]);
  const auto reply = parse_json(payload);
  const auto unknown = [&] { answer(reply_to_, Verdict::kTryAgain, "answered something else than an acknowledgement: " + said(payload)); };
  if (!reply.ok() || reply->kind != Kind::object) return unknown();
  if (const JsonNode* error = reply->find("error", Kind::object)) {
    const JsonNode* number = error->find("code", Kind::integer);
    const JsonNode* text = error->find("description", Kind::string);
    const int64_t code = number != nullptr ? number->integer : 0;
    const Verdict verdict = code == 400 ? Verdict::kRefused : code >= 500 && code <= 599 ? Verdict::kBusy : Verdict::kTryAgain;
    return answer(reply_to_, verdict, said(text != nullptr ? text->text : "") + " (" + std::to_string(code) + ")");
  }
  const JsonNode* stream = reply->find("stream", Kind::string);
  const JsonNode* sequence = reply->find("seq", Kind::integer);
  if (stream == nullptr || stream->text.empty() || sequence == nullptr || sequence->integer < 0) return unknown();
  answer(reply_to_, Verdict::kStored, {});
}

void NatsSession::answer(uint64_t id, Verdict verdict, std::string text) {
  answers_.push_back({id, verdict, std::move(text)});
  owed_.erase(id);
}

// ---- what we say

std::optional<BrokerAnswer> NatsSession::publish(uint64_t id, const BrokerMessage& message) {
  if (!sendable(message.topic)) return BrokerAnswer{id, Verdict::kRefused, "the subject " + hf::quoted(message.topic) + " has an empty part"};
  const std::string headers = "NATS/1.0\r\nNats-Msg-Id: " + message.key + "\r\nContent-Type: application/json\r\n\r\n";
  const size_t bytes = headers.size() + message.payload.size();
  if (payload_max_ > 0 && static_cast<int64_t>(bytes) > payload_max_) {
    return BrokerAnswer{id, Verdict::kRefused,
                        "a message of " + std::to_string(bytes) + " bytes is larger than the server takes (" + std::to_string(payload_max_) + ")"};
  }
  owed_.emplace(id, message.topic);
  out_ += "HPUB " + message.topic + " " + inbox_ + std::to_string(id) + " " + std::to_string(headers.size()) + " " + std::to_string(bytes) + "\r\n";
  out_.append(headers).append(message.payload).append(kEnd);
  return std::nullopt;
}

}  // namespace hf
