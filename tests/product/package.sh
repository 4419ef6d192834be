#!/usr/bin/env bash
# A CMake project finds the package and links both of its targets; no test of ours gets into it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$CMAKE" --install "$BUILD" --prefix "$work/prefix" >/dev/null
for file in lib/pkgconfig/holdfast.pc lib/cmake/holdfast/holdfast-config.cmake lib/systemd/system/holdfast.service \
  include/holdfast.h include/holdfast_admin.h include/holdfast.hpp include/holdfast_types.hpp lib/libholdfast.a lib/libholdfast.so; do
  [ -e "$work/prefix/$file" ] || { echo "not installed: $file" >&2; exit 1; }
done
mkdir "$work/user"
cat >"$work/user/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(holdfast 0.1 REQUIRED)
foreach(kind holdfast static)
  add_executable(with_${kind} host.c)
  target_link_libraries(with_${kind} PRIVATE holdfast::${kind})
endforeach()
EOF
cp "$SOURCE/tests/product/host.c" "$work/user/"
"$CMAKE" -S "$work/user" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_FIND_ROOT_PATH="$work/prefix" ${TOOLCHAIN:+-DCMAKE_TOOLCHAIN_FILE="$TOOLCHAIN"} >"$work/log" 2>&1 &&
  "$CMAKE" --build "$work/build" >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for kind in holdfast static; do
  [ "$(LD_LIBRARY_PATH="$work/prefix/lib" $HOLDFAST_EMULATOR "$work/build/with_$kind" "$work/$kind.db")" = ok ]
done
