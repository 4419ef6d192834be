// One HTTP/1.1 response, bytes in, message out. No I/O: llhttp behind the limits of the request.
#pragma once

#include <llhttp.h>

#include <string>
#include <string_view>

#include "platform/net/http_message.h"

namespace hf {

// Plain object; not movable, since llhttp points into it.
class HttpParser {
 public:
  enum class State {
    kReading,
    kDone,    // response() is whole; body_cut() responses end early
    kFailed,  // error() says why
  };

  HttpParser(bool head_request, const HttpLimits& limits);
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Bytes behind the end of the message make the connection unfit for reuse; they are not looked at.
  State feed(std::string_view bytes);
  // The peer ended the stream: the end of a body without a length. kReading becomes kDone or kFailed.
  State finish();

  bool started() const { return started_; }  // a byte has come
  size_t overfed() const { return overfed_; }  // so many of the last bytes are behind the end
  // REQUIRES: kDone
  bool keep_alive() const { return keep_alive_; }
  HttpResponse take_response() { return std::move(response_); }
  const std::string& error() const { return error_; }  // REQUIRES: kFailed

 private:
  static HttpParser& of(llhttp_t* parser) { return *static_cast<HttpParser*>(parser->data); }
  static const llhttp_settings_t& settings();
  void flush_field();
  template <class F>
  static int within(llhttp_t* parser, F f) noexcept;
  int count_header_bytes(size_t size);
  int fail(std::string message);
  int on_headers_complete();
  int on_body(const char* at, size_t size);
  int on_message_complete();
  State failed(std::string message);

  const bool head_request_;
  const HttpLimits limits_;
  llhttp_t parser_;
  State state_ = State::kReading;
  bool started_ = false;
  bool in_headers_ = true;
  bool keep_alive_ = false;
  size_t overfed_ = 0;
  bool length_known_ = true;  // false: the body ends with the stream
  size_t header_bytes_ = 0;
  std::string field_, value_;
  HttpResponse response_;
  std::string error_;
  bool no_memory_ = false;
};

}  // namespace hf
