#!/usr/bin/env bash
# What has been built here, stripped, as a Markdown table. Bytes.
#   sizes.sh            the table
#   sizes.sh --readme   writes its first three columns into README.md, between its marks
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stripped() {  # TOOL FILE
  [ -e "$2" ] || { echo -; return; }
  "$1strip" -o "$work/stripped" "$2" && stat -c %s "$work/stripped"
}
table() {
echo "| build | holdfast | libholdfast.so | text | data | bss | libholdfast.a linked whole: text | data | bss |"
echo "|---|---|---|---|---|---|---|---|---|"
for build in release minsize armhf arm64 armhf-minsize; do
  dir=build/$build
  [ -e "$dir/libholdfast.so" ] || continue
  case $build in
    armhf*) tool=arm-linux-gnueabihf- ;;
    arm64) tool=aarch64-linux-gnu- ;;
    *) tool= ;;
  esac
  so=$("${tool}size" "$dir/libholdfast.so" | awk 'NR == 2 {print $1 " | " $2 " | " $3}')
  a=$("${tool}size" "$dir/libholdfast.a" | awk 'NR == 2 {print $1 " | " $2 " | " $3}')
  echo "| $build | $(stripped "$tool" "$dir/apps/holdfast") | $(stripped "$tool" "$dir/libholdfast.so") | $so | $a |"
done
}
if [ "${1:-}" != --readme ]; then
  table
  exit
fi
# KiB, for people.
table | awk -F'|' 'NR == 1 {print "| build | `holdfast` | `libholdfast.so` |"; next} NR == 2 {print "|---|---:|---:|"; next}
  {gsub(/ /, "", $2); printf "| %s | %d KiB | %d KiB |\n", $2, $3 / 1024, $4 / 1024}' >"$work/table"
awk -v table="$work/table" '/^<!-- sizes -->/ {print; while ((getline line < table) > 0) print line; skip = 1; next}
  /^<!-- \/sizes -->/ {skip = 0} !skip' README.md >"$work/readme"
cat "$work/readme" >README.md
