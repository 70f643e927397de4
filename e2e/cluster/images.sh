#!/bin/sh
# Images of Weir as it was built last, of the tests' service and of the OpenTelemetry Collector,
# for a cluster without a registry: images.sh FOLDER
#
# $WEIR_TARGET is the folder of Weir's programs, target/debug unless set.
set -eu
out=$1
scripts=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$scripts")")
target=${WEIR_TARGET:-$root/target/debug}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# program NAME: without its debugging information, which is most of it.
program() {
    [ -x "$target/$1" ] || { echo "error: no $target/$1: build it first" >&2; exit 1; }
    strip -o "$work/$1" "$target/$1"
}

program weir-capture-agent
program weir-forwarder
"$scripts/image.py" "$out/weir-node.tar" weir.test/weir-node:e2e \
    /usr/local/bin/weir-capture-agent="$work/weir-capture-agent" \
    /usr/local/bin/weir-forwarder="$work/weir-forwarder"
program weir-operator
"$scripts/image.py" "$out/weir-operator.tar" weir.test/weir-operator:e2e --user 65532:65532 \
    /usr/local/bin/weir-operator="$work/weir-operator"

CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/shop" "$root/e2e/programs/shop.go"
"$scripts/image.py" "$out/shop.tar" weir.test/shop:e2e --user 65532:65532 \
    --entrypoint /shop /shop="$work/shop"

# With a shell's tools, to read its output by.
"$scripts/image.py" "$out/otelcol.tar" weir.test/otelcol:e2e --user 65532:65532 \
    --entrypoint /otelcol /otelcol="$("$root/e2e/otelcol/build.sh")" \
    /bin/busybox="$(command -v busybox)" /bin/cat=@busybox

# Other people's programs that speak TLS: nginx and curl by OpenSSL, busybox by code of its own.
# (which knows RSA alone).
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=api \
    -keyout "$work/api.key" -out "$work/api.crt" 2>/dev/null
chmod 644 "$work/api.key"
"$scripts/image.py" "$out/tls.tar" weir.test/tls:e2e --user 65532:65532 \
    /usr/sbin/nginx="$(PATH=$PATH:/usr/sbin command -v nginx)" /usr/bin/curl="$(command -v curl)" \
    /bin/busybox="$(command -v busybox)" /bin/sleep=@busybox /bin/sh=@busybox \
    /bin/wget=@busybox /bin/ssl_client=@busybox \
    /etc/tls/api.key="$work/api.key" /etc/tls/api.crt="$work/api.crt"
