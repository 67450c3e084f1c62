#!/bin/sh
. "${0%/*}/lib.sh"

nap 0.1
say "CHF/EUR 1.0$((50 + $(pick 30))), CHF/USD 1.1$((20 + $(pick 30)))"
