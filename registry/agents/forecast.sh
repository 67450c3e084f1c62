#!/bin/sh
. "${0%/*}/lib.sh"

nap "0.$((3 + $(pick 5)))"
say "next hour: $((90 + $(pick 60))) orders (80 % between 70 and 160)"
