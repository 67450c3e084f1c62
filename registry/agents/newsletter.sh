#!/bin/sh
. "${0%/*}/lib.sh"

nap 0.2
say "$((1 + $(pick 9))) messages handed to the mail server"
