#!/usr/bin/env bash
# The examples, built as their first lines say, against an installed copy: with the shared library, with the flags of
# --static, and with the archive.
set -euo pipefail
. "$SOURCE/tests/product/installed.sh"
c=("$CC" -std=c99 -Wall -Wextra -Wpedantic -Werror)
cxx=("$CXX" -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Werror)
examples=$SOURCE/examples

both() {  # NAME [pkg-config modules]: runs what was built as NAME_shared and NAME_static
  for kind in shared static; do
    run "$work/$1_$kind" "$work/$1_$kind.db"
    run "$work/$1_$kind" "$work/$1_$kind.db" >/dev/null  # the file is there already
  done
}
# shellcheck disable=SC2046
{
  build embed_shared "${c[@]}" "$examples/embed.c" $(shared)
  build embed_static "${c[@]}" "$examples/embed.c" $(static)
  both embed
  build embed_flags "${c[@]}" "$examples/embed.c" $(pkg-config --static --cflags --libs holdfast)
  run "$work/embed_flags" "$work/flags.db"

  build one_thread_shared "${c[@]}" "$examples/one_thread.c" $(shared)
  build one_thread_static "${c[@]}" "$examples/one_thread.c" $(static)
  both one_thread

  build rows_shared "${c[@]}" "$examples/rows.c" $(shared)
  build rows_static "${c[@]}" "$examples/rows.c" $(static)
  both rows

  build wrapper_shared "${cxx[@]}" "$examples/embed.cpp" $(shared)
  build wrapper_static "${cxx[@]}" "$examples/embed.cpp" $(static)
  both wrapper
  if command -v clang++ >/dev/null && [ -z "$TOOLCHAIN" ]; then
    build wrapper_clang clang++ "${cxx[@]:1}" "$examples/embed.cpp" $(shared)
    run "$work/wrapper_clang" "$work/clang.db"
  fi
}

# A host with a libuv of its own: the system's, shared or static, beside the one inside the library.
if [ -n "$TOOLCHAIN" ] || ! pkg-config --exists libuv; then exit 0; fi
# shellcheck disable=SC2046
{
  build uv_shared "${c[@]}" "$examples/uv_host.c" $(shared libuv)
  build uv_static "${c[@]}" "$examples/uv_host.c" $(static libuv)
  both uv
  uv=$(pkg-config --variable=libdir libuv)/libuv.a
  [ -e "$uv" ] || uv=$(pkg-config --variable=libdir libuv)/libuv_a.a
  [ -e "$uv" ] || exit 0
  build own_shared "${c[@]}" "$examples/uv_host.c" "$uv" $(shared) -lpthread -ldl -lrt
  build own_static "${c[@]}" "$examples/uv_host.c" $(static) "$uv" -lpthread -ldl -lrt
  both own
}
