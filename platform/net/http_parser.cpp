#include "platform/net/http_parser.h"

#include "platform/memory.h"

namespace hf {

// What throws does so in feed(), not through llhttp.
template <class F>
int HttpParser::within(llhttp_t* parser, F f) noexcept {
  int code = HPE_USER;
  if (!guarded([&] { code = f(of(parser)); })) of(parser).no_memory_ = true;
  return code;
}

const llhttp_settings_t& HttpParser::settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = [](llhttp_t* p, const char* at, size_t size) {
      return within(p, [&](HttpParser& self) {
        self.field_.append(at, size);
        return self.count_header_bytes(size);
      });
    };
    s.on_header_value = [](llhttp_t* p, const char* at, size_t size) {
      return within(p, [&](HttpParser& self) {
        self.value_.append(at, size);
        return self.count_header_bytes(size);
      });
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      return within(p, [](HttpParser& self) {
        self.flush_field();
        return self.count_header_bytes(4);  // ": " and CR LF
      });
    };
    const auto count = [](llhttp_t* p, const char*, size_t size) {
      return within(p, [&](HttpParser& self) { return self.count_header_bytes(size); });
    };
    s.on_status = count;
    s.on_chunk_extension_name = count;
    s.on_chunk_extension_value = count;
    s.on_headers_complete = [](llhttp_t* p) { return within(p, [](HttpParser& self) { return self.on_headers_complete(); }); };
    s.on_body = [](llhttp_t* p, const char* at, size_t size) { return within(p, [&](HttpParser& self) { return self.on_body(at, size); }); };
    s.on_message_complete = [](llhttp_t* p) { return of(p).on_message_complete(); };
    return s;
  }();
  return kSettings;
}

HttpParser::HttpParser(bool head_request, const HttpLimits& limits)
    : head_request_(head_request), limits_(limits) {
  llhttp_init(&parser_, HTTP_RESPONSE, &settings());
  parser_.data = this;
}

void HttpParser::flush_field() {
  while (!value_.empty() && (value_.back() == ' ' || value_.back() == '\t')) value_.pop_back();
  // Trailers come after the body; nobody asks for them.
  if (!field_.empty() && in_headers_) response_.headers.add(std::move(field_), std::move(value_));
  field_.clear();
  value_.clear();
}

int HttpParser::count_header_bytes(size_t size) {
  header_bytes_ += size;
  if (header_bytes_ <= limits_.max_header_bytes) return 0;
  return fail("the headers are longer than " + std::to_string(limits_.max_header_bytes) + " bytes");
}

int HttpParser::fail(std::string message) {
  error_ = std::move(message);
  return HPE_USER;
}

int HttpParser::on_headers_complete() {
  const int status = llhttp_get_status_code(&parser_);
  if (status == 101) return fail("the server changes the protocol (status 101), unasked");
  if (status < 100 || status > 599) return fail("the status " + std::to_string(status) + " is not HTTP");
  in_headers_ = false;
  response_.status = status;
  keep_alive_ = llhttp_should_keep_alive(&parser_) != 0;
  if (head_request_) return 1;  // no body follows, whatever the headers say
  length_known_ = status < 200 || llhttp_message_needs_eof(&parser_) == 0;
  return 0;
}

int HttpParser::on_body(const char* at, size_t size) {
  if (response_.status < 200)  // RFC 9110, 15.2
    return fail("a response with status " + std::to_string(response_.status) + " has a body");
  const size_t room = limits_.max_body_bytes - response_.body.size();
  if (size <= room) {
    response_.body.append(at, size);
    return 0;
  }
  if (limits_.long_body_is_error)
    return fail("the body is longer than " + std::to_string(limits_.max_body_bytes) + " bytes");
  response_.body.append(at, room);
  response_.body_cut = true;
  keep_alive_ = false;
  state_ = State::kDone;
  return HPE_PAUSED;
}

int HttpParser::on_message_complete() {
  if (response_.status < 200) {  // 100 Continue, 103 Early Hints: the real one follows
    response_ = {};
    in_headers_ = true;
    return 0;
  }
  state_ = State::kDone;
  return HPE_PAUSED;
}

HttpParser::State HttpParser::failed(std::string message) {
  error_ = std::move(message);
  return state_ = State::kFailed;
}

HttpParser::State HttpParser::feed(std::string_view bytes) {
  if (state_ != State::kReading || bytes.empty()) return state_;
  started_ = true;
  const llhttp_errno_t code = llhttp_execute(&parser_, bytes.data(), bytes.size());
  if (no_memory_) throw std::bad_alloc();
  if (state_ == State::kDone) {
    const auto used = static_cast<size_t>(llhttp_get_error_pos(&parser_) - bytes.data());
    overfed_ = bytes.size() - used;  // bytes that nobody asked for
    if (overfed_ > 0) keep_alive_ = false;
    return state_;
  }
  if (code == HPE_OK) return state_;
  if (!error_.empty()) return failed(std::move(error_));  // llhttp gives each callback's failure its own code
  const char* text = llhttp_get_error_reason(&parser_);
  const std::string reason = text && *text ? text : "malformed";
  if (code == HPE_INVALID_CHUNK_SIZE) return failed("a chunk of the body is malformed: " + reason);
  return failed((in_headers_ ? "the response is not HTTP/1.1: " : "the body is malformed: ") + reason);
}

HttpParser::State HttpParser::finish() {
  if (state_ != State::kReading) return state_;
  if (!in_headers_ && !length_known_) llhttp_finish(&parser_);
  keep_alive_ = false;
  if (state_ == State::kDone) return state_;
  return failed("the response is cut off");
}

}  // namespace hf
