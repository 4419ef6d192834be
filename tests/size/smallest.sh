#!/usr/bin/env bash
# The smallest build (preset smallest, but without LTO), with the libraries built small: it builds, a program on it works and opens its
# file again, and what it does not have says so. Then what CMake is to refuse.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=$BUILD/smallest

"$SOURCE/toolchains/deps.sh" --no-packages native-small >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
(cd "$SOURCE" && "$CMAKE" --preset smallest -B "$build" -DHOLDFAST_LTO=OFF) >"$work/log" 2>&1 ||
  { cat "$work/log"; exit 1; }
"$CMAKE" --build "$build" --target size_embed size_left_out >"$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }
"$build/tests/size/size_embed" "$work/embed.db"
"$build/tests/size/size_embed" "$work/embed.db"
"$build/tests/size/size_left_out" "$work/left_out.db"
for name in mbedtls nlohmann cctz llhttp; do  # nothing of these is linked
  ! grep -aq "$name" "$build/tests/size/size_embed" || { echo "$name is in the smallest program"; exit 1; }
done

refused() {  # WHAT OPTION...
  local what=$1
  shift
  if "$CMAKE" -S "$SOURCE" -B "$work/refused" "$@" >"$work/log" 2>&1; then
    echo "CMake took $*"
    exit 1
  fi
  grep -q "$what" "$work/log" || { cat "$work/log"; echo "the refusal of $* does not say: $what"; exit 1; }
  rm -rf "$work/refused"
}
refused 'HOLDFAST_WITH_PROGRAM needs HOLDFAST_WITH_ADMIN' -G Ninja -DHOLDFAST_WITH_ADMIN=OFF
refused 'HOLDFAST_WITH_EXEC needs HOLDFAST_WITH_CONFIG' -G Ninja -DHOLDFAST_WITH_PROGRAM=OFF -DHOLDFAST_WITH_CONFIG=OFF
