#!/bin/sh
# Builds the backend and checks it.
set -eu
cd "$(dirname "$0")"
cargo build --release
exec "${EYOT:-eyot}" backend test target/wasm32-unknown-unknown/release/{{module}}.wasm "$@"
