// The compact bytes in a job's row, damaged in any way: what is read is written and read the same,
// and it is fit for use.
#include "core/random.h"
#include "core/record.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

// What the dispatcher makes of it: a damaged policy must not overflow, nor wait for ever.
void check_policy(const Policy& policy) {
  const ResolvedPolicy resolved = resolve(policy, Policy{});
  must(resolved.max_attempts >= 1 && resolved.max_attempts <= HF_ATTEMPTS_MAX);
  must(resolved.timeout_ms == -1 || resolved.timeout_ms >= 1);
  must(validate(resolved.backoff).ok());
  Random random(1);
  for (const int attempt : {1, 2, 63, HF_ATTEMPTS_MAX}) {
    const int64_t wait = delay_ms(resolved.backoff, attempt, random);
    must(wait >= 0 && wait <= kBackoffMaxMs);
  }
}

}  // namespace

HF_FUZZ(input) {
  const std::string_view bytes = input.rest();

  const JobOpts opts = decode_opts(bytes);
  const std::string written = encode_opts(opts);
  must(encode_opts(decode_opts(written)) == written && decode_opts(written) == opts);
  check_policy(opts.policy);

  const JobSpec spec = decode_spec(bytes);
  const std::string spec_written = encode_spec(spec);
  must(encode_spec(decode_spec(spec_written)) == spec_written);
  check_policy(spec.policy);
  must(spec.on_conflict <= OnConflict::debounce && spec.durability <= Durability::result);

  const auto history = decode_history(bytes);
  must(history.size() <= HF_HISTORY_MAX);
  size_t logs = 0;
  for (const Attempt& attempt : history) logs += attempt.log.size();
  must(logs <= HF_JOB_LOG_MAX);
  const std::string history_written = encode_history(history);
  must(encode_history(decode_history(history_written)) == history_written);
}
