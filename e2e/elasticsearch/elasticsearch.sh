#!/bin/sh
# A real Elasticsearch of one node for tests, without security and on loopback only.
#
#   elasticsearch.sh up [PORT]   start it, wait until it answers, and print its URL
#   elasticsearch.sh down        end exactly what `up` started
#
# It is the distribution that Elastic publishes for integration tests: the server alone, from
# Maven Central. It refuses to run as root, so root hands it to the user `nobody`.
set -eu

version=8.19.21
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache="$root/.cache/elasticsearch"
zip="$cache/elasticsearch-$version.zip"
home=${TMPDIR:-/tmp}/weir-elasticsearch-$(id -u)

say() { printf '%s\n' "$*" >&2; }

fetch() {
    [ -f "$zip" ] && return 0
    command -v mvn >/dev/null || { say "no mvn: install Maven, Elasticsearch comes from its registry"; exit 1; }
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -DoutputDirectory="$work" \
        -Dartifact="org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip" >&2
    mv "$work/elasticsearch-$version.zip" "$zip"
    rmdir "$work"
}

unpack() {
    [ -x "$home/elasticsearch-$version/bin/elasticsearch" ] && return 0
    mkdir -p "$home"
    python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' \
        "$zip" "$home"
    chmod +x "$home/elasticsearch-$version/bin/"*
}

answers() { curl -sf "$1/_cluster/health?wait_for_status=yellow&timeout=1s" >/dev/null; }

up() {
    port=${1:-19200}
    url="http://127.0.0.1:$port"
    if answers "$url"; then
        echo "$url"
        return 0
    fi
    fetch
    unpack
    es="$home/elasticsearch-$version"
    cat >"$es/config/elasticsearch.yml" <<YML
cluster.name: weir-test
network.host: 127.0.0.1
http.port: $port
transport.port: $((port + 100))
discovery.type: single-node
xpack.security.enabled: ${WEIR_ES_SECURITY:-false}
cluster.routing.allocation.disk.threshold_enabled: false
YML
    set -- env "ES_JAVA_OPTS=-Xms${WEIR_ES_HEAP:-512m} -Xmx${WEIR_ES_HEAP:-512m}" "ES_PATH_CONF=$es/config"
    # The published archive brings no Java.
    set -- "$@" "ES_JAVA_HOME=${ES_JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}"
    if [ "$(id -u)" -eq 0 ]; then
        chown -R nobody "$home"
        set -- setpriv --reuid nobody --regid nogroup --clear-groups "$@"
    fi
    cd "$es"
    setsid "$@" bin/elasticsearch -p "$es/pid" >"$home/log" 2>&1 </dev/null &
    for _ in $(seq 180); do
        if answers "$url"; then
            say "Elasticsearch $version, log in $home/log"
            echo "$url"
            return 0
        fi
        sleep 1
    done
    say "Elasticsearch does not answer; the end of its log:"
    tail -20 "$home/log" >&2
    exit 1
}

down() {
    pid_file="$home/elasticsearch-$version/pid"
    [ -f "$pid_file" ] || return 0
    kill "$(cat "$pid_file")" 2>/dev/null || true
}

case ${1:-} in
up) shift; up "$@" ;;
down) down ;;
*) say "usage: elasticsearch.sh up [PORT] | down"; exit 2 ;;
esac
