#!/bin/sh
. "${0%/*}/lib.sh"

nap "0.$((1 + $(pick 3)))"
say "$((1 + $(pick 9))) new leads"
