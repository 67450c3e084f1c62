#!/bin/sh
. "${0%/*}/lib.sh"

nap "0.$((1 + $(pick 4)))"
say "scheduled for ${WERKPILOT_SCHEDULED_TIME:-now}: $((20 + $(pick 60))) orders, $((1500 + $(pick 4000))) CHF"
