#!/bin/sh
. "${0%/*}/lib.sh"

say "snapshot started"
nap 2
say "snapshot of $((40 + $(pick 10))) MB written and verified"
