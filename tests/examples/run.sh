#!/bin/sh
# Runs an example on a file of its own, twice: the second time the file is there.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$HOLDFAST_EMULATOR "$1" "$work/queue.db"
$HOLDFAST_EMULATOR "$1" "$work/queue.db"
