#!/usr/bin/env bash
# What has been built here, stripped, as a Markdown table. Bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stripped() {  # TOOL FILE
  [ -e "$2" ] || { echo -; return; }
  "$1strip" -o "$work/stripped" "$2" && stat -c %s "$work/stripped"
}
echo "| build | holdfast | libholdfast.so | text | data | bss | libholdfast.a linked whole: text | data | bss |"
echo "|---|---|---|---|---|---|---|---|---|"
for build in release minsize armhf arm64; do
  dir=build/$build
  [ -e "$dir/libholdfast.so" ] || continue
  case $build in
    armhf) tool=arm-linux-gnueabihf- ;;
    arm64) tool=aarch64-linux-gnu- ;;
    *) tool= ;;
  esac
  so=$("${tool}size" "$dir/libholdfast.so" | awk 'NR == 2 {print $1 " | " $2 " | " $3}')
  a=$("${tool}size" "$dir/libholdfast.a" | awk 'NR == 2 {print $1 " | " $2 " | " $3}')
  echo "| $build | $(stripped "$tool" "$dir/apps/holdfast") | $(stripped "$tool" "$dir/libholdfast.so") | $so | $a |"
done
