// What a child printed and how it ended, what a server answered, and the line that a sink is sent of
// it: each is a result within its limits or an error that can be shown.
//
//   CODE SIGNAL FLAGS   a byte each; flags: 1 output over, 2 tail cut, 4 unknown, 8 not started, 16 killed
//   SIZE                two bytes, of the output; what follows it is the tail of stderr
#include "core/units.h"
#include "handlers/error_text.h"
#include "handlers/exec.h"
#include "handlers/http_outcome.h"
#include "handlers/ndjson.h"
#include "platform/json_spec.h"
#include "platform/json_tree.h"
#include "platform/net/retry_after.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

constexpr int64_t kMaxResult = 512;

void must_be_shown(const std::string& text) {
  must(text.size() <= HF_ERROR_TEXT_MAX && valid_utf8(text) && printable(text) == text);
}

void check_exec(const ProcessEnd& end) {
  const RunEnded ended = exec_outcome(end, kMaxResult);
  must_be_shown(ended.error);
  const bool done = !end.not_started && !end.unknown && end.signal == 0 && end.exit_code == 0 && !end.output_over;
  must((ended.outcome == Outcome::done) == done);
  must(done ? ended.result == end.output && ended.error.empty() : ended.result.empty() && !ended.error.empty());
  for (const StopReason reason : {StopReason::cancel, StopReason::timeout, StopReason::shutdown}) {
    const RunEnded stopped = exec_stopped(reason, 5000, end);
    must_be_shown(stopped.error);
    must(stopped.outcome != Outcome::done && !stopped.error.empty());
  }
}

void check_http(int status, std::string_view head, std::string_view body, bool cut) {
  HttpResult result;
  result.sent = true;
  result.response.status = status;
  result.response.headers.add("Retry-After", std::string(head));
  result.response.headers.add("Date", "Wed, 23 Sep 2026 10:00:00 GMT");
  result.response.body = body;
  result.response.body_cut = cut;
  result.response.headers.add("Location", std::string(head));
  result.response.headers.add("Content-Type", "text/html; charset=utf-8");
  const Asker asker = cut ? Asker::sink : Asker::handler;
  const RunEnded ended = http_outcome(result, *parse_url("https://ingest.example/"), asker);
  must_be_shown(ended.error);
  must((ended.outcome == Outcome::done) == (status < 300));
  must(ended.outcome == Outcome::done || !ended.error.empty());
  must(ended.retry_after_ms >= -1 && ended.retry_after_ms <= kRetryAfterMaxMs);
  must(!about_content(result) || status >= 400);
  const RunEnded plain = http_outcome(result, *parse_url("http://ingest.example/"), asker);
  must_be_shown(plain.error);
  const bool portal = plain.error.starts_with("captive portal? ");
  must(!portal || (plain.park_runner && plain.outcome == Outcome::defer && (status == 511 || status < 400)));
  must(portal || plain.outcome == ended.outcome);
}

void check_line(std::string_view result, std::string_view tags) {
  RunJob job;
  job.id = 7;
  job.attempt = 1;
  job.type = "report";
  job.queue = "default";
  job.key = "gateway-0000abcd-7";
  job.tags = tags;
  job.bytes = result;
  const std::string line = ndjson_line(job);
  must(!line.empty() && line.find('\n') == line.size() - 1 && valid_utf8(line));
  const std::string json = json_without_blanks(result);
  must(json_without_blanks(json) == json);
  const auto tree = parse_json(line);
  if (!tree) {
    must(!json.empty());  // a result that nests deep, or with a key twice, is JSON all the same
    return;
  }
  if (const JsonNode* text = tree->find("result_text")) must(text->text == result && json.empty());
  if (const JsonNode* text = tree->find("result_base64")) must(*base64_decode(text->text) == result && json.empty());
  if (const JsonNode* value = tree->find("result"); value && !result.empty()) must(json == line.substr(line.size() - 2 - json.size(), json.size()));
}

}  // namespace

HF_FUZZ(input) {
  ProcessEnd end;
  const int code = input.byte();
  const int signal = input.byte();
  const int flags = input.byte();
  const size_t size = static_cast<size_t>(input.number(2));
  end.output = input.text(size);
  end.error_tail = input.rest();
  end.signal = signal % 65;
  end.exit_code = end.signal == 0 ? code : -1;
  end.output_over = (flags & 1) != 0;
  end.error_tail_cut = (flags & 2) != 0;
  end.unknown = (flags & 4) != 0;
  end.killed = (flags & 16) != 0;
  if ((flags & 8) != 0) end.not_started = Error{HF_E_FULL, "/usr/bin/report: no room for a process"};
  check_exec(end);
  check_http(200 + code % 400, end.error_tail, end.output, end.output_over);
  check_line(end.output, end.error_tail);
  must_be_shown(error_with_head("server", end.output, end.output_over));

}
