#!/usr/bin/env bash
# holdfast simulate: what it prints, what it refuses, and that it leaves nothing behind.
. "$(dirname "$0")/daemon.sh"

# Of another device: none of its files and programs is here.
cat >"$work/gateway.json" <<END
{ "database": "$work/queue.db", "socket": "$work/h.sock", "device": "gw-0042",
  "admin": { "group": "no-such-group" },
  "handlers": {
    "report": { "exec": ["/opt/gateway/report"], "cwd": "/opt/gateway", "sink": "cloud" },
    "probe":  { "exec": ["/opt/gateway/probe"], "timeout": "2h" } },
  "sinks": { "cloud": { "url": "https://example.com/in", "tls": { "cert": "/etc/gw/cert.pem", "key": "/etc/gw/key.pem" } } },
  "schedules": {
    "nightly": { "cron": "30 2 * * *", "tz": "Europe/Berlin", "type": "report" },
    "daily":   { "cron": "H H * * *", "tz": "Europe/Berlin", "type": "report", "jitter": "10m" },
    "probe":   { "cron": "@every 1h", "type": "probe" } } }
END
# The same with windows, and firings that may wait for each other.
sed -e 's|"https://example.com/in",|& "windows": "22:00-06:00", "tz": "Europe/Berlin",|' -e 's|"type": "probe" }|"type": "probe", "slack": "45m" }|' \
    -e 's|"schedules"|"queues": { "default": { "windows": "mon 00:00-24:00; sun 01:00-02:30", "tz": "Europe/Berlin" } },\n &|' "$work/gateway.json" >"$work/windows.json"
simulate() { holdfast simulate --config "$work/gateway.json" "$@"; }
two_days="--from 2026-10-24T12:00:00+02:00 --for 2d"
night=2026-10-24T20:00:00Z/2026-10-25T06:00:00Z

# ---- what it prints
# shellcheck disable=SC2086
{
expect 0 '^Sun 2026-10-25 02:30:00 CEST +14h 30m +fires +nightly +[0-9]+ +report$' simulate $two_days
expect 0 '^Mon 2026-10-26 02:30:00 CET +1d 15h +fires +nightly +[0-9]+ +report$' simulate $two_days
expect 0 '^Sun 2026-10-25 07:00:00 CET +0s +made up +nightly +[0-9]+ +report, of Sun 2026-10-25 02:30:00 CEST$' simulate $two_days --outage $night
expect 0 '^Sun 2026-10-25 07:00:00 CET +0s +power on$' simulate $two_days --outage $night
expect 0 '^Sat 2026-10-24 22:00:00 CEST +10h +power off +for 10h$' simulate $two_days --outage 10h/10h
expect 0 'Sun 2026-10-25 02:29:00 CEST +Sun 2026-10-25 02:30:00 CEST +14h 29m +fires +nightly' simulate $two_days --set-clock 1h/+1m
expect 0 'Sun 2026-10-25 01:00:00 CEST +Thu 1970-01-01 14:00:00 CET +13h +fires +probe' simulate $two_days --clock-lost 0s/20h
expect 0 '^wake-ups +[0-9]+, [0-9.]+ a day' simulate $two_days --summary
expect 0 '^nightly +2 +2 +2 +1.0$' simulate $two_days --summary
expect 0 '^Sun 2026-10-25 00:30:00 UTC .* nightly ' simulate $two_days --tz UTC
expect 0 '^probe +47 +47 +47' simulate $two_days --summary --schedule probe
expect 0 'wake-up$' simulate $two_days --wakeups
expect 0 ' delivering +nightly ' simulate $two_days --jobs
expect 0 ' fires +probe ' simulate --for 2h
expect 0 'skipped +probe +the job of the last firing is not finished' simulate $two_days --run-time probe=90m --run-time 2s
expect 0 '^firings +0$' simulate --from 2026-10-24T12:00:00Z --for 10m

all=$(simulate $two_days --json --outage $night --wakeups --jobs)
[ "$all" = "$(simulate $two_days --json --outage $night --wakeups --jobs)" ] || fail "the same call prints something else"
[ "$all" != "$(simulate $two_days --json --outage $night --wakeups --jobs --seed 2)" ] || fail "the seed moves nothing"
[ "$all" != "$(simulate $two_days --json --outage $night --wakeups --jobs --device gw-0043)" ] || fail "H does not go by the device"
expect 0 '^\{"event":"made_up","time":"2026-10-25T06:00:00Z","local":"2026-10-25T07:00:00\+01:00","uptime_ms":0,"schedule":"nightly","job":[0-9]+,"type":"report","planned":"2026-10-25T00:30:00Z"\}$' simulate $two_days --json --outage $night
expect 0 '^\{"event":"summary","device":"gw-0042","from":"2026-10-24T10:00:00Z","to":"2026-10-26T10:00:00Z","fired":' simulate $two_days --json

# ---- windows and slack
windows() { holdfast simulate --config "$work/windows.json" "$@"; }
expect 0 '^Sat 2026-10-24 22:00:00 CEST +10h +opens +queue sink:cloud$' windows $two_days
expect 0 '^Sun 2026-10-25 06:00:00 CET +19h +closes +queue sink:cloud$' windows $two_days
expect 0 '^Sun 2026-10-25 01:00:00 CEST +13h +opens +queue default$' windows $two_days
expect 0 '^Sun 2026-10-25 02:30:00 CEST +14h 30m +closes +queue default$' windows $two_days
expect 0 '^\{"event":"window_opened","time":"2026-10-24T20:00:00Z".*"queue":"sink:cloud"\}$' windows $two_days --json
expect 0 '^Mon 2026-10-26 00:00:01 CET .* delivering +nightly ' windows $two_days --jobs
expect 0 '^wake-ups +[0-9]+' windows $two_days --summary --schedule probe
woken() { "$@" $two_days --summary --json | grep -o '"wake_ups":[0-9]*' | head -n 1 | cut -d: -f2; }
[ "$(woken windows)" -lt "$(woken simulate)" ] || fail "slack saves no wake-up"

# ---- bounded
expect 5 'holdfast: [0-9]+ more lines are left out: --limit' simulate $two_days --limit 5
[ "$(simulate $two_days --limit 5 2>/dev/null | grep -c '^S.*h .*fires')" = 5 ] || fail "--limit 5 does not show 5 lines"
expect 5 '"event":"summary".*"lines_left_out":[1-9]' simulate $two_days --limit 5 --json
expect 0 '^firings' simulate $two_days --limit 1 --summary
count=$(simulate $two_days --json | grep -vc '"event":"summary"')
expect 0 '^firings' simulate $two_days --limit "$count"
expect 5 'holdfast: 1 more line is left out' simulate $two_days --limit $((count - 1))
expect 2 'limit' simulate --limit 1000001
expect 0 '^firings +366[01]$' simulate --from 2026-10-24T12:00:00Z --for 3660d --schedule nightly --summary
expect 0 '^firings' simulate --from 2026-10-24T12:00:00Z --for 1d --run-time 366d --summary
expect 2 '--run-time .*366d' simulate --run-time 367d

# ---- what it refuses
expect 2 '--from: "yesterday" is not a time' simulate --from yesterday
expect 2 '--for: "a week" is not a duration' simulate --for 'a week'
expect 2 '--for .*3660d' simulate --for 3661d
expect 2 '--for ' simulate --for 0s
expect 2 '--for and --to exclude each other' simulate $two_days --to 2026-10-30T00:00:00Z
expect 2 'is not after --from' simulate --from 2026-10-24T12:00:00Z --to 2026-10-24T12:00:00Z
expect 2 '--outage "1d": expected START/LENGTH, such as 2d/8h' simulate $two_days --outage 1d
expect 2 '--outage "3d/8h": .* is not in what is simulated' simulate $two_days --outage 3d/8h
expect 2 '--set-clock "1h/1h": .*neither a step, such as \+1h or -90s, nor a time' simulate $two_days --set-clock 1h/1h
expect 2 '--suspend .* begins before --outage .* is over' simulate $two_days --outage 1h/2h --suspend 2h/2h
expect 2 '--clock-lost .*is not after its start' simulate $two_days --clock-lost 1h/0s
expect 2 '--run-time: "1" is not a duration' simulate --run-time 1
expect 3 '--run-time: .*no handler "prob"; did you mean "?probe' simulate --run-time prob=1s
expect 3 '--schedule: .*no schedule "nightl"; did you mean "?nightly' simulate --schedule nightl
expect 2 '--tz: .*did you mean Europe/Berlin' simulate --tz Europe/Berln
expect 2 '--device: device "a b"' simulate --device 'a b'
expect 2 'limit' simulate --limit 0
expect 2 'whole number|seed' simulate --seed x
expect 2 'unknown option "--outages"; did you mean "--outage"' simulate --outages 1d/8h
expect 1 'none.json: No such file' holdfast simulate --config "$work/none.json"
sed 's/30 2/61 2/' "$work/gateway.json" >"$work/bad.json"
expect 1 'bad.json:[0-9]+: schedules.nightly.cron: .*61' holdfast simulate --config "$work/bad.json"
}

# ---- nothing is left behind
[ "$(ls "$work")" = "$(printf 'bad.json\ngateway.json\nwindows.json')" ] || fail "files were made: $(ls "$work")"
