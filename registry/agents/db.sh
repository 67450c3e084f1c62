#!/bin/sh
. "${0%/*}/lib.sh"

say "opening the write-ahead log"
nap 0.8
say "ready to accept connections on 127.0.0.1:5432"
commits=0
report() {
    commits=$((commits + 40 + commits % 7))
    say "checkpoint complete: $commits commits since the start"
}
serve 15 report
