#!/bin/sh
# Runs the browser tests, or some of them, against a binary that is built: tests/browser/run.sh specs/agents.spec.js
# WERKPILOT_BIN names another binary than target/debug/werkpilot, CHROMIUM another browser. In a debug build the page is read
# from the source tree, so a change of it needs no build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../../target/tools/browser/node_modules
[ -d "$tools" ] || { echo "run scripts/setup.sh test first: it installs what the browser tests need" >&2; exit 69; }
cd "$here"
BROWSER_RUN=${BROWSER_RUN:-$$} NODE_PATH=$tools exec node "$tools/@playwright/test/cli.js" test -c playwright.config.js "$@"
