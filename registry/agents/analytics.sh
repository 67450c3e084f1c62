#!/bin/sh
. "${0%/*}/lib.sh"

say "aggregating events since the last run"
nap "0.$((2 + $(pick 6)))"
say "$((1000 + $(pick 900))) events aggregated into 24 buckets"
