#!/bin/sh
. "${0%/*}/lib.sh"

say "$(pick 5) reminders sent"
