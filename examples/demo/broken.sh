#!/bin/sh
# Permanently bad: EX_DATAERR (65) says that trying again is no use.
echo "firmware image has a wrong checksum" >&2
exit 65
