#!/usr/bin/env bash
# What hf_stats_json says is read by cJSON.
set -euo pipefail
[ -z "$TOOLCHAIN" ] && pkg-config --exists libcjson || exit 77
. "$SOURCE/tests/product/installed.sh"
# shellcheck disable=SC2046
build stats_json "$CC" -std=c99 -Wall -Wextra -Werror "$SOURCE/tests/product/stats_json.c" $(shared libcjson)
run "$work/stats_json" "$work/queue.db"
