#!/bin/sh
# Looks for what a build ("build") or the tests ("test") need, and installs what is missing where it may. Says nothing
# when all is there; otherwise says what it does, or which command does it.
set -eu

# Pinned, so that two machines that install today and next year check the same.
NEXTEST=0.9.143
DENY=0.20.2

say() { printf 'setup: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
fail() { say "$@"; exit 69; } # EX_UNAVAILABLE

need_rust() {
    has cargo && return
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
        fail 'cargo is installed but not on the PATH; run:  . "$HOME/.cargo/env"'
    fi
    fail "cargo is missing: install Rust by https://rustup.rs, then open a new shell"
}

# Some crates bring C sources (the allocator), and rustc links with cc.
need_cc() {
    has cc || need_packages gcc libc6-dev
}

# need_packages PACKAGE...: Debian's packages, by apt-get if we may.
need_packages() {
    has apt-get || fail "missing: $*; install them with your system's package manager"
    [ "$(id -u)" = 0 ] || fail "missing: $*; run:  sudo apt-get install -y $*"
    say "installing $* with apt-get"
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1
    then
        tail -n 20 "$log" >&2
        fail "apt-get failed; run:  apt-get update && apt-get install -y $*"
    fi
    rm -f "$log"
}

# need_tool COMMAND VERSION: a cargo subcommand, built from crates.io. It is not optimised: building it takes longer
# than it ever runs.
need_tool() {
    has "$1" || [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/$1" ] && return
    say "installing $1 $2 (once, a few minutes)"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=false cargo install --quiet --locked "$1" --version "$2" ||
        fail "could not install it; run:  cargo install --locked $1 --version $2"
}

# A real Prometheus for the tests, unpacked beside what is built: installed, it would bring a service on its port.
need_prometheus() {
    tools=target/tools
    if has prometheus && has promtool || [ -x "$tools/usr/bin/promtool" ]; then return; fi
    has apt-get && has dpkg || fail "missing: prometheus and promtool; install them so that they are on the PATH"
    say "fetching prometheus for the tests (once, into $tools)"
    mkdir -p "$tools"
    log=$(mktemp)
    if ! (cd "$tools" && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } &&
        dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb) >"$log" 2>&1
    then
        tail -n 20 "$log" >&2
        fail "could not fetch it; run:  apt-get update && apt-get install -y prometheus"
    fi
    rm -f "$log"
}

case "${1:-}" in
build)
    need_cc
    need_rust
    ;;
test)
    need_cc
    need_rust
    missing=
    for program in jq curl tmux; do
        has "$program" || missing="$missing $program"
    done
    # shellcheck disable=SC2086 # one word each
    [ -z "$missing" ] || need_packages $missing
    need_prometheus
    need_tool cargo-nextest "$NEXTEST"
    need_tool cargo-deny "$DENY"
    ;;
*)
    fail "usage: scripts/setup.sh build|test"
    ;;
esac
