#!/bin/sh
. "${0%/*}/lib.sh"

say "sending invoices of run ${WERKPILOT_RUN_ID:-none}, attempt ${WERKPILOT_ATTEMPT:-1}"
nap 0.3
say "invoice 4711: the tax office's service answered 503" >&2
exit 1
