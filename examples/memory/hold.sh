#!/bin/sh
# Holds so many MiB of memory: texts of 10 MiB in variables of this shell.
text=0123456789
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do text=$text$text; done
part=0
while [ $part -lt "$1" ]; do
    eval "held_$part=\$text"
    part=$((part + 10))
done
unset text
echo "filled with $1 MiB"
trap 'exit 0' TERM
while :; do
    sleep 1 &
    wait $!
done
