#!/usr/bin/env bash
# Kills and starts again, for a time or for so many kills, and counts: run.sh BUILD SECONDS [KILLS [SEED]]
# KILLS 0: as many as fit. Without a seed each run has another, and says which.
set -euo pipefail
build=$1 seconds=${2:-60} kills=${3:-0} seed=${4:-$((RANDOM * 32768 + RANDOM))}
[ "$kills" != 0 ] && seconds=0 || kills=1000000000
"$build/tests/crash/crash_killer" "$build/tests/crash/crash_victim" --kills "$kills" --seconds "$seconds" --seed "$seed"
