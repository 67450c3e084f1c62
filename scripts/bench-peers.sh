#!/bin/sh
# Installs what `make bench` measures beside us, PM2 and supervisord, into target/tools/peers, and says where that is. What
# can't be installed is left out, and said on stderr; the bench goes on without it.
set -eu
cd "$(dirname "$0")/.."

PM2=6.0.13
SUPERVISOR=4.3.0
TOOLS=target/tools/peers

say() { printf 'bench-peers: %s\n' "$*" >&2; }
mkdir -p "$TOOLS"

if [ ! -d "$TOOLS/node_modules/pm2" ]; then
    if command -v npm >/dev/null 2>&1; then
        say "installing pm2 $PM2 (once, into $TOOLS)"
        npm install --prefix "$TOOLS" --no-audit --no-fund --loglevel=error "pm2@$PM2" >&2 ||
            say "pm2 is left out: npm could not install it"
    else
        say "pm2 is left out: there is no npm"
    fi
fi

if [ ! -x "$TOOLS/venv/bin/supervisord" ]; then
    if command -v python3 >/dev/null 2>&1; then
        say "installing supervisor $SUPERVISOR (once, into $TOOLS)"
        { python3 -m venv "$TOOLS/venv" && "$TOOLS/venv/bin/pip" install --quiet "supervisor==$SUPERVISOR" setuptools; } >&2 ||
            say "supervisord is left out: pip could not install it"
    else
        say "supervisord is left out: there is no python3"
    fi
fi

pwd | sed "s|\$|/$TOOLS|"
