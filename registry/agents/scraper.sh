#!/bin/sh
. "${0%/*}/lib.sh"

# Ten seconds of work, then the other side has had enough.
trap 'say "SIGTERM: closing"; exit 0' TERM
say "session opened"
sleep 10 &
wait $! || exit 0 # SIGTERM went to the whole group, and sleep was faster than the trap
say "the shop answers 429 Too Many Requests: giving up" >&2
exit 1
