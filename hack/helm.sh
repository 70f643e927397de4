#!/bin/sh
# Builds helm once, and prints its path. Its version is pinned by go.mod and go.sum.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
hash=$(cat "$here/chart-tools/go.mod" "$here/chart-tools/go.sum" | sha256sum | cut -c1-16)
out="$root/.cache/helm-$hash"
if [ ! -x "$out/helm" ]; then
    command -v go >/dev/null || { echo "error: no go: helm is built from Go modules" >&2; exit 1; }
    mkdir -p "$out"
    cd "$here/chart-tools"
    # The version of Kubernetes that `helm template` renders for when it has no cluster.
    version=helm.sh/helm/v3/pkg/chartutil.k8sVersion
    CGO_ENABLED=0 nice -n 5 go build -mod=readonly -trimpath -o "$out/helm.$$" -ldflags \
        "-s -w -X ${version}Major=1 -X ${version}Minor=34" helm.sh/helm/v3/cmd/helm >&2
    # A rename, so that an interrupted or a concurrent build never leaves half a binary.
    mv "$out/helm.$$" "$out/helm"
fi
echo "$out/helm"
