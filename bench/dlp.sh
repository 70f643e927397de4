#!/bin/sh
# Measures redaction beside vectorscan (Debian: libvectorscan-dev); options are those of dlp.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
cargo build --locked --release -p weir-dlp --example throughput
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O2 -Wall -Wextra "$here/dlp/vectorscan.c" -o "$work/vectorscan" -lhs
python3 -B "$here/dlp.py" --weir target/release/examples/throughput --vectorscan "$work/vectorscan" "$@"
