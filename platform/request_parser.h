// HTTP/1 requests from a stream of bytes, with a bound on everything. Pure: no socket, no clock.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "platform/server_message.h"

namespace hf {

struct RequestLimits {
  std::size_t url_bytes = 2 * 1024;         // longer: 414
  std::size_t head_bytes = 16 * 1024;       // request line and fields as sent, trailers too; more: 431
  std::size_t body_bytes = 1024 * 1024;     // decoded; more: 413
};

// Owner: one connection. Thread: one at a time.
class RequestParser {
 public:
  enum class State {
    kIdle,      // between requests, nothing has come
    kHead,      // within the request line and the fields
    kBody,      // the head is complete, the body is not
    kComplete,  // take() gives the request
    kFailed     // failure() says why; no more is read
  };

  explicit RequestParser(const RequestLimits& limits);
  RequestParser(const RequestParser&) = delete;  // llhttp points here
  RequestParser& operator=(const RequestParser&) = delete;

  // Reads on; returns how many bytes were used, fewer than given if the request is complete (the rest
  // is the next one's) or bad.
  std::size_t feed(std::string_view data);

  State state() const { return state_; }
  // True once: in kBody, and the client waits for "100 Continue" before it sends the body.
  bool take_expects_continue();
  // Decoded bytes of the body so far.
  std::size_t body_bytes() const { return request_.body.size(); }
  // Of the request that is complete (until the next feed).
  bool keep_alive() const { return keep_alive_; }
  bool is_head() const { return is_head_; }
  bool http_1_0() const { return http_1_0_; }

  // REQUIRES: kComplete. Then kIdle.
  ServerRequest take();
  // REQUIRES: kFailed
  const ServerResponse& failure() const { return failure_; }

 private:
  static const llhttp_settings_t& settings();
  static RequestParser& of(llhttp_t* parser) { return *static_cast<RequestParser*>(parser->data); }
  template <auto callback, class... A>
  static int within(llhttp_t* parser, A... rest) noexcept;
  static int on_url(llhttp_t* parser, const char* at, std::size_t length);
  static int on_field(llhttp_t* parser, const char* at, std::size_t length);
  static int on_value(llhttp_t* parser, const char* at, std::size_t length);
  static int on_value_complete(llhttp_t* parser);
  static int on_head(llhttp_t* parser);
  static int on_body(llhttp_t* parser, const char* at, std::size_t length);
  static int on_complete(llhttp_t* parser);

  int head_complete();
  int fail(int status, const char* code, std::string_view message);
  void start();

  const RequestLimits limits_;
  llhttp_t parser_;
  State state_ = State::kIdle;
  ServerRequest request_;
  ServerResponse failure_;
  std::string url_, field_, value_;
  std::size_t head_bytes_ = 0;      // as sent
  std::uint64_t framing_bytes_ = 0;  // of the body as sent: chunk sizes, extensions, trailers
  bool expects_continue_ = false;
  bool keep_alive_ = false;
  bool is_head_ = false;
  bool http_1_0_ = false;
  bool no_memory_ = false;  // the connection is closed for it
};

}  // namespace hf
