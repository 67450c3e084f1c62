#!/bin/sh
. "${0%/*}/lib.sh"

say "routes loaded: 12"
report() { say "forwarding, $(pick 40) connections open"; }
serve 20 report
