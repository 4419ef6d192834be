#!/usr/bin/env bash
# Each public header compiles alone, in every language and by every compiler it is meant for, without a warning.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
include=$SOURCE/include
strict=(-Wall -Wextra -Wpedantic -Werror -Wmissing-field-initializers -Wundef -fsyntax-only -I"$include")

check() {  # COMPILER FLAGS...: says what it does when it fails
  "$@" || { echo "failed: $*" >&2; exit 1; }
}
echo '#include <holdfast.h>' >"$work/alone.c"
# The installed copy has SQLite's two headers beside it.
mkdir "$work/holdfast"
cp "$SQLITE_HEADERS"/holdfast/sqlite3*.h "$work/holdfast/"
printf '#include <holdfast_sqlite.h>\nSQLITE_EXTENSION_INIT1\nint f(sqlite3 *db);\nint f(sqlite3 *db) { return sqlite3_changes(db); }\n' >"$work/rows.c"
cp "$work/rows.c" "$work/rows.cpp"
printf '#include <holdfast_sqlite.h>\nSQLITE_EXTENSION_INIT1\nint f(sqlite3 *db);\nint f(sqlite3 *db) { return sqlite3_close(db); }\n' >"$work/refused.c"
cp "$work/alone.c" "$work/alone.cpp"
cp "$SOURCE/tests/api/header_test.c" "$work/header_test.cpp"
for cc in gcc clang; do
  command -v "$cc" >/dev/null || continue
  for standard in c99 c17; do
    check "$cc" -std=$standard "${strict[@]}" "$work/alone.c"
    check "$cc" -std=$standard "${strict[@]}" "$SOURCE/tests/api/header_test.c"
    check "$cc" -std=$standard "${strict[@]}" -isystem "$work" "$work/rows.c"
  done
done
for cxx in g++ clang++; do
  command -v "$cxx" >/dev/null || continue
  for standard in c++98 c++11 c++20; do  # c++98: long long is an extension there, which stdint.h needs
    check "$cxx" -std=$standard "${strict[@]}" -Wno-long-long -Wno-variadic-macros "$work/alone.cpp"
    [ $standard = c++98 ] || check "$cxx" -std=$standard "${strict[@]}" "$work/header_test.cpp"
  done
  check "$cxx" -std=c++20 "${strict[@]}" -isystem "$work" "$work/rows.cpp"
  if [ -e "$include/holdfast.hpp" ]; then
    echo '#include <holdfast.hpp>' >"$work/wrapper.cpp"
    check "$cxx" -std=c++20 "${strict[@]}" -Wconversion -Wshadow "$work/wrapper.cpp"
  fi
done

# A function of SQLite that hf_transact does not have is refused by its name.
refused=$(gcc -fsyntax-only -I"$include" -isystem "$work" "$work/refused.c" 2>&1) && { echo "sqlite3_close compiles" >&2; exit 1; }
grep -q not_in_hf_transact <<<"$refused" || { echo "$refused" >&2; exit 1; }
