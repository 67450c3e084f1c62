#!/bin/sh
# Starts the orchestrator in the foreground, in place of this shell, so that Ctrl-C and SIGTERM reach it directly.
# usage: scripts/run.sh BINARY REGISTRY
set -eu
cat <<TEXT

Ctrl-C ends the fleet in six steps. Meanwhile, in another terminal, from this folder:
  $1 status
  $1 why agent-sales
  curl -s localhost:3001/metrics | jq '.deadLetterQueue'

TEXT
exec "$1" up --registry "$2"
