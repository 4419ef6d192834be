#!/usr/bin/env bash
# An engine that has nothing to do makes no system call: one with a job due next month and a schedule armed,
# in a C program and in the daemon, is watched for a while.
#   idle_syscalls.sh IDLE_PROGRAM [SECONDS]
set -euo pipefail
program=$1 seconds=${2:-10}
[ -z "${HOLDFAST_EMULATOR:-}" ] || { echo "skipped: under an emulator"; exit 77; }
command -v strace >/dev/null || { echo "skipped: no strace"; exit 77; }
strace -c -o /dev/null true 2>/dev/null || { echo "skipped: ptrace is not permitted here"; exit 77; }

work=$(mktemp -d)
trap 'kill $pids 2>/dev/null || true; rm -rf "$work"' EXIT
pids=

# How often the threads of a process went to sleep.
sleeps() { cat /proc/"$1"/task/*/status | awk '/^voluntary_ctxt_switches/ {n += $2} END {print n}'; }
settled() {  # PID: what it had to do at its start is done
  local before=-1 now
  for _ in $(seq 100); do
    now=$(sleeps "$1")
    [ "$now" = "$before" ] && return
    before=$now
    sleep 0.3
  done
  echo "process $1 does not come to rest" >&2
  exit 1
}
watch() {  # NAME PID
  settled "$2"
  timeout -s INT "$seconds" strace -f -c -o "$work/calls" -p "$2" 2>"$work/strace" || true
  grep -q attached "$work/strace" || { echo "skipped: cannot attach: $(cat "$work/strace")"; exit 77; }
  kill -0 "$2"
  [ ! -s "$work/calls" ] || { echo "$1, idle for $seconds s:"; cat "$work/calls"; exit 1; }
  echo "$1: no system call in $seconds s ($(grep -o '[0-9]* threads' "$work/strace"))"
}

"$program" "$work/idle.db" >"$work/ready" &
pids=$!
until [ -s "$work/ready" ]; do kill -0 $pids; sleep 0.1; done
watch "a C program" $pids

[ -x "${HOLDFAST_BIN:-}" ] || exit 0  # no daemon in this build
export HOLDFAST_SOCKET=$work/hf.sock
cat >"$work/holdfast.json" <<END
{ "database": "$work/daemon.db", "socket": "$HOLDFAST_SOCKET",
  "handlers": { "report": { "exec": ["/bin/true"] } },
  "schedules": { "yearly": { "cron": "0 0 1 1 *", "type": "report" } } }
END
"$HOLDFAST_BIN" serve --config "$work/holdfast.json" 2>"$work/log" &
daemon=$!
pids="$pids $daemon"
until "$HOLDFAST_BIN" health >/dev/null 2>&1; do kill -0 $daemon || { cat "$work/log"; exit 1; }; sleep 0.1; done
"$HOLDFAST_BIN" add report --delay 30d >/dev/null
watch "the daemon" $daemon
