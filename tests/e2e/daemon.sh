# For tests that drive a daemon of their own: source it. Everything lives in $work and ends with the test.
set -euo pipefail
: "${HOLDFAST_BIN:?}"
work=$(mktemp -d)
daemon=
failures=0
export HOLDFAST_SOCKET=$work/h.sock NO_COLOR=1
unset NOTIFY_SOCKET WATCHDOG_USEC LISTEN_FDS JOURNAL_STREAM || true

holdfast() { ${HOLDFAST_EMULATOR:-} "$HOLDFAST_BIN" "$@"; }
api() { curl -sS --max-time 60 --unix-socket "$HOLDFAST_SOCKET" "$@"; }

# start [OPTION...]: returns when the daemon is ready.
start() {
  ${HOLDFAST_EMULATOR:-} "$HOLDFAST_BIN" serve --config "$work/holdfast.json" "$@" 2>>"$work/log" &
  daemon=$!
  for _ in $(seq 300); do
    [ -S "$HOLDFAST_SOCKET" ] && api -o /dev/null http://holdfast/healthz 2>/dev/null && return
    kill -0 $daemon 2>/dev/null || { cat "$work/log" >&2; echo "the daemon ended" >&2; exit 1; }
    sleep 0.1
  done
  echo "the daemon does not come up" >&2
  exit 1
}
stop() {
  kill -TERM "$daemon"
  wait "$daemon"
  daemon=
}

# until_true COMMAND...: at most 30 s.
until_true() {
  for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
  fail "never came true: $*"
}

fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
# expect STATUS PATTERN COMMAND...: the exit status, and an extended regular expression that some line of what
# it wrote to stdout or stderr matches.
expect() {
  local wanted=$1 pattern=$2 status=0 output
  shift 2
  output=$("$@" 2>&1 </dev/null) || status=$?
  [ "$status" = "$wanted" ] || fail "$*: exit status $status, expected $wanted: $output"
  grep -qE -- "$pattern" <<<"$output" || fail "$*: no line matches /$pattern/: $output"
}
# http STATUS PATTERN CURL-ARGUMENTS...: the same of a status and a body.
http() {
  local wanted=$1 pattern=$2 answer
  shift 2
  answer=$(api -w '\n%{http_code}' "$@") || { fail "curl $*: $answer"; return; }
  [ "${answer##*$'\n'}" = "$wanted" ] || fail "$*: status ${answer##*$'\n'}, expected $wanted: $answer"
  grep -qE -- "$pattern" <<<"$answer" || fail "$*: no line matches /$pattern/: $answer"
}

finish() {
  local status=$?
  [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
  if [ $status != 0 ] || [ $failures != 0 ]; then
    echo "--- the daemon's log:" >&2
    cat "$work/log" >&2 2>/dev/null || true
  fi
  rm -rf "$work"
  [ $failures = 0 ] || exit 1
  exit $status
}
trap finish EXIT
