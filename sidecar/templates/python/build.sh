#!/bin/sh
# Makes {{name}}.wasm of backend.py. componentize-py is taken from PATH, or installed into .venv.
set -eu
cd "$(dirname "$0")"
tool=${COMPONENTIZE_PY:-$(command -v componentize-py || true)}
if [ -z "$tool" ]; then
    tool=.venv/bin/componentize-py
    [ -x "$tool" ] || { python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt; }
fi
# --stub-wasi: what Python would ask of WASI fails, so that nothing must be granted.
"$tool" -d wit -w {{world}} componentize --stub-wasi backend -o {{name}}.wasm
