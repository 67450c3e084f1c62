#!/usr/bin/env bash
# Everything that CI runs, cheap checks first. One profile (dev) throughout, so that each crate is compiled once to be
# checked (clippy, doc) and once to be run. The tests come last: their closing line is the last that counts.
set -euo pipefail
cd "$(dirname "$0")/.."

began=$SECONDS
step() { printf '\n== %s (%d s)\n' "$*" "$((SECONDS - began))"; }

step "format"
cargo fmt --all --check

step "licences, bans, sources"
cargo fetch --quiet --locked
cargo deny --locked --log-level warn check --hide-inclusion-graph bans licenses sources

step "lints"
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps

step "build"
cargo build --quiet --locked --workspace --bins --tests

# Their output is shown only if one fails: most crates have none, and "0 passed" would be the wrong last word.
step "examples in the documentation"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --quiet --locked --workspace --doc >"$log" 2>&1 || { cat "$log"; exit 1; }

# One of them makes the JSON Schemas anew and compares them with docs/schema (`make schemas` writes them).
step "tests"
cargo nextest run --locked --workspace

step "all is well"
