#!/usr/bin/env bash
# The admin API with a real curl: each route, each status, who may do what, and input that is wrong.
. "$(dirname "$0")/daemon.sh"
command -v curl >/dev/null || { echo "skipped: no curl"; exit 77; }
at=http://holdfast
chmod 755 "$work"

config() {  # ADMIN
  cat >"$work/holdfast.json" <<END
{ "database": "$work/queue.db", "socket": "$work/h.sock", "device": "gw-0042", "admin": { $1 },
  "handlers": { "echo": { "exec": ["/bin/cat"] }, "bad": { "exec": ["/bin/sh", "-c", "echo secret trouble >&2; exit 65"], "log": "stderr" } },
  "limits": { "max_payload": "64KiB" } }
END
}
config ''
start

# ---- jobs
http 201 '^\{"id":1\}$' $at/v1/jobs -d '{"type":"echo","payload":{"a":[1,2]}}'
http 200 '"state":"completed".*"payload":"\{\\"a\\":\[1,2\]\}","result":"\{\\"a\\":\[1,2\]\}"' "$at/v1/jobs/1/wait?timeout=30s"
http 201 '^\{"ids":\[2,3\]\}$' $at/v1/jobs -d '{"jobs":[{"type":"echo","delay":"1h"},{"type":"echo","delay":"1h"}]}'
http 400 'jobs\[1\].ttl: \\"x\\" is not a duration' $at/v1/jobs -d '{"jobs":[{"type":"echo"},{"type":"echo","ttl":"x"}]}'
http 200 '"jobs":\[\{"id":3,.*\{"id":2,.*\{"id":1,' $at/v1/jobs  # none of the two
http 200 '"jobs":\[\{"id":3,[^[]*\],"next":3\}' "$at/v1/jobs?state=scheduled&limit=1"
http 200 '"jobs":\[\{"id":2,' "$at/v1/jobs?state=scheduled&limit=1&after=3"
http 200 '"gate":"due"' $at/v1/jobs/2/why
http 200 '"id":2' -X PATCH $at/v1/jobs/2 -d '{"priority":5,"payload":"new"}'
http 200 '"priority":5.*"payload":"new"' $at/v1/jobs/2
http 200 '"id":3' -X POST $at/v1/jobs/3/cancel
http 409 '"code":"state"' -X POST $at/v1/jobs/3/cancel
http 200 '"id":3' -X POST $at/v1/jobs/3/retry
http 200 '"state":"completed"' "$at/v1/jobs/3/wait"
http 200 '"id":3' -X DELETE $at/v1/jobs/3
http 404 '"code":"not_found","message":"there is no job 3"' $at/v1/jobs/3
http 200 '"state":"pending"' "$at/v1/jobs/2/wait?timeout=100ms"
http 201 '^\{"id":4\}$' $at/v1/jobs -d '{"type":"bad","payload":"canary-payload","tags":"canary-tags"}'
http 200 '"state":"dead".*"error":"[^"]*secret trouble' $at/v1/jobs/4/wait
http 200 '"log":"secret trouble"' $at/v1/jobs/4
http 200 '"retried":1' -X POST $at/v1/jobs/retry-dead
http 201 '' $at/v1/jobs -d '{"type":"echo","payload_base64":"AP8="}'
http 200 '"payload_base64":"AP8=","result_base64":"AP8="' $at/v1/jobs/5/wait
http 201 '' $at/v1/jobs -d '{"type":"echo","unique_key":"k","delay":"1h"}'
http 409 '"code":"conflict"' $at/v1/jobs -d '{"type":"echo","unique_key":"k","on_conflict":"reject"}'

# ---- schedules and queues
http 200 '"name":"s","cron":"@daily","tz":"Europe/Berlin".*"next":"20' -X PUT $at/v1/schedules/s -d '{"cron":"@daily","tz":"Europe/Berlin","type":"echo"}'
http 400 'can never fire' -X PUT $at/v1/schedules/t -d '{"cron":"0 0 30 2 *","type":"echo"}'
http 400 'did you mean \\"cron\\"' -X PUT $at/v1/schedules/t -d '{"crn":"@daily","type":"echo"}'
http 200 '"schedules":\[\{"name":"s"' $at/v1/schedules
http 200 '"paused":true' -X POST $at/v1/schedules/s/pause
http 200 '"paused":false' -X POST $at/v1/schedules/s/resume
http 201 '"id":' -X POST $at/v1/schedules/s/run
http 200 '\{\}' -X DELETE $at/v1/schedules/s
http 404 'there is no schedule' $at/v1/schedules/s
http 200 '"name":"q","paused":true' -X POST $at/v1/queues/q/pause
http 200 '"name":"q","paused":true,"pause_reason":"printer","resumes":"20' -X POST $at/v1/queues/q/pause -d '{"reason":"printer","for":"2h"}'
http 400 'did you mean \\"reason\\"' -X POST $at/v1/queues/q/pause -d '{"reasn":"printer"}'
http 400 'exclude each other' -X POST $at/v1/queues/q/pause -d '{"for":"1h","until":"2099-01-01T00:00:00Z"}'
http 200 '"paused":false,"draining"' -X POST $at/v1/queues/q/resume
http 200 '"draining":true' -X POST $at/v1/queues/q/drain
http 200 '"concurrency":3' -X PUT $at/v1/queues/q -d '{"concurrency":3}'
http 200 '"concurrency":null' -X PUT $at/v1/queues/q -d '{}'
http 400 'concurrency: found 0, expected a whole number from 1 to 10000' -X PUT $at/v1/queues/q -d '{"concurrency":0}'
http 200 '"queues":\[' $at/v1/queues
http 404 'not_found' $at/v1/queues/none
http 400 'queue name' -X POST $at/v1/queues/a%20b/pause

# ---- the rest
http 200 '"pending":2' $at/v1/stats
http 200 '^# TYPE holdfast_jobs gauge$' $at/metrics
http 200 '"status":"(ok|degraded)"' $at/healthz
http 200 '"ok":true' $at/v1/check
http 201 '"path":' $at/v1/backup -d "{\"path\":\"$work/copy.db\"}"
[ -s "$work/copy.db" ] || fail "no backup was made"
http 400 'must be absolute' $at/v1/backup -d '{"path":"copy.db"}'
http 200 '"deleted":' -X POST $at/v1/prune
http 200 '{}' -X POST $at/v1/safe-mode/end
http 200 '{}' -X POST $at/v1/link/up
http 201 '^\{"ids":\[\]\}$' -X POST $at/v1/events/door.opened -d '{"payload":{"door":3},"key":"k"}'
http 201 '^\{"ids":\[\]\}$' -X POST $at/v1/events/door.opened
http 400 'event name' -X POST $at/v1/events/door%20opened
http 400 'unknown key; did you mean \\"payload\\"' $at/v1/events/door.opened -d '{"paylod":1}'
http 400 'exclude each other' $at/v1/events/door.opened -d '{"payload":1,"payload_base64":"aGk="}'
http 400 'at most 63 are allowed' $at/v1/events/door.opened -d "{\"key\":\"$(printf 'k%.0s' $(seq 64))\"}"
http 200 '^\{"subscriptions":\[\]\}$' $at/v1/subscriptions
http 404 'there is no subscription \\"none\\"' $at/v1/subscriptions/none
api -N "$at/v1/watch?type=echo" >"$work/watched" & watcher=$!
until_true grep -q '^: watching' "$work/watched"
http 201 '' $at/v1/jobs -d '{"type":"echo"}'
until_true grep -qE '^data: \{"time":"20[^"]*","change":"completed","id":[0-9]+,"type":"echo"' "$work/watched"
kill $watcher; wait $watcher 2>/dev/null || true
if command -v promtool >/dev/null; then api $at/metrics | promtool check metrics || fail "promtool"; fi

# ---- input that is wrong
http 400 'the body is empty' -X POST $at/v1/jobs
http 400 'the body is not JSON: 1:' $at/v1/jobs -d '{'
http 400 'found an array, expected an object' $at/v1/jobs -d '[]'
http 400 '\\"type\\" is missing' $at/v1/jobs -d '{}'
http 400 'unknown key; did you mean \\"priority\\"' $at/v1/jobs -d '{"type":"echo","priorty":1}'
http 400 'is there twice' $at/v1/jobs -d '{"type":"echo","type":"bad"}'
http 400 'nested more than 64 deep' $at/v1/jobs -d "{\"type\":\"echo\",\"payload\":$(printf '[%.0s' $(seq 70))}"
http 400 'job id: found \\"x\\"' $at/v1/jobs/x
http 400 'job id' $at/v1/jobs/99999999999999999999
http 400 'unknown parameter \\"stat\\"; did you mean \\"state\\"' "$at/v1/jobs?stat=dead"
http 400 'limit: found \\"0\\"' "$at/v1/jobs?limit=0"
http 400 'state: found' "$at/v1/jobs?state=gone"
http 404 'nothing at this path' $at/v2/jobs
http 404 'nothing at this path' $at/
for of in subscriptions conditions schedules queues jobs; do http 404 'nothing at this path' $at/v1/$of/; done
http 405 'allowed: POST, GET, HEAD' -X DELETE $at/v1/jobs
api -D - -o /dev/null -X DELETE $at/v1/jobs | grep -i '^allow: POST, GET, HEAD' >/dev/null || fail "no Allow in a 405"
head -c 70000 /dev/zero | tr '\0' x >"$work/large"
http 413 '"code":"too_large"' $at/v1/jobs -d "{\"type\":\"echo\",\"payload\":\"$(cat "$work/large")\"}"
head -c 3000000 /dev/zero | tr '\0' x >"$work/huge"
http 413 '' $at/v1/jobs -H 'Expect:' --data-binary "@$work/huge"
printf 'GARBAGE\r\n\r\n' | timeout 5 curl -sS --unix-socket "$HOLDFAST_SOCKET" telnet://holdfast 2>/dev/null | grep '^HTTP/1.1 400' >/dev/null || fail "garbage got no 400"
http 200 '"pending":' $at/v1/stats
stop

# ---- who may do what
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
  as_nobody() {  # STATUS PATTERN CURL-ARGUMENTS...
    local wanted=$1 pattern=$2 answer
    shift 2
    answer=$(nobody curl -sS --max-time 60 --unix-socket "$HOLDFAST_SOCKET" -w '\n%{http_code}' "$@")
    [ "${answer##*$'\n'}" = "$wanted" ] || fail "nobody: $*: status ${answer##*$'\n'}, expected $wanted: $answer"
    grep -qE -- "$pattern" <<<"$answer" || fail "nobody: $*: no line matches /$pattern/: $answer"
  }
  start  # closed
  as_nobody 403 '"code":"denied","message":"this needs root' $at/v1/stats
  as_nobody 403 'there is no operator group' $at/v1/jobs -d '{"type":"echo"}'
  stop
  config '"open_view": true'
  start
  as_nobody 200 '"pending":' $at/v1/stats
  as_nobody 200 '"payload_size":14' $at/v1/jobs/4
  nobody curl -sS --unix-socket "$HOLDFAST_SOCKET" $at/v1/jobs/4 $at/v1/jobs $at/v1/jobs/4/why |
    grep -E 'canary|secret trouble' && fail "a viewer sees what it should not"
  as_nobody 403 'you may only look' $at/v1/jobs -d '{"type":"echo"}'
  as_nobody 403 'you may only look' -X POST $at/v1/jobs/4/retry
  stop
  config '"group": "nogroup"'
  start
  as_nobody 200 '"payload":"canary-payload"' $at/v1/jobs/4
  as_nobody 201 '"id":' $at/v1/jobs -d '{"type":"echo"}'
  stop
else
  echo "roles: not tried, this needs root and setpriv"
fi
