#include "platform/request_parser.h"

#include <algorithm>
#include <cassert>

#include "platform/memory.h"

namespace hf {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

}  // namespace

RequestParser::RequestParser(const RequestLimits& limits) : limits_(limits) { start(); }

// What throws does so in feed(), not through llhttp.
template <auto callback, class... A>
int RequestParser::within(llhttp_t* parser, A... rest) noexcept {
  int code = HPE_USER;
  if (!guarded([&] { code = callback(parser, rest...); })) of(parser).no_memory_ = true;
  return code;
}

const llhttp_settings_t& RequestParser::settings() {
  static const llhttp_settings_t table = [] {
    llhttp_settings_t set;
    llhttp_settings_init(&set);
    set.on_url = within<on_url>;
    set.on_header_field = within<on_field>;
    set.on_header_value = within<on_value>;
    set.on_header_value_complete = within<on_value_complete>;
    set.on_headers_complete = within<on_head>;
    set.on_body = within<on_body>;
    set.on_message_complete = on_complete;
    return set;
  }();
  return table;
}

void RequestParser::start() {
  llhttp_init(&parser_, HTTP_REQUEST, &settings());  // strict: no leniency is switched on
  parser_.data = this;
  request_ = {};
  url_.clear();
  field_.clear();
  value_.clear();
  head_bytes_ = 0;
  framing_bytes_ = 0;
  expects_continue_ = false;
  state_ = State::kIdle;
}

std::size_t RequestParser::feed(std::string_view data) {
  std::size_t used = 0;
  while (used < data.size() && state_ != State::kComplete && state_ != State::kFailed) {
    std::string_view part = data.substr(used);
    if (state_ == State::kIdle) state_ = State::kHead;
    const bool in_head = state_ == State::kHead;
    // The head gets no byte more than it may have, so that the limit holds to the byte.
    if (in_head) part = part.substr(0, limits_.head_bytes - head_bytes_);
    const std::size_t body_before = request_.body.size();
    const llhttp_errno_t error = llhttp_execute(&parser_, part.data(), part.size());
    if (no_memory_) throw std::bad_alloc();
    std::size_t taken = part.size();
    if (error != HPE_OK) {
      const char* stop = llhttp_get_error_pos(&parser_);
      taken = stop == nullptr ? 0 : static_cast<std::size_t>(stop - part.data());
    }
    used += taken;
    if (error != HPE_OK && error != HPE_PAUSED && state_ != State::kFailed) {
      const char* reason = llhttp_get_error_reason(&parser_);
      fail(400, "invalid", std::string("this is not an HTTP request: ") + (reason ? reason : "malformed"));
    }
    if (state_ == State::kFailed) break;
    if (in_head && state_ == State::kHead) {
      head_bytes_ += taken;
      if (head_bytes_ >= limits_.head_bytes)
        fail(431, "too_large", "the request's header is longer than " + std::to_string(limits_.head_bytes) + " bytes");
    } else if (!in_head) {
      // A body in one-byte chunks with long extensions is sent for ever without ever growing.
      framing_bytes_ += taken - std::min(taken, request_.body.size() - body_before);
      if (framing_bytes_ > limits_.head_bytes + 16 * static_cast<std::uint64_t>(request_.body.size()))
        fail(400, "invalid", "the chunks of the body have more framing than content");
    }
  }
  return used;
}

bool RequestParser::take_expects_continue() {
  const bool expected = expects_continue_ && state_ == State::kBody;
  if (expected) expects_continue_ = false;
  return expected;
}

ServerRequest RequestParser::take() {
  assert(state_ == State::kComplete);
  ServerRequest request = std::move(request_);
  start();
  return request;
}

int RequestParser::fail(int status, const char* code, std::string_view message) {
  state_ = State::kFailed;
  failure_ = ServerResponse::error(status, code, message);
  return HPE_USER;
}

int RequestParser::on_url(llhttp_t* parser, const char* at, std::size_t length) {
  RequestParser& self = of(parser);
  self.url_.append(at, length);
  if (self.url_.size() <= self.limits_.url_bytes) return 0;
  return self.fail(414, "too_large", "the URL is longer than " + std::to_string(self.limits_.url_bytes) + " bytes");
}

int RequestParser::on_field(llhttp_t* parser, const char* at, std::size_t length) {
  RequestParser& self = of(parser);
  if (self.state_ == State::kHead) self.field_.append(at, length);  // trailers are read past
  return 0;
}

int RequestParser::on_value(llhttp_t* parser, const char* at, std::size_t length) {
  RequestParser& self = of(parser);
  if (self.state_ == State::kHead) self.value_.append(at, length);
  return 0;
}

int RequestParser::on_value_complete(llhttp_t* parser) {
  RequestParser& self = of(parser);
  if (self.state_ == State::kHead) {
    while (!self.value_.empty() && (self.value_.back() == ' ' || self.value_.back() == '\t')) self.value_.pop_back();
    self.request_.headers.emplace_back(lower(std::move(self.field_)), std::move(self.value_));
  }
  self.field_.clear();
  self.value_.clear();
  return 0;
}

int RequestParser::on_head(llhttp_t* parser) { return of(parser).head_complete(); }

int RequestParser::head_complete() {
  const bool known_version = parser_.http_major == 1 && parser_.http_minor <= 1;
  if (!known_version) return fail(505, "unsupported", "only HTTP/1.0 and HTTP/1.1 are spoken here");
  http_1_0_ = parser_.http_minor == 0;
  // Never another protocol: "Upgrade" (curl --http2 sends it) is an offer that may be ignored.
  if (parser_.method == HTTP_CONNECT) return fail(400, "invalid", "CONNECT is not served here");
  parser_.upgrade = 0;
  request_.method = llhttp_method_name(static_cast<llhttp_method_t>(parser_.method));
  is_head_ = parser_.method == HTTP_HEAD;
  if (is_head_) request_.method = "GET";
  if (auto target = parse_target(url_, request_); !target) return fail(400, "invalid", target.error().message);

  const auto hosts = std::count_if(request_.headers.begin(), request_.headers.end(),
                                   [](const auto& field) { return field.first == "host"; });
  if (hosts > 1 || (hosts == 0 && !http_1_0_))  // RFC 9112, 3.2: MUST be refused
    return fail(400, "invalid", hosts == 0 ? "the Host field is missing" : "the Host field is given twice");
  if ((parser_.flags & F_CONTENT_LENGTH) != 0 && parser_.content_length > limits_.body_bytes)
    return fail(413, "too_large", "the body is longer than " + std::to_string(limits_.body_bytes) + " bytes");
  if (const std::string* expect = request_.header("expect")) {
    if (lower(*expect) != "100-continue") return fail(417, "unsupported", "only 'Expect: 100-continue' is known");
    expects_continue_ = !http_1_0_;
  }
  state_ = State::kBody;
  return 0;
}

int RequestParser::on_body(llhttp_t* parser, const char* at, std::size_t length) {
  RequestParser& self = of(parser);
  if (length > self.limits_.body_bytes - self.request_.body.size())
    return self.fail(413, "too_large", "the body is longer than " + std::to_string(self.limits_.body_bytes) + " bytes");
  self.request_.body.append(at, length);
  return 0;
}

int RequestParser::on_complete(llhttp_t* parser) {
  RequestParser& self = of(parser);
  self.keep_alive_ = llhttp_should_keep_alive(parser) != 0;
  self.state_ = State::kComplete;
  return HPE_PAUSED;
}

}  // namespace hf
