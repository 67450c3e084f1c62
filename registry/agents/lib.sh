# What the scripts of this fleet share. POSIX sh. Nothing here belongs to Werkpilot: an agent is any program.

# say TEXT...: a line of the log.
say() { printf '%s\n' "$*"; }

# pick N: a number from 0 to N-1, different from run to run.
pick() { echo $(($$ % $1)); }

# nap SECONDS: pretends to work. Fractions, where sleep knows them.
nap() { sleep "$1" 2>/dev/null || sleep 1; }

# serve SECONDS FUNCTION: calls the function every so often, and ends at once, and cleanly, on SIGTERM.
serve() {
    trap 'say "SIGTERM: closing"; exit 0' TERM
    while :; do
        sleep "$1" &
        wait $!
        "$2"
    done
}
