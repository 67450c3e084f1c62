#!/bin/sh
. "${0%/*}/lib.sh"

nap 0.4
say "serving on 127.0.0.1:8080 with ${API_WORKERS:-1} workers"
requests=0
report() {
    requests=$((requests + 230 + requests % 31))
    say "$requests requests served"
}
serve 20 report
