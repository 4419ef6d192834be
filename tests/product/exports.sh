#!/usr/bin/env bash
# Both libraries show every function of the headers and no other name.
set -euo pipefail
cd "$BUILD"
fail() { echo "$*" >&2; exit 1; }

declared=$(sed -n 's/^HF_API .*\b\(hf_[a-z_]*\)(.*/\1/p' "$SOURCE"/include/holdfast{,_admin,_sqlite}.h | sort)
[ -n "$declared" ]
shared=$($NM -D --defined-only libholdfast.so | awk '$2 != "A" {print $3}' | sed 's/@.*//' | sort)
archive=$($NM -g --defined-only libholdfast.a | awk 'NF == 3 {print $3}' | sort)
diff <(echo "$declared") <(echo "$shared") || fail "libholdfast.so: other names than the header's (< missing, > extra)"
diff <(echo "$declared") <(echo "$archive") || fail "libholdfast.a: other names than the header's (< missing, > extra)"

# What is not inside must come from the C and C++ runtimes; a host's libuv only if it is there (weak).
open=$($NM -u libholdfast.a | awk '$1 == "U" && $2 ~ /^(h?f?uv_|sqlite3|mbedtls_|psa_|llhttp_|deflate|ZSTD_|_ZN?K?4cctz)/ {print $2}')
[ -z "$open" ] || fail "libholdfast.a is not complete: $open"
# A weak C++ name without a definition is an inline function that was lost in the merging: it would be
# called at address 0.
lost=$($NM -u libholdfast.a | awk '$1 ~ /^[wv]$/ && $2 ~ /^_Z/ {print $2}')
[ -z "$lost" ] || fail "libholdfast.a lost $lost"

for file in libholdfast.so libholdfast.a apps/holdfast; do
  [ -e "$file" ] || continue
  found=$(grep -aoF -m1 -e "$SOURCE/" "$file" | head -1 || true)
  [ -z "$found" ] || fail "$file names the folder it was built in"
done
