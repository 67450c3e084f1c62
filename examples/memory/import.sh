#!/bin/sh
# Holds $1 MiB while there is a file import.1 beside it, and $2 MiB more while there is an import.2: in texts of 10 MiB.
# MALLOC_MMAP_THRESHOLD_ in its environment lets the C library give each of them back to the system once it is not needed.
text=0123456789
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do text=$text$text; done
held=0
trap 'exit 0' TERM
echo "waiting for work"
while :; do
    wanted=0
    if [ -e import.1 ]; then wanted=$1; fi
    if [ -e import.2 ]; then wanted=$((wanted + $2)); fi
    while [ $held -lt "$wanted" ]; do
        eval "held_$held=\$text"
        held=$((held + 10))
    done
    while [ $held -gt "$wanted" ]; do
        held=$((held - 10))
        unset "held_$held"
    done
    sleep 0.2
done
