#!/usr/bin/env bash
# Kills and starts again, for a time or so many times, and counts: run.sh BUILD SECONDS [KILLS [SEED]]
# First the simulator, a quarter of the time in CPU seconds; then a program on the C API, then the daemon: each has half
# of the time, or so many kills (KILLS 0: by time).
# Without a seed each run has another, and says which.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 seconds=${2:-60} kills=${3:-0} seed=${4:-$((RANDOM * 32768 + RANDOM))}
[ "$kills" != 0 ] && seconds=0 || kills=1000000000
limits=(--kills "$kills" --seconds $((seconds / 2)) --seed "$seed")
echo "seed $seed"
[ "$seconds" = 0 ] || "$build/tests/sim/sim" --seed "$seed" --seconds $(((seconds + 3) / 4))
"$build/tests/crash/crash_killer" "$build/tests/crash/crash_victim" "${limits[@]}"
"$build/tests/crash/crash_rows" --kills 100 --seed "$seed"
[ ! -x "$build/apps/holdfast" ] || tests/crash/daemon_kill.py "$build/apps/holdfast" "${limits[@]}"
