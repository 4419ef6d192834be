#!/usr/bin/env bash
# No leak and no wrong access in a program that embeds the queue.
set -euo pipefail
[ -z "$TOOLCHAIN" ] && command -v valgrind >/dev/null || exit 77
. "$SOURCE/tests/product/installed.sh"
# shellcheck disable=SC2046
{
  build embed "$CC" -std=c99 -g "$SOURCE/examples/embed.c" $(shared)
  build wrapper "$CXX" -std=c++20 -g "$SOURCE/examples/embed.cpp" $(shared)
}
for program in embed wrapper; do
  LD_LIBRARY_PATH=$prefix/lib valgrind --quiet --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all \
    --suppressions="$SOURCE/tests/product/valgrind.supp" --error-exitcode=1 "$work/$program" "$work/$program.db"
done
