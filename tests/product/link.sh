#!/usr/bin/env bash
# A C99 program links what is installed, in each way that pkg-config tells, and runs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$CMAKE" --install "$BUILD" --prefix "$work/installed" >/dev/null
# As if moved: nothing may depend on where it was installed first.
mv "$work/installed" "$work/prefix"
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR

check() {  # NAME FLAGS...
  local name=$1
  shift
  echo "$name: $CC $*"
  "$CC" -std=c99 -Wall -Wextra -Werror "$SOURCE/tests/product/host.c" -o "$work/$name" "$@"
  [ "$(LD_LIBRARY_PATH="$work/prefix/lib" $HOLDFAST_EMULATOR "$work/$name" "$work/$name.db")" = ok ]
}
archive=$(pkg-config --variable=archive holdfast)
private=$(pkg-config --static --libs-only-l holdfast | sed 's/-lholdfast//')
# shellcheck disable=SC2046,SC2086
{
  check shared $(pkg-config --cflags --libs holdfast)
  check static_flags $(pkg-config --static --cflags --libs holdfast)
  check archive $(pkg-config --cflags holdfast) "$archive" $private
  check collected $(pkg-config --cflags holdfast) "$archive" $private -Wl,--gc-sections
  check own_names -DOWN_NAMES $(pkg-config --cflags holdfast) "$archive" $private
  check own_names_shared -DOWN_NAMES -rdynamic $(pkg-config --cflags --libs holdfast)
}
"$CC" -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c "$work/prefix/include/holdfast.h"
if [ -e "$work/prefix/include/holdfast.hpp" ]; then
  "$CXX" -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$work/prefix/include" -x c++ \
    -include "$work/prefix/include/holdfast.hpp" /dev/null
fi
