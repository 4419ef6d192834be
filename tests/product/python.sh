#!/usr/bin/env bash
# Python's ctypes opens the shared library, enqueues and reads back.
set -euo pipefail
[ -z "$TOOLCHAIN" ] && command -v python3 >/dev/null || exit 77
. "$SOURCE/tests/product/installed.sh"
python3 "$SOURCE/examples/python/enqueue.py" "$prefix/lib/libholdfast.so" "$work/queue.db"
python3 "$SOURCE/examples/python/enqueue.py" "$prefix/lib/libholdfast.so" "$work/queue.db"
if python3 "$SOURCE/examples/python/enqueue.py" "$prefix/lib/libholdfast.so" "$work/no/such/folder.db" 2>"$work/error"; then exit 1; fi
grep -q "the folder" "$work/error"
