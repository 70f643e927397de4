#!/bin/sh
# Measures what a capture costs; all options are those of bench.py, e.g. --quick.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec python3 -B "$here/bench.py" "$@"
