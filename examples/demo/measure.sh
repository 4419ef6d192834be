#!/bin/sh
# A measurement of this machine, as JSON on stdout. What to measure is the payload, on stdin.
read -r payload
case "$payload" in
  *memory*) value=$(awk '/^MemAvailable/ {print $2 * 1024}' /proc/meminfo) unit=bytes ;;
  *disk*)   value=$(df -Pk / | awk 'NR == 2 {print $4 * 1024}') unit=bytes ;;
  *)        value=$(cut -d' ' -f1 /proc/loadavg) unit=load ;;
esac
printf '{"value":%s,"unit":"%s"}\n' "$value" "$unit"
