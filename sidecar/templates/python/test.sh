#!/bin/sh
# Builds the backend and checks it.
set -eu
cd "$(dirname "$0")"
sh build.sh
exec "${EYOT:-eyot}" backend test {{name}}.wasm "$@"
