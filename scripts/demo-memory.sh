#!/usr/bin/env bash
# Shows within a minute what happens when memory gets short: a warning, an agent that is disabled, and its return.
# usage: scripts/demo-memory.sh BINARY
set -euo pipefail

binary=$(realpath "$1")
cd "$(dirname "$0")/.."

work=$(mktemp -d)
mkdir "$work/registry"
cp -R registry/. "$work/registry"
cp -R examples/memory/. "$work/registry"
log=$work/log
began=$SECONDS

"$binary" up --registry "$work/registry" --state-dir "$work/state" \
    --set dashboard.listen=127.0.0.1:0 --set bus.listen=127.0.0.1:0 \
    --set memory.budget=560MiB --set memory.interval=1s \
    --set memory.recover_percent=60 --set memory.warning_percent=65 --set memory.critical_percent=88 \
    >/dev/null 2>"$log" &
orchestrator=$!

# Ends everything that was started: the orchestrator ends its agents.
finish() {
    status=$?
    kill -TERM "$orchestrator" 2>/dev/null || true
    wait "$orchestrator" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '\n%3d s  \e[1m%s\e[0m\n' "$((SECONDS - began))" "$*"; }

# GET of a path, with nothing but bash.
get() {
    local address
    address=$(sed -e 's,http://,,' -e 's,/*$,,' "$work/state/address" 2>/dev/null) || return 1
    exec 3<>"/dev/tcp/${address%:*}/${address##*:}" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&3
    cat <&3
    exec 3>&-
}

# What the log says about memory and has not been shown yet.
shown=0
news() {
    local lines
    lines=$(grep -a -E 'Memory is|memory is' "$log" | sed -E -e 's/\x1b\[[0-9;]*m//g' -e 's/^[0-9T:.Z-]+ +[A-Z]+ +//' || true)
    [ -n "$lines" ] || return 0
    tail -n "+$((shown + 1))" <<<"$lines" | sed 's/^/         | /'
    shown=$(wc -l <<<"$lines")
}

# One line: how much is used, and what will happen next.
gauge() {
    local state percent level next bar
    state=$(get /api/v1/memory 2>/dev/null | tr -d '\n') || return 0
    percent=$(sed -n 's/.*"percent":\([0-9]*\).*/\1/p' <<<"$state")
    level=$(sed -n 's/.*"level":"\([a-z]*\)".*/\1/p' <<<"$state")
    next=$(sed -n 's/.*"next":"\([^"]*\)".*/\1/p' <<<"$state")
    [ -n "$percent" ] || return 0
    printf -v bar '%*s' "$((percent > 120 ? 40 : percent / 3))" ''
    printf '%3d s  %3d %% %-8s %-40s next: %s\n' "$((SECONDS - began))" "$percent" "$level" "${bar// /#}" "$next"
}

# Looks once a second until the log says so, at most so many seconds.
until_log() {
    local patience=$1 pattern=$2
    for ((waited = 0; waited < patience; waited++)); do
        gauge
        news
        if grep -a -q "$pattern" "$log"; then
            news
            return 0
        fi
        kill -0 "$orchestrator" 2>/dev/null || { cat "$log"; echo "the orchestrator has ended"; exit 1; }
        sleep 1
    done
    cat "$log"
    echo "waited $patience s in vain for: $pattern"
    exit 1
}

say "The fleet of registry/ and examples/memory starts; its memory budget is 560 MiB."
until_log 20 'Agent "night-search" is ready'
for _ in 1 2 3; do
    sleep 1
    gauge
done

say "An import begins, and takes 120 MiB: caches are given back, and whoever hears memory.warning can help."
touch "$work/registry/import.1"
until_log 10 'Memory is getting short'
for _ in 1 2 3; do
    sleep 1
    gauge
done

say "It takes 120 MiB more: the largest agent of priority 3 is disabled. That is enough, the others run on."
touch "$work/registry/import.2"
until_log 10 'Agent "night-search" is disabled'
for _ in 1 2 3 4; do
    sleep 1
    gauge
done
"$binary" --state-dir "$work/state" why night-search | sed 's/^/         | /'

say "The import is done: who was disabled comes back."
rm "$work/registry/import.1" "$work/registry/import.2"
until_log 15 'Agent "night-search" is enabled'
for _ in 1 2 3; do
    sleep 1
    gauge
done
"$binary" --state-dir "$work/state" agents | grep -a -E 'NAME|night-' | sed 's/^/         | /' || true

say "That was all, in $((SECONDS - began)) s. Everything is being ended."
