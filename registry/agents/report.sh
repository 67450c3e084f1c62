#!/bin/sh
. "${0%/*}/lib.sh"

# The payload of `werkpilot run --payload` comes on stdin.
payload=$(cat)
say "report asked for with: ${payload:-nothing}"
nap 0.5
say "report written: 14 pages"
