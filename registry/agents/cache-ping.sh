#!/bin/sh
. "${0%/*}/lib.sh"

# A real one would ask the cache; exit code 0 means that it is well.
say "PONG"
