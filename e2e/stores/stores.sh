#!/bin/sh
# Real stores for the tests of `weir gather`, on loopback only.
#
#   stores.sh up       start those that can be had here and print their variables for the tests
#   stores.sh down     end exactly what `up` started
#
# S3Proxy comes from Maven, Azurite from npm, fake-gcs-server and Loki from the Go module proxy;
# Loki takes some 12 minutes of two cores to build once, so only WEIR_STORES_LOKI=1 builds it.
# One that cannot be had is left out with a word about it, and its test says that it did not run.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache="$root/.cache/stores"
home=${TMPDIR:-/tmp}/weir-stores-$(id -u)
s3proxy_port=19400
azurite_port=19401
gcs_port=19402
loki_port=19403

say() { printf '%s\n' "$*" >&2; }

# start NAME URL COMMAND...: runs it and waits until the URL answers at all.
start() {
    name=$1 url=$2
    shift 2
    setsid "$@" >"$home/$name.log" 2>&1 </dev/null &
    echo $! >"$home/$name.pid"
    for _ in $(seq 300); do
        curl -s -o /dev/null "$url" && return 0
        kill -0 "$(cat "$home/$name.pid")" 2>/dev/null || break
        sleep 0.2
    done
    say "$name does not answer; the end of its log:"
    tail -20 "$home/$name.log" >&2
    return 1
}

s3proxy() {
    command -v mvn >/dev/null || { say "no mvn: S3 is left out"; return 1; }
    lib="$cache/s3proxy-$(sha256sum "$here/s3proxy.pom.xml" | cut -c1-16)"
    if [ ! -d "$lib" ]; then
        mvn -q -B -f "$here/s3proxy.pom.xml" \
            org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$lib.$$" >&2
        mv "$lib.$$" "$lib"
    fi
    mkdir -p "$home/s3"
    cat >"$home/s3proxy.conf" <<CONF
s3proxy.endpoint=http://127.0.0.1:$s3proxy_port
s3proxy.authorization=aws-v4
s3proxy.identity=weir-test
s3proxy.credential=weir-secret
jclouds.provider=transient
jclouds.identity=none
jclouds.credential=none
CONF
    start s3proxy "http://127.0.0.1:$s3proxy_port" \
        java -Xmx256m -cp "$lib/*" org.gaul.s3proxy.Main --properties "$home/s3proxy.conf" &&
        echo "WEIR_TEST_S3=http://127.0.0.1:$s3proxy_port"
}

azurite() {
    command -v npm >/dev/null || { say "no npm: Azure is left out"; return 1; }
    modules="$cache/azurite-3.37.0"
    if [ ! -d "$modules" ]; then
        mkdir -p "$modules.$$"
        npm install --prefix "$modules.$$" --no-audit --no-fund --ignore-scripts azurite@3.37.0 >&2
        mv "$modules.$$" "$modules"
    fi
    export AZURITE_ACCOUNTS=weirtest:d2Vpci10ZXN0
    start azurite "http://127.0.0.1:$azurite_port" \
        node "$modules/node_modules/azurite/dist/src/blob/main.js" --silent --inMemoryPersistence \
        --blobHost 127.0.0.1 --blobPort "$azurite_port" --disableTelemetry &&
        echo "WEIR_TEST_AZURE=http://127.0.0.1:$azurite_port/weirtest"
}

gcs() {
    command -v go >/dev/null || { say "no go: Google Cloud Storage is left out"; return 1; }
    version=v1.54.0
    bin="$cache/fake-gcs-server-$version"
    if [ ! -x "$bin" ]; then
        work=$(mktemp -d)
        GOBIN="$work" CGO_ENABLED=0 nice -n 5 \
            go install -trimpath "github.com/fsouza/fake-gcs-server@$version" >&2
        mkdir -p "$cache"
        mv "$work/fake-gcs-server" "$bin"
        rmdir "$work"
    fi
    start gcs "http://127.0.0.1:$gcs_port" "$bin" -backend memory -scheme http -host 127.0.0.1 \
        -port "$gcs_port" -public-host "127.0.0.1:$gcs_port" &&
        echo "WEIR_TEST_GCS=http://127.0.0.1:$gcs_port"
}

loki() {
    hash=$(cat "$here/loki/go.mod" "$here/loki/go.sum" | sha256sum | cut -c1-16)
    bin="$cache/loki-$hash"
    if [ ! -x "$bin" ]; then
        [ -n "${WEIR_STORES_LOKI:-}" ] || { say "Loki is left out; WEIR_STORES_LOKI=1 builds it"; return 1; }
        mkdir -p "$cache"
        (cd "$here/loki" && CGO_ENABLED=0 nice -n 5 go build -mod=readonly -trimpath \
            -ldflags '-s -w' -o "$bin.$$" github.com/grafana/loki/v3/cmd/loki >&2)
        mv "$bin.$$" "$bin"
    fi
    rm -rf "$home/loki"
    mkdir -p "$home/loki"
    sed "s|WORKDIR|$home/loki|; s|PORT|$loki_port|" "$here/loki/loki.yaml" >"$home/loki.yaml"
    start loki "http://127.0.0.1:$loki_port/ready" "$bin" -config.file="$home/loki.yaml" || return 1
    for _ in $(seq 300); do
        if curl -sf -o /dev/null "http://127.0.0.1:$loki_port/ready"; then
            echo "WEIR_TEST_LOKI=http://127.0.0.1:$loki_port"
            return 0
        fi
        sleep 0.2
    done
    say "Loki is not ready; see $home/loki.log"
    return 1
}

up() {
    down
    mkdir -p "$cache" "$home"
    for store in ${WEIR_STORES:-s3proxy azurite gcs loki}; do
        "$store" || say "$store is left out"
    done
}

down() {
    for pid in "$home"/*.pid; do
        [ -f "$pid" ] || continue
        kill "$(cat "$pid")" 2>/dev/null || true
        rm -f "$pid"
    done
}

case ${1:-} in
up) up ;;
down) down ;;
*) say "usage: stores.sh up | down"; exit 2 ;;
esac
