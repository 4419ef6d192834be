#include "apps/session.h"

#include <cstdio>
#include <cstdlib>

#include "core/result.h"

namespace hf {
namespace {

// The code by the number of the table in holdfast.h, for errors that are our own.
ExitCode exit_code_of(int code) {
  switch (code) {
    case HF_E_UNREACHABLE:
      return kUnreachable;
    case HF_E_INVALID:
      return kUsage;
    case HF_E_NOT_FOUND:
      return kNotFound;
    case HF_E_DENIED:
    case HF_E_FULL:
    case HF_E_READ_ONLY:
    case HF_E_TOO_LARGE:
    case HF_E_CONFLICT:
    case HF_E_BUSY:
    case HF_E_RATE:
    case HF_E_LOCKED:
      return kRefused;
    default:
      return kFailed;
  }
}

}  // namespace

ExitCode exit_code_of(std::string_view api_code) {
#define HF_EXIT_OF_(name, value, code, text) \
  if (api_code == code) return exit_code_of(name);
  HF_ERRORS(HF_EXIT_OF_)
#undef HF_EXIT_OF_
  return kFailed;
}

Client Session::client() const {
  if (!socket_option.empty()) return Client(socket_option);
  const char* variable = std::getenv("HOLDFAST_SOCKET");
  return Client(variable && *variable ? variable : kDefaultSocket);
}

std::optional<Json> Session::ask(std::string_view method, const std::string& target,
                                 const Json& body, int64_t timeout_ms) {
  const std::string text = body.is_null() ? "" : body.dump();
  auto response = client().request(method, target, text, timeout_ms);
  if (!response) {
    fail(response.error());
    return std::nullopt;
  }
  Json answer = Json::parse(response->body, nullptr, false);
  if (response->ok() && !answer.is_discarded()) return answer;
  if (answer.is_object() && answer.contains("error") && answer["error"].is_object()) {
    const Json& error = answer["error"];
    fail(exit_code_of(std::string_view(error.value("code", ""))),
         error.value("message", "no reason was given"));
  } else if (response->ok()) {
    fail(kFailed, "what the daemon answered is no JSON");
  } else if (!answer.is_discarded() && answer.contains("status")) {
    return answer;  // health: the answer is the news
  } else {
    fail(kFailed, "the daemon answered with status " + std::to_string(response->status));
  }
  return std::nullopt;
}

bool Session::asked_for_json(const Json& answer) const {
  if (json) print(answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  return json;
}

void Session::fail(ExitCode code, std::string_view message) {
  const std::string line = err.paint("holdfast: ", Colour::red) + clean(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  if (exit_code == kDone) exit_code = code;
}

void Session::fail(const Error& error) {
  fail(exit_code_of(error.code), error.message);
}

void Session::print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Session::print_fact(std::string_view name, std::string_view text) const {
  print(out.paint(name, Colour::dim) + std::string(11 - name.size(), ' ') + std::string(text) + "\n");
}

}  // namespace hf
