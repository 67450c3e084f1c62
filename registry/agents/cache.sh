#!/bin/sh
. "${0%/*}/lib.sh"

nap 0.3
say "listening on 127.0.0.1:6379"
report() { say "hit ratio 0.9$(pick 10)"; }
serve 20 report
