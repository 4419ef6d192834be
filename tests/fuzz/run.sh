#!/usr/bin/env bash
# run.sh BUILD SECONDS [NAME...]: every fuzz program (or those named) for so long, from its corpus; new inputs go
# to BUILD/corpus, what fails to BUILD/failed-*. Prints a table at the end; fails if there was a finding.
#
# run.sh --merge BUILD [NAME...]: puts the inputs of BUILD/corpus that reach more into tests/fuzz/corpus, the
# smallest of them and no more than fit.
set -euo pipefail
merge=0
[ "${1:-}" != --merge ] || { merge=1; shift; }
build=$1
shift
[ $merge = 1 ] || { seconds=$1; shift; }
cd "$(dirname "$0")/../.."
shopt -s nullglob
declare -A dictionary=([request]=http [response]=http [url]=http [config]=json [admin_json]=json [cron]=cron)
kFilesMax=100 kBytesMax=204800  # of one corpus in the tree: it is replayed on every target

names=("$@")
[ $# -gt 0 ] || for program in "$build"/tests/fuzz/fuzz_*; do
  [ ! -f "$program" ] || [ ! -x "$program" ] || names+=("${program##*/fuzz_}")
done
[ ${#names[@]} -gt 0 ] || { echo "no fuzz program was built"; exit 1; }

if [ $merge = 1 ]; then
  for name in "${names[@]}"; do
    kept=tests/fuzz/corpus/$name new=$build/merged/$name
    rm -rf "$new" && mkdir -p "$new"
    "$build/tests/fuzz/fuzz_$name" -merge=1 -max_len=4096 "$new" "$kept" "$build/corpus/$name" >"$build/merge-$name.log" 2>&1
    files=("$kept"/*)
    room=$((kFilesMax - ${#files[@]})) bytes=$((kBytesMax - $(cat "$kept"/* | wc -c)))
    for file in $(ls -Sr "$new"); do
      size=$(stat -c %s "$new/$file")
      [ $room -gt 0 ] && [ "$size" -le $bytes ] || break
      cmp -s "$new/$file" "$kept/$file" && continue
      grep -qFx "$(sha256sum <"$new/$file")" < <(for old in "${files[@]}"; do sha256sum <"$old"; done) && continue
      cp "$new/$file" "$kept/" && room=$((room - 1)) bytes=$((bytes - size))
    done
    files=("$kept"/*)
    echo "$name: ${#files[@]} inputs, $(cat "$kept"/* | wc -c) bytes"
  done
  exit
fi

of() { awk -v key="stat::$2:" '$1 == key {value = $2} END {print value + 0}' "$1"; }  # LOG NAME
last() { sed -n "s/.* $2: \([0-9]*\).*/\1/p" "$1" | tail -1; }                        # LOG "cov" or "ft"
table=$(printf '%-12s %10s %8s %8s %7s %8s' program runs exec/s cov ft findings) findings=0
for name in "${names[@]}"; do
  log=$build/fuzz-$name.log found=$build/corpus/$name options=()
  mkdir -p "$found"
  [ -z "${dictionary[$name]:-}" ] || options+=(-dict="tests/fuzz/dict/${dictionary[$name]}.dict")
  echo "fuzz: $name for $seconds s"
  result=none
  UBSAN_OPTIONS=print_stacktrace=1 "$build/tests/fuzz/fuzz_$name" "${options[@]}" -max_total_time="$seconds" \
    -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$build/failed-$name-" \
    "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1 || {
    result='1 FOUND' findings=$((findings + 1))
    grep -aE 'invariant|runtime error|ERROR|Test unit written' "$log" || tail -3 "$log"
  }
  table+=$(printf '\n%-12s %10s %8s %8s %7s %8s' "$name" "$(of "$log" number_of_executed_units)" \
    "$(of "$log" average_exec_per_sec)" "$(last "$log" cov)" "$(last "$log" ft)" "$result")
done
echo "$table"
[ $findings = 0 ]
