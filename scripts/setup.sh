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

# What a test talks to or with is kept here, beside what is built: nothing of it is a service of this machine.
TOOLS=target/tools

# logged WHAT COMMAND...: runs it and shows its output only if it fails.
logged() {
    what=$1
    shift
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "$what failed: $*"
    fi
    rm -f "$log"
}

# need_unpacked PACKAGE PROGRAM...: programs of a Debian package, unpacked below $TOOLS: installed, it would bring a
# service on its port.
need_unpacked() {
    package=$1
    shift
    missing=
    for program in "$@"; do
        [ -x "$TOOLS/$program" ] || missing=$program
    done
    [ -n "$missing" ] || return 0
    has apt-get && has dpkg || fail "missing: $missing of Debian's package $package; put it at $TOOLS/$missing"
    say "fetching $package for the tests (once, into $TOOLS)"
    logged "fetching $package" unpack "$package"
}

unpack() (
    mkdir -p "$TOOLS" && cd "$TOOLS"
    apt-get download "$1" || { apt-get update && apt-get download "$1"; }
    dpkg -x "$1"_*.deb . && rm -f "$1"_*.deb
)

# need_python WHAT REQUIREMENTS FOLDER: packages of Python in an environment of their own, below $TOOLS. The copy of the
# requirements is made last: with it, all is there.
need_python() {
    wanted=$2
    there=$TOOLS/$3
    if cmp -s "$wanted" "$there/requirements.txt" && "$there/bin/python" -c "" 2>/dev/null; then return; fi
    has python3 && python3 -c "import ensurepip" 2>/dev/null || need_packages python3 python3-venv
    say "installing $1 for the tests (once, into $there)"
    rm -rf "$there"
    mkdir -p "$TOOLS"
    logged "making the environment" python3 -m venv "$there"
    logged "installing $1" "$there/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: -r "$wanted"
    cp "$wanted" "$there/requirements.txt"
}

# The official NATS clients for JavaScript, likewise.
need_javascript_clients() {
    wanted=tests/conformance/javascript
    there=$TOOLS/node
    has node || need_packages nodejs
    has npm || need_packages npm
    if cmp -s "$wanted/package-lock.json" "$there/installed.json"; then return; fi
    say "installing the JavaScript clients for the tests (once, into $there)"
    rm -rf "$there"
    mkdir -p "$there"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$there"
    logged "installing the JavaScript clients" npm ci --prefix "$there" --no-audit --no-fund --ignore-scripts
    cp "$wanted/package-lock.json" "$there/installed.json"
}

# Chromium, and what drives it, likewise.
need_browser() {
    wanted=tests/browser
    there=$TOOLS/browser
    has chromium || [ -n "${CHROMIUM:-}" ] || need_packages chromium
    if cmp -s "$wanted/package-lock.json" "$there/installed.json"; then return; fi
    say "installing what drives the browser for the tests (once, into $there)"
    rm -rf "$there"
    mkdir -p "$there"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$there"
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 \
        logged "installing what drives the browser" npm ci --prefix "$there" --no-audit --no-fund --ignore-scripts
    cp "$wanted/package-lock.json" "$there/installed.json"
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
    has prometheus && has promtool || need_unpacked prometheus usr/bin/prometheus usr/bin/promtool
    need_unpacked nats-server usr/sbin/nats-server
    need_python "the Python client" tests/conformance/python/requirements.txt python
    need_python Schemathesis tests/schemathesis/requirements.txt schemathesis
    need_javascript_clients
    need_browser
    need_tool cargo-nextest "$NEXTEST"
    need_tool cargo-deny "$DENY"
    ;;
*)
    fail "usage: scripts/setup.sh build|test"
    ;;
esac
