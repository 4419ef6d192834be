#!/usr/bin/env bash
# The simulator's long run, whose figures docs/reliability.md has: sim.sh BUILD
set -euo pipefail
sim=$1/tests/sim/sim
"$sim" --seeds 50000 --jobs 100
"$sim" cuts --jobs 180
"$sim" calls --jobs 15
"$sim" allocations --jobs 40
"$sim" rows --seeds 1000 --jobs 200
! "$sim" cuts --jobs 30 --no-sync >/dev/null || { echo "a disk that syncs nothing was not found out"; exit 1; }
echo "without syncs: found out"
