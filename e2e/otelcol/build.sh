#!/bin/sh
# Builds the OpenTelemetry Collector that the component tests export to, once, and prints
# the path of its binary. Versions are pinned by go.mod and go.sum, which are committed.
# With a folder as its argument, the one that is described there.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$(cd "${1:-$root/e2e/otelcol}" && pwd)
hash=$(cat "$here/go.mod" "$here/go.sum" "$here/builder.yaml" | sha256sum | cut -c1-16)
out="$root/.cache/otelcol-$hash"
if [ -x "$out/otelcol" ]; then
    echo "$out/otelcol"
    exit 0
fi

builder_version=v$(sed -n 's/^  version: //p' "$here/builder.yaml")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/builder.yaml" "$work/"
cd "$work"
# The builder only writes the main package; its own module resolution is skipped, since the
# committed go.mod names every version.
go run "go.opentelemetry.io/collector/cmd/builder@$builder_version" \
    --config builder.yaml --skip-compilation --skip-get-modules >&2
cp "$here/go.mod" "$here/go.sum" _build/
cd _build
CGO_ENABLED=0 nice -n 5 go build -mod=readonly -trimpath -ldflags '-s -w' -o otelcol . >&2
mkdir -p "$out"
# A rename, so that an interrupted or a concurrent build never leaves half a binary.
mv otelcol "$out/otelcol.$$"
mv "$out/otelcol.$$" "$out/otelcol"
echo "$out/otelcol"
