#!/bin/sh
# Builds a program of a Go module in this folder once, and prints its path. The module's go.mod and
# go.sum pin its version: go-tool.sh MODULE-FOLDER PACKAGE [LINKER-FLAGS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
module=$here/$1
package=$2
flags=${3:-}
name=${package##*/}
hash=$(cat "$module/go.mod" "$module/go.sum" | sha256sum | cut -c1-16)
out=$(dirname "$here")/.cache/$name-$hash
if [ ! -x "$out/$name" ]; then
    command -v go >/dev/null || { echo "error: no go: $name is built from Go modules" >&2; exit 1; }
    mkdir -p "$out"
    cd "$module"
    CGO_ENABLED=0 nice -n 5 go build -mod=readonly -trimpath -o "$out/$name.$$" \
        -ldflags "-s -w $flags" "$package" >&2
    # A rename, so that an interrupted or a concurrent build never leaves half a binary.
    mv "$out/$name.$$" "$out/$name"
fi
echo "$out/$name"
