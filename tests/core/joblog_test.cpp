// What runs say for a person: kept in memory while they run, and with their attempts afterwards.
#include "core/job_log.h"

#include "core/names.h"
#include "core/record.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class JobLogFixture : public EngineFixture {
 public:
  JobLogFixture() { handler("x", quick()); }
  static RunnerSpec quick() {
    RunnerSpec spec;
    spec.policy.max_attempts = 20;
    spec.policy.backoff.kind = BackoffKind::fixed;
    spec.policy.backoff.base_ms = 100;
    spec.policy.backoff.jitter = Jitter::none;
    return spec;
  }
  void say(const RunJob& run, const std::string& text) { ask<Done>(LogLine{run.id, run.attempt, run.run, text}); }
  // Runs it once more, from the moment that it is due.
  void run_once(const std::string& text, Outcome outcome) {
    run_for(100);
    const RunJob run = take_started();
    if (!text.empty()) say(run, text);
    end(run, outcome, outcome == Outcome::done ? "" : "failed");
  }
  static size_t bytes(const JobInfo& job) {
    size_t sum = 0;
    for (const Attempt& attempt : job.history) sum += attempt.log.size();
    return sum;
  }
};

std::string said(std::string_view text) {
  JobLog log;
  log.add(text);
  return log.text();
}
std::string line_of(size_t bytes, char c) { return std::string(bytes, c) + "\n"; }
// 1023 bytes and a newline, so often.
std::string lines(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += line_of(1023, static_cast<char>('a' + i));
  return text;
}

}  // namespace

TEST_CASE("a line is one line of text, whatever it was") {
  CHECK(said("hello") == "hello");
  CHECK(said("hello\n") == "hello");
  CHECK(said("two\r\nlines\r\n") == "two\nlines");
  CHECK(said("a\tb\x1b[1mc\x7f\xff") == "a b?[1mc??");
  CHECK(said("10%\r50%\r100%\r\ndone") == "100%\ndone");
  CHECK(said("one\n\ntwo") == "one\n\ntwo");
  CHECK(said("") == "");
}

TEST_CASE("a long line is cut at a character") {
  CHECK(said(std::string(HF_LOG_LINE_MAX, 'a')) == std::string(HF_LOG_LINE_MAX, 'a'));
  CHECK(said(std::string(HF_LOG_LINE_MAX, 'a') + "b\nnext") == std::string(HF_LOG_LINE_MAX, 'a') + "\nnext");
  CHECK(said(std::string(HF_LOG_LINE_MAX - 1, 'a') + "\xc3\xa9") == std::string(HF_LOG_LINE_MAX - 1, 'a'));
  CHECK(said(std::string(HF_LOG_LINE_MAX - 2, 'a') + "\xc3\xa9") == std::string(HF_LOG_LINE_MAX - 2, 'a') + "\xc3\xa9");
}

TEST_CASE("of many lines the newest stay, whole, and the first says how many are gone") {
  JobLog log;
  log.add(lines(8));
  CHECK(log.text().size() == HF_JOB_LOG_MAX - 1);
  CHECK(log.text().starts_with("aaa"));
  JobLog full;
  full.add(std::string(HF_LOG_LINE_MAX, 'x') + "\n" + lines(6) + std::string(1022, 'y'));
  CHECK(full.text().size() == HF_JOB_LOG_MAX - 1);
  full.add("\n");
  CHECK(full.text().size() == HF_JOB_LOG_MAX);  // to the byte
  CHECK(full.text().starts_with("xxx"));

  log.add("z");
  CHECK(log.text().starts_with("... 1 line before is gone\nbbb"));
  CHECK(log.text().ends_with("hhh\nz"));
  log.add("the last one");
  CHECK(log.text().starts_with("... 1 line before is gone\nbbb"));
  for (int i = 0; i < 100000; ++i) log.add("line " + std::to_string(i));
  CHECK(log.text().size() <= HF_JOB_LOG_MAX);
  CHECK(log.text().size() > HF_JOB_LOG_MAX - 20);
  CHECK(log.text().ends_with("line 99998\nline 99999"));
  const std::string text = log.text();
  const std::string first = text.substr(0, text.find('\n'));
  const auto shown = std::count(text.begin(), text.end(), '\n');  // the mark is no line of it
  CHECK(first == "... " + std::to_string(100000 + 10 - shown) + " lines before are gone");
}

TEST_CASE("of many attempts the oldest logs go first, and one has room for all") {
  std::vector<Attempt> history;
  for (int i = 1; i <= 3; ++i) add_attempt(&history, {i, false, 0, 0, "retry", "", std::string(2000, 'l')});
  CHECK(history[0].log.size() == 2000);
  add_attempt(&history, {4, false, 0, 0, "retry", "", std::string(2192, 'l')});
  CHECK(history[0].log.size() == 2000);  // 8192 in all
  add_attempt(&history, {5, false, 0, 0, "retry", "", "l"});
  CHECK(history[0].log.empty());
  CHECK(history[1].log.size() == 2000);
  add_attempt(&history, {6, false, 0, 0, "retry", "", std::string(HF_JOB_LOG_MAX, 'l')});
  CHECK(history.size() == 6);
  for (int i = 0; i < 5; ++i) CHECK(history[static_cast<size_t>(i)].log.empty());
  CHECK(history[5].log.size() == HF_JOB_LOG_MAX);
  for (int i = 7; i < 30; ++i) add_attempt(&history, {i, false, 0, 0, "retry", "", ""});
  CHECK(history.size() == HF_HISTORY_MAX);
  CHECK(history.front().number == 20);
}

TEST_CASE("a log comes back from the file; of a damaged one as much as there may be") {
  std::vector<Attempt> history = {{1, false, 5, 6, "retry", "error", "one\ntwo"}, {2, false, 7, 8, "done", "", ""}, {3, true, 7, 8, "retry", "", "three"}};
  const auto back = decode_history(encode_history(history));
  REQUIRE(back.size() == 3);
  CHECK(back[0].log == "one\ntwo");
  CHECK(back[0].error == "error");
  CHECK(back[1].log.empty());
  CHECK(back[2].log == "three");
  history[0].log = "a\nb\xff";
  CHECK(decode_history(encode_history(history))[0].log == "a?b?");
  history[2].log = std::string(HF_JOB_LOG_MAX + 1, 'l');
  const auto cut = decode_history(encode_history(history));
  CHECK(cut[0].log.empty());
  CHECK(cut[2].log.empty());
  CHECK(cut[2].outcome == "retry");
}

TEST_CASE_FIXTURE(JobLogFixture, "what a run says is there while it runs, and with its attempt afterwards") {
  const JobId a = add(spec("x"));
  const RunJob first = take_started();
  CHECK(get(a).history.empty());
  pass(250);
  say(first, "begin");
  say(first, "half");
  JobInfo info = get(a);
  REQUIRE(info.history.size() == 1);
  CHECK(info.history[0].number == 1);
  CHECK(info.history[0].outcome.empty());
  CHECK(info.history[0].log == "begin\nhalf");
  CHECK(info.history[0].took_ms == 250);
  CHECK(info.history[0].started_ms == now.wall_ms - 250);
  end(first, Outcome::retry, "no");
  info = get(a);
  REQUIRE(info.history.size() == 1);
  CHECK(info.history[0].outcome == "retry");
  CHECK(info.history[0].log == "begin\nhalf");
  pass(100);
  const RunJob second = take_started();
  CHECK(get(a).history.size() == 1);  // it has said nothing yet
  say(second, "again");
  CHECK(get(a).history.size() == 2);
  end(second, Outcome::dead, "for good");
  info = get(a);
  REQUIRE(info.history.size() == 2);
  CHECK(info.history[0].log == "begin\nhalf");
  CHECK(info.history[1].log == "again");
  CHECK(info.history[1].outcome == "dead");
  reboot(1000, true);
  CHECK(get(a).history[1].log == "again");
  CHECK(ask<JobPage>(List{{}}).jobs.at(0).history.at(1).log.empty());  // a page has none
}

TEST_CASE_FIXTURE(JobLogFixture, "a run that is done has a place in the history if it has said something, and only then") {
  const JobId silent = add(spec("x"));
  run_once("", Outcome::done);
  CHECK(get(silent).history.empty());
  const JobId a = add(spec("x"));
  run_once("first", Outcome::retry);
  run_once("42 rows", Outcome::done);
  const JobInfo info = get(a);
  CHECK(info.state == State::completed);
  REQUIRE(info.history.size() == 2);
  CHECK(info.history[1].outcome == "done");
  CHECK(info.history[1].log == "42 rows");
  CHECK(info.history[1].number == 2);
  CHECK_FALSE(info.history[1].delivery);
  CHECK(info.history[1].error.empty());
}

TEST_CASE_FIXTURE(JobLogFixture, "the log of the run goes with its result to the sink, whose failures come behind it") {
  handler("sink:s", quick());
  JobSpec s = spec("x");
  s.sink = "s";
  const JobId a = add(s);
  const RunJob run = take_started();
  say(run, "made");
  end(run, Outcome::done, "result");
  const RunJob delivery = take_started();
  CHECK(delivery.bytes == "result");
  REQUIRE(get(a).history.size() == 1);
  CHECK(get(a).history[0].log == "made");
  end(delivery, Outcome::retry, "503");
  run_once("", Outcome::done);
  const JobInfo info = get(a);
  CHECK(info.state == State::completed);
  REQUIRE(info.history.size() == 2);
  CHECK(info.history[0].log == "made");
  CHECK(info.history[0].outcome == "done");
  CHECK(info.history[1].delivery);
}

TEST_CASE_FIXTURE(JobLogFixture, "every end keeps it: a timeout, a cancel") {
  RunnerSpec spec_x = quick();
  spec_x.policy.timeout_ms = 1000;
  handler("x", spec_x);
  const JobId a = add(spec("x"));
  RunJob run = take_started();
  say(run, "it hangs");
  pass(1000);
  take_stopped();
  end(run, Outcome::retry);
  CHECK(get(a).history.back().outcome == "timeout");
  CHECK(get(a).history.back().log == "it hangs");
  pass(100);
  run = take_started();
  say(run, "once more");
  ask<Done>(Cancel{a});
  take_stopped();
  say(run, "I clean up");  // it runs still
  end(run, Outcome::cancelled);
  CHECK(get(a).history.back().outcome == "cancelled");
  CHECK(get(a).history.back().log == "once more\nI clean up");
}

TEST_CASE_FIXTURE(JobLogFixture, "a run that is deferred has one place for as often as it is") {
  const JobId a = add(spec("x"));
  run_once("broken", Outcome::retry);
  for (int i = 0; i < 15; ++i) {
    run_for(5000);
    const RunJob run = take_started();
    say(run, "no link, " + std::to_string(i));
    end(run, Outcome::defer, "no link");
  }
  JobInfo info = get(a);
  REQUIRE(info.history.size() == 2);
  CHECK(info.history[0].log == "broken");
  CHECK(info.history[1].outcome == "deferred");
  CHECK(info.history[1].log == "no link, 14");
  CHECK(info.history[1].error == "no link");
  CHECK(info.error == "failed");  // of the last failure, as ever
  run_for(5000);
  run_once("", Outcome::defer);
  CHECK(get(a).history.size() == 2);
  run_for(5000);
  run_once("at last", Outcome::done);
  info = get(a);
  REQUIRE(info.history.size() == 3);
  CHECK(info.history[2].log == "at last");
}

TEST_CASE_FIXTURE(JobLogFixture, "a run that is handed back has run for nothing, and so has its log") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  say(run, "begin");
  tick({SetDispatch{false}, StopAll{true}});
  CHECK(state(a) == State::pending);
  CHECK(get(a).history.empty());
}

TEST_CASE_FIXTURE(JobLogFixture, "a run that is over, or another one, is told so") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  CHECK(refused(LogLine{a, run.attempt + 1, 0, "no"}).code == HF_E_STALE);
  CHECK(refused(LogLine{a, run.attempt, run.run + 1, "no"}).code == HF_E_STALE);
  CHECK(refused(LogLine{a + 1, 1, 0, "no"}).code == HF_E_STALE);
  CHECK(get(a).history.empty());
  ask<Done>(LogLine{a, run.attempt, 0, "who does not know its number"});
  CHECK(get(a).history.size() == 1);
  end(run, Outcome::done);
  CHECK(refused(LogLine{a, run.attempt, run.run, "late"}).message == "this run is over");
}

TEST_CASE_FIXTURE(JobLogFixture, "a line is a sign of life, and writes nothing") {
  RunnerSpec beating = quick();
  beating.heartbeat_ms = 1000;
  handler("x", beating);
  add(spec("x"));
  const RunJob run = take_started();
  pass(900);
  const auto log_bytes = std::filesystem::file_size(path + "-wal");
  say(run, "still here");
  CHECK(std::filesystem::file_size(path + "-wal") == log_bytes);
  pass(900);
  CHECK(stopped.empty());
  pass(100);
  CHECK(take_stopped().id == run.id);
}

TEST_CASE_FIXTURE(JobLogFixture, "of all attempts no more than so many bytes are in the file") {
  const JobId a = add(spec("x"));
  for (int i = 0; i < 12; ++i) {
    run_once(lines(8), Outcome::retry);
    CHECK(bytes(get(a)) <= HF_JOB_LOG_MAX);
    CHECK(get(a).history.back().log.size() == HF_JOB_LOG_MAX - 1);
    run_once(lines(2), Outcome::retry);
    CHECK(bytes(get(a)) == 2047);
    i += 1;
  }
  CHECK(get(a).history.size() == HF_HISTORY_MAX);
}

TEST_CASE_FIXTURE(JobLogFixture, "on a full disk a run may say what it likes, and its end takes no room for that") {
  const JobId a = add(spec("x")), b = add(spec("x"));
  const RunJob first = take_started(), second = take_started();
  say(first, "before");
  ask<Done>(SetRoom{Room::little});
  say(first, "meanwhile");
  CHECK(get(a).history.back().log == "before\nmeanwhile");
  end(first, Outcome::done);
  CHECK(state(a) == State::completed);
  CHECK(get(a).history.empty());
  say(second, "too");
  end(second, Outcome::dead, "broken");
  REQUIRE(get(b).history.size() == 1);
  CHECK(get(b).history[0].error == "broken");
  CHECK(get(b).history[0].log.empty());
  ask<Done>(SetRoom{Room::none});
  ask<Done>(SetRoom{Room::enough});
}

TEST_CASE_FIXTURE(JobLogFixture, "a log goes on with its run when the engine is reopened; with the process it is gone") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  say(run, "before");
  handover = engine->handover();
  engine.reset();
  open();
  handler("x", quick());
  CHECK(get(a).history.back().log == "before");
  say(run, "after");
  end(run, Outcome::retry, "no");
  CHECK(get(a).history.back().log == "before\nafter");
  pass(100);
  const RunJob second = take_started();
  say(second, "lost");
  handover = {};
  crash();
  REQUIRE(get(a).history.size() == 2);
  CHECK(get(a).history[0].log == "before\nafter");
  CHECK(get(a).history[1].outcome == "lost");
  CHECK(get(a).history[1].log.empty());
}
