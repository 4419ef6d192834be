#!/usr/bin/env bash
# Every command of the command line against a real daemon, each exit status, and what people mistype.
. "$(dirname "$0")/daemon.sh"

cat >"$work/holdfast.json" <<END
{ "database": "$work/queue.db", "socket": "$work/h.sock", "device": "gw-0042", "stop_grace": "200ms",
  "handlers": {
    "echo":  { "exec": ["/bin/cat"] },
    "flaky": { "exec": ["/bin/sh", "-c", "[ \$HOLDFAST_ATTEMPT -ge 2 ] || { echo no link >&2; exit 75; }"],
               "backoff": { "kind": "fixed", "base": "100ms", "jitter": "none" } },
    "bad":   { "exec": ["/bin/sh", "-c", "echo no such channel >&2; exit 65"] },
    "slow":  { "exec": ["/bin/sleep", "600"] } },
  "schedules": { "nightly": { "cron": "H 2 * * *", "tz": "Europe/Berlin", "type": "echo" } } }
END

# ---- without a daemon
expect 4 'cannot reach the daemon at .*h.sock: there is no such socket' holdfast list
expect 2 'is 108|has [0-9]+ bytes' holdfast list --socket "/tmp/$(printf 'x%.0s' $(seq 120))"
expect 0 '"next":\[\{"time":"2026-11-25T02:30:00Z"' holdfast schedule next '30 2 * * *' --from 2026-11-25T00:00:00Z -n 1 --json
expect 0 'at 02:30 on Monday through Friday, Europe/Berlin' holdfast schedule next '30 2 * * 1-5' --tz Europe/Berlin
expect 2 'the minute is 61' holdfast schedule next '61 * * * *'
expect 2 'can never fire' holdfast schedule next '0 0 30 2 *'
expect 2 'did you mean Europe/Berlin' holdfast schedule next @daily --tz Europe/Berln
expect 2 'not a time' holdfast schedule next @daily --from yesterday
expect 0 '^holdfast [0-9]+\.' holdfast version
expect 0 '^holdfast [0-9]+\.' holdfast --version
holdfast completion bash >"$work/completion" && bash -n "$work/completion" || fail "the completion script"
expect 1 'later version' holdfast top
expect 1 'later version' holdfast bundle

# ---- usage
expect 2 'a command is missing' holdfast
expect 2 'unknown command "lst"; did you mean "list"' holdfast lst
expect 2 'unknown option "--prioritty"; did you mean "--priority"' holdfast add echo --prioritty 3
expect 2 'TYPE is required \(see holdfast add --help\)' holdfast add
expect 2 'a whole number is expected' holdfast list --limit many
expect 2 'unexpected argument' holdfast stats now
for command in $(holdfast --help | awk '/^  [a-z]/ { print $1 }') "schedule put" "schedule next" "queue set"; do
  # shellcheck disable=SC2086
  expect 0 'Usage: holdfast' holdfast $command --help
  grep -qw -- "${command##* }" "$work/completion" || fail "the completion script does not know $command"
done

# ---- the configuration
expect 0 ': ok \(4 handlers, 0 sinks, 1 schedules\)' holdfast serve --config "$work/holdfast.json" --check
sed 's/"200ms"/"200 ms"/' "$work/holdfast.json" >"$work/bad.json"
expect 1 'bad.json:1: stop_grace: "200 ms" is not a duration' holdfast serve --config "$work/bad.json" --check
expect 1 'bad.json:1: stop_grace' holdfast serve --config "$work/bad.json"
expect 1 'none.json: No such file' holdfast serve --config "$work/none.json"

# ---- a daemon
start
expect 5 'is in use by process [0-9]+' holdfast serve --config "$work/holdfast.json" --socket "$work/other.sock"

id=$(holdfast add echo hello)
expect 0 '^hello$' holdfast wait "$id" --timeout 30s
expect 0 '"id":[0-9]+' holdfast add echo --json
expect 0 '^\{"a": 1\}$' holdfast add echo '{"a": 1}' --wait
echo from a file >"$work/payload"
expect 0 '^from a file$' holdfast add echo "@$work/payload" --wait
[ "$(echo from stdin | holdfast add echo - --wait)" = "from stdin" ] || fail "payload from stdin"
expect 0 '^@at$' holdfast add echo @@at --wait
[ "$(printf '\000\377' | holdfast add echo - --wait | od -An -tx1 | tr -d ' \n')" = 00ff ] || fail "bytes there and back"
expect 1 'No such file' holdfast add echo "@$work/none"
expect 1 'is dead: exit code 65: no such channel' holdfast add bad --wait
expect 0 '' holdfast add flaky --wait
expect 2 'delay: "30" is not a duration' holdfast add echo --delay 30
expect 2 'priority: found 1001, expected a whole number from -1000 to 1000' holdfast add echo --priority 1001
expect 2 '"delay" and "at" exclude each other' holdfast add echo --delay 1s --at 2030-01-01T00:00:00Z
expect 2 'the job type name "a b" has " "' holdfast add 'a b'
expect 5 'larger|longer|too large|limit|allowed' holdfast add echo "@$HOLDFAST_BIN"
expect 0 '' holdfast add slow --unique u
expect 5 'u' holdfast add slow --unique u --on-conflict reject
same=$(holdfast add echo same --delay 1h --unique-by payload)
expect 0 "^$same\$" holdfast add echo same --delay 1h --unique-by payload
expect 2 'unique_by: found "bytes", expected "key" or "payload"' holdfast add echo --unique-by bytes
expect 2 'exclude each other' holdfast add echo --unique-by payload --unique k
first=$(holdfast add echo first --delay 1h)
behind=$(holdfast add echo behind --after "$first,$same")
expect 0 "^  after +not known +waits for the end of job $same .pending., job $first .pending.$" holdfast why "$behind"
expect 0 "^after +job $same, $first$" holdfast show "$behind"
expect 0 "scheduled +0/5 +after job $same, $first$" holdfast list --limit 1
expect 2 'after' holdfast add echo --after x
expect 3 'after: there is no job 999999' holdfast add echo --after 999999
expect 2 'after_failure: found "wait", expected "dead" or "run"' holdfast add echo --after "$first" --after-failure wait
behind2=$(holdfast add echo all-the-same --after "$first" --after-failure run)
expect 0 '' holdfast cancel "$first"
expect 1 "is dead: job $first, after which it was to run, is cancelled" holdfast wait "$behind" --timeout 30s
expect 0 '^all-the-same$' holdfast wait "$behind2" --timeout 30s
expect 0 '^[0-9]+$' holdfast add echo --priority -5 --queue side --tags 'a tag' --delay 1h --max-attempts 3 --ttl 2h

later=$(holdfast add echo --delay 1h)
expect 0 'due in' holdfast why "$later"
expect 1 'is not finished: scheduled' holdfast wait "$later" --timeout 100ms
expect 0 '' holdfast edit "$later" --priority 7 --payload changed
expect 0 '^priority +7$' holdfast show "$later"
expect 2 'say what to change' holdfast edit "$later"
expect 0 '"payload":"changed"' holdfast show "$later" --json
expect 0 '' holdfast retry "$later"  # pending: due now
expect 0 '^changed$' holdfast wait "$later" --timeout 30s
expect 1 'completed' holdfast retry "$later"
expect 0 '' holdfast rm "$later"
for command in show why wait cancel retry rm; do
  expect 3 "there is no job $later" holdfast $command "$later"
done
expect 2 'job id: found "x"' holdfast show x
expect 3 'there is no job 999' holdfast cancel 999 998
slow=$(holdfast list --state running --json | grep -o '"id":[0-9]*' | head -1 | tr -dc 0-9)
expect 1 'running|runs' holdfast rm "$slow"
expect 0 '' holdfast cancel "$slow"
expect 1 'is cancelled' holdfast wait "$slow" --timeout 30s

expect 0 'ID +TYPE +QUEUE +STATE' holdfast list
expect 0 '"jobs":\[' holdfast list --json
expect 0 ' bad .* dead ' holdfast list --state dead --type bad
expect 2 'did you mean completed|did you mean "completed"' holdfast list --state complete
expect 2 'limit: found "0"' holdfast list --limit 0
expect 0 'more: --after [0-9]+' holdfast list --limit 1
expect 0 'no jobs' holdfast list --queue nowhere
expect 0 '^0 jobs are pending again$' holdfast retry --all-dead --queue nowhere --over 1h
expect 2 'over' holdfast retry --all-dead --over 31d
expect 2 '--all-dead' holdfast retry 1 --queue side
expect 0 'pending again' holdfast retry --all-dead
expect 2 '--all-dead' holdfast retry

# ---- schedules and queues
expect 0 'nightly +H 2 \* \* \* +Europe/Berlin' holdfast schedule list
expect 0 'schedule probe is on, next ' holdfast schedule put probe '@every 1h' echo hi --jitter 1m
expect 2 '4 fields found' holdfast schedule put x '* * * *' echo
expect 2 'tz|zone' holdfast schedule put x @daily echo --tz Nowhere/Land
expect 2 'overlap: found "skp".*did you mean "skip"' holdfast schedule put x @daily echo --overlap skp
expect 0 'probe is paused' holdfast schedule pause probe
expect 0 'probe is on' holdfast schedule resume probe
expect 0 '^[0-9]+$' holdfast schedule run probe
expect 0 '@every 1h' holdfast schedule next probe -n 2
expect 0 'H 2 \* \* \*  at 02:[0-9]+, Europe/Berlin' holdfast schedule next nightly
expect 3 'there is no schedule "nightl"; did you mean nightly' holdfast schedule next nightl
expect 0 '' holdfast schedule rm probe
expect 3 'there is no schedule "probe"' holdfast schedule rm probe
expect 0 'queue side is paused' holdfast queue pause side
expect 0 'queue side is paused until [A-Za-z0-9:. -]+ \(in [0-9hm s]+\): printer is broken, concurrency -' holdfast queue pause side --for 2h --reason 'printer is broken'
expect 0 'side .* paused until .*: printer is broken' holdfast queue list
expect 0 '"paused":true,"pause_reason":"printer is broken","resumes":"2' holdfast queue list --json
expect 0 'queue side is paused, concurrency -' holdfast queue pause side
expect 0 'queue side is paused until 2' holdfast queue pause side --until "$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)"
expect 2 'until is 2001-01-01T00:00:00Z, which is past' holdfast queue pause side --until 2001-01-01T00:00:00Z
expect 2 'excludes' holdfast queue pause side --for 1h --until 2001-01-01T00:00:00Z
expect 2 'for: ' holdfast queue pause side --for 400d
expect 2 'reason: the string has 201 bytes' holdfast queue pause side --reason "$(printf '%201s' x)"
expect 0 'QUEUE +PENDING' holdfast queue list
expect 0 'queue side is open' holdfast queue resume side
expect 0 'queue side is draining' holdfast queue drain side
expect 5 'draining: it takes no new jobs' holdfast add echo --queue side
expect 0 'queue side is open' holdfast queue resume side
expect 0 'queue side is open, concurrency 2' holdfast queue set side concurrency=2
expect 0 'queue side is open, concurrency -' holdfast queue set side concurrency=none
expect 2 'did you mean "concurrency"' holdfast queue set side concurency=2
expect 2 'whole number' holdfast queue set side concurrency=two
expect 0 'queue side is open, concurrency -, slack 30s' holdfast queue set side slack=30s
expect 0 'queue side is open, concurrency 3, slack 30s' holdfast queue set side concurrency=3
expect 0 'queue side is open, concurrency 3, rate_limit 5/1h, slack 30s' holdfast queue set side rate_limit=5/h
expect 0 'queue side is open, concurrency 3, throttle 10/1m, slack 30s' holdfast queue set side rate_limit=none throttle=10/1m
expect 2 'throttle: "fast" is no rate: expected NUMBER/TIME' holdfast queue set side throttle=fast
expect 0 'queue side is open, concurrency 3, slack 30s' holdfast queue set side throttle=none
expect 0 'queue side is open, concurrency 3, key_concurrency 2, key_rate_limit 5/1h burst 2, key_throttle 1/1s, order lifo, aging 10s, fair true, slack 30s$' holdfast queue set side \
  key_concurrency=2 'key_rate_limit=5/h burst 2' key_throttle=1/s order=lifo aging=10s fair=true
expect 0 '"key_concurrency":2,"key_rate_limit":"5/1h burst 2","key_throttle":"1/1s","order":"lifo","aging":"10s","fair":true,"set":' holdfast queue list --json
expect 0 'key_rate_limit off, key_throttle 1/1s, order fifo, aging 0s, fair false, slack 30s$' holdfast queue set side key_rate_limit=off order=fifo aging=0s fair=false
expect 2 'fair: found "maybe", expected true or false' holdfast queue set side fair=maybe
expect 2 'order: found "newest", expected "fifo" or "lifo"' holdfast queue set side order=newest
expect 2 'aging: ' holdfast queue set side aging=367d
expect 2 'key_concurrency: found "two", expected a whole number from 1 to 10000' holdfast queue set side key_concurrency=two
expect 2 'key_throttle: "fast" is no rate' holdfast queue set side key_throttle=fast
expect 2 'found "ageing=1m", expected concurrency=N, .*key_concurrency=N, .*order=fifo\|lifo, aging=TIME, fair=true\|false, .*tz=ZONE, max_pending=N, .*; did you mean "aging"' holdfast queue set side ageing=1m
expect 0 'queue side is open, concurrency 3, key_throttle 1/1s, order fifo, aging 0s, slack 30s$' holdfast queue set side key_concurrency=none key_rate_limit=none fair=none
expect 0 'queue side is open, concurrency 3, slack 30s$' holdfast queue set side key_throttle=none order=none aging=none
expect 0 'queue side is open, concurrency 3, slack 30s, max_pending 2, when_full drop_oldest, enqueue_limit 5/1s burst 2, key_enqueue_limit off, retry_budget 60/1h$' holdfast queue set side \
  max_pending=2 when_full=drop_oldest 'enqueue_limit=5/s burst 2' key_enqueue_limit=off retry_budget=60/h
expect 0 '"max_pending":2,"when_full":"drop_oldest","enqueue_limit":"5/1s burst 2","key_enqueue_limit":"off","retry_budget":"60/1h","set":' holdfast queue list --json
expect 0 '^side +1 of 2 ' holdfast queue list
expect 2 'max_pending: found 1000000001, expected a whole number from 0 to 1000000000' holdfast queue set side max_pending=1000000001
expect 2 'max_pending: found "two", expected a whole number, or none' holdfast queue set side max_pending=two
expect 2 'when_full: found "drop", expected "reject", "drop_oldest", "drop_lowest" or "coalesce"' holdfast queue set side when_full=drop
expect 0 'queue side is open, concurrency 3, slack 30s$' holdfast queue set side max_pending=none when_full=none enqueue_limit=none key_enqueue_limit=none retry_budget=none
expect 0 'queue side is open, concurrency 3, slack 30s, retention_completed 0s, retention_dead 90d, retention_completed_count 10, retention_dead_count 1000000000$' holdfast queue set side \
  retention_completed=0s retention_dead=90d retention_completed_count=10 retention_dead_count=1000000000
expect 0 '"retention_completed":"0s","retention_dead":"90d","retention_completed_count":10,"retention_dead_count":1000000000,"set":' holdfast queue list --json
expect 2 'retention_completed_count: found "two", expected a whole number, or none' holdfast queue set side retention_completed_count=two
expect 2 'retention_dead_count: found 0, expected a whole number from 1 to 1000000000' holdfast queue set side retention_dead_count=0
expect 2 'retention_dead: ' holdfast queue set side retention_dead=soon
expect 2 'are of the queue in which a job ran' holdfast queue set sink:cloud retention_dead=1d
expect 0 'queue side is open, concurrency 3, slack 30s$' holdfast queue set side retention_completed=none retention_dead=none retention_completed_count=none retention_dead_count=none
expect 0 'queue few is open, concurrency -, max_pending 2, when_full drop_oldest$' holdfast queue set few max_pending=2 when_full=drop_oldest
expect 0 'paused' holdfast queue pause few
gone=$(holdfast add echo --queue few)
expect 0 '^[0-9]+$' holdfast add echo --queue few
expect 0 '^[0-9]+$' holdfast add echo --queue few
expect 3 "no job $gone" holdfast show "$gone"
expect 0 '1 displaced .few' holdfast stats
expect 0 'when_full coalesce$' holdfast queue set few when_full=coalesce
expect 5 'none of type echo with concurrency_key "k" in queue few may give way' holdfast add echo --queue few --concurrency-key k
expect 0 'when_full reject$' holdfast queue set few when_full=reject
expect 5 'queue few holds 2 jobs that wait; the limit is 2 .max_pending.' holdfast add echo --queue few
expect 0 'open' holdfast queue resume few
expect 0 'queue side is closed until 20.*Z .in .*., concurrency 3, slack 30s' holdfast queue set side 'windows=0 0 29 2 * for 1s' tz=Europe/Berlin
expect 0 '^side +1 +0 +3 +closed until ' holdfast queue list
expect 0 '"concurrency":3,"slack":"30s","windows":"0 0 29 2 \* for 1s","tz":"Europe/Berlin","set":' holdfast queue list --json
expect 2 'windows, column 5: .*moon' holdfast queue set side 'windows=sat,moon 00:00-24:00'
expect 2 'did you mean Europe/Berlin' holdfast queue set side tz=Europe/Berln
expect 2 'slack' holdfast queue set side slack=2d
side=$(holdfast add echo --queue side | grep -o '[0-9][0-9]*' | head -n 1)
expect 0 'outside its windows' holdfast why "$side"
expect 0 'queue side is open, concurrency -' holdfast queue set side windows= concurrency=none slack=none
expect 0 'queue side is open, concurrency -' holdfast queue set side windows=none tz=none

# ---- looking after it
expect 0 'JOBS +NOW +SINCE START' holdfast stats
expect 0 '"pending":[0-9]+' holdfast stats --json
expect 0 '^ok$|^degraded$' holdfast health
expect 0 '^holdfast_jobs\{state="pending"\} [0-9]+$' holdfast metrics
expect 0 'the file is sound' holdfast check
expect 0 "^$work/copy.db$" holdfast backup "$work/copy.db"
expect 5 'is there already' holdfast backup "$work/copy.db"
expect 0 'jobs? deleted' holdfast prune
expect 0 'it was not on' holdfast end-safe-mode
expect 0 'what waits for the network tries it soon' holdfast link up
${HOLDFAST_EMULATOR:-} "$HOLDFAST_BIN" watch --type echo >"$work/watched" & watcher=$!
two_clients() { holdfast metrics | grep '^holdfast_admin_clients [2-9]'; }
until_true two_clients
seen=$(holdfast add echo --wait >/dev/null; holdfast list --type echo --limit 1 --json | grep -o '"id":[0-9]*' | tr -dc 0-9)
until_true grep -qE "completed +$seen +echo" "$work/watched"
kill $watcher; wait $watcher 2>/dev/null || true

# ---- a reload: a bad one is refused, a good one applies the difference
cp "$work/holdfast.json" "$work/good.json"
cp "$work/bad.json" "$work/holdfast.json"
kill -HUP "$daemon"
until_true grep -q 'error reload_refused reason=".*stop_grace' "$work/log"
expect 0 '' holdfast add echo --wait
sed '/"schedules"/d; s/"600"\] } },/"600"] }, "new": { "exec": ["\/bin\/echo", "hi"] } } }/' "$work/good.json" >"$work/holdfast.json"
kill -HUP "$daemon"
until_true grep -q 'info reloaded handlers=5 sinks=0 schedules=0' "$work/log"
expect 0 '^hi$' holdfast add new --wait
expect 0 'no schedules' holdfast schedule list

# ---- a stop hands running jobs back, with no attempt spent
slow=$(holdfast add slow)
slow_runs() { holdfast list --type slow --limit 1 | grep ' running '; }
until_true slow_runs
stop
expect 4 'no such socket' holdfast list
grep -q 'info stopped' "$work/log" || fail "no word of the stop in the log"
start
expect 0 '"state":"(pending|running)".*"attempts":[01],' holdfast show "$slow" --json

# ---- a kill loses nothing that was acknowledged
id=$(holdfast add echo survivor --delay 1s)
kill -KILL "$daemon"; wait "$daemon" 2>/dev/null || true
expect 4 'nobody listens there any more' holdfast list
start
expect 0 '^survivor$' holdfast wait "$id" --timeout 30s
stop
