#!/usr/bin/env bash
# run.sh BUILD SECONDS: every fuzz program for so long, from its corpus; new inputs go to BUILD/corpus.
set -euo pipefail
build=$1 seconds=$2
cd "$(dirname "$0")/../.."
shopt -s nullglob
programs=("$build"/tests/fuzz/fuzz_*)
[ ${#programs[@]} -gt 0 ] || { echo "no fuzz program was built"; exit 1; }
for program in "${programs[@]}"; do
  [ -f "$program" ] && [ -x "$program" ] || continue
  name=${program##*/fuzz_}
  found=$build/corpus/$name
  mkdir -p "$found"
  echo "==== $name"
  "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$build/failed-$name-" "$found" tests/fuzz/corpus/"$name"
done
