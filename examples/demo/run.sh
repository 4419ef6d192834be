#!/bin/sh
# make demo: the main job, played through and checked.  run.sh BUILD_FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
cc -std=gnu99 -O1 -Wall -Wextra -Werror -o "$build/demo-producer" "$here/producer.c"
exec python3 "$here/demo.py" "$build/apps/holdfast" "$build/demo-producer"
