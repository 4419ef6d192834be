// Delivers results to one HTTP endpoint, in batches: docs/delivery.md.
#pragma once

#include <uv.h>

#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "handlers/batch_body.h"
#include "handlers/end_run.h"
#include "handlers/http_peer.h"
#include "handlers/outcome_rules.h"
#include "platform/log.h"
#include "platform/runner.h"

namespace hf {

struct SinkOptions {
  HttpTarget target;
  BatchFormat format = BatchFormat::ndjson;  // raw: a StartRun has one job
  Encoding compress = Encoding::none;
  std::string name = {};  // in the log
  Logger log = {};
  OutcomeRules on_status = {};  // what statuses mean here
};

// Loop thread. A StartRun is one batch and one request, unless the server refuses what is in it:
// then its halves are sent, one after the other, down to the jobs that are refused alone. So a
// poisonous result dies alone, with at most 2n - 1 requests for n jobs; the first other failure
// ends all that is left. When the server asks for time (429 or 503 with Retry-After), nothing that is not on its way
// already is sent before that is over.
//
// A refusal may as well be about the compression: a server that has not taken a compressed body yet, or says 415, gets
// the same jobs once more without. If it takes them so, nothing is compressed from then on.
class SinkRunner : public Runner {
 public:
  // May be made on any thread. `client` outlives the runner.
  SinkRunner(uv_loop_t* loop, HttpClient& client, SinkOptions options, EndRun end_run);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever started
  ~SinkRunner() override;

  void start(StartRun run) override;
  // At a timeout and a shutdown the batch is ended, all of it; what was not sent spends no attempt. A job that is cancelled while it is
  // on the way with others stays with them: what was delivered counts as done.
  void stop(JobId id, int attempt, StopReason reason) override;
  // Requests under way are cancelled, their jobs handed back.
  void shutdown(std::function<void()> closed) override;

 private:
  using Jobs = std::vector<RunJob>;
  struct Batch {
    std::list<Jobs> parts;                         // the first is on the way
    std::vector<std::pair<JobId, int>> cancelled;  // of that first part
    BatchBody body{BatchFormat::ndjson, Encoding::none};  // of that first part
    RequestId request = 0;                         // 0: its body is being made
    bool plain = false;                            // no request of it is compressed any more
    bool sent_again = false;                       // the request is the last one, without its compression
    int64_t timeout_ms = -1;
    int64_t wire_bytes = 0;  // that no job of it has been charged with yet
    std::optional<StopReason> stopped;
    bool withdrawn = false;  // not sent after all: the server wants nothing now
  };
  using Position = std::list<Batch>::iterator;

  void send_next(Position batch);
  void make_body(Position batch);
  void make_more(Position batch);
  void send(Position batch);
  void answered(Position batch, HttpResult result);
  void go_on(Position batch, const HttpResult& result);
  void leave(Position batch);
  bool is_quiet() const;
  void keep_quiet(const RunEnded& how);
  RunEnded put_off() const;
  bool doubts_encoding(const Batch& batch, const HttpResult& result) const;
  void learn_encoding(Batch& batch, bool taken);
  void end_without_memory(Batch& batch) noexcept;
  static bool is_cancelled(const Batch& batch, const RunJob& job);
  void end_first(Batch& batch, std::vector<RunEnded> ends);  // the first part
  void end_all(Batch& batch, const RunEnded& how);
  void leave_out_cancelled(Batch& batch);
  void end(const RunJob& job, RunEnded how);

  uv_loop_t* const loop_;
  HttpPeer peer_;
  const BatchFormat format_;
  Encoding encoding_;
  bool encoding_taken_ = false;  // a compressed body was answered with 2xx
  const std::string name_;
  const Logger log_;
  const OutcomeRules on_status_;
  const EndRun end_run_;
  std::list<Batch> batches_;
  int64_t quiet_until_ms_ = 0;  // by boot_ms()
  RunEnded asked_;              // how that was said
  std::function<void()> closed_;
};

}  // namespace hf
