#!/bin/sh
# Tests of `weir gather` against real stores; see e2e/stores/stores.sh for which and from where.
# A store that cannot be had here is named, and its tests are left out. At last the whole story:
# from a capture over Elasticsearch to a replay against the mended program (root, PostgreSQL).
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

down() {
    e2e/stores/stores.sh down
    e2e/elasticsearch/elasticsearch.sh down
}
trap down EXIT
otelcol=$(e2e/otelcol/build.sh e2e/otelcol/elasticsearch)
url=$(e2e/elasticsearch/elasticsearch.sh up)
stores=$(e2e/stores/stores.sh up)
set --
for store in s3 gcs azure loki; do
    variable=WEIR_TEST_$(echo "$store" | tr '[:lower:]' '[:upper:]')
    case $stores in
    *"$variable="*) ;;
    *) say "left out: $store"; set -- "$@" --skip "real_$store" ;;
    esac
done
# The programs that the story starts by their path.
programs --bins
# shellcheck disable=SC2086
env $stores WEIR_TEST_ELASTICSEARCH="$url" \
    cargo test $PACKAGES --test gather -- --ignored "$@"
# Cargo stays with the user; only the test program runs as root.
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
# shellcheck disable=SC2086
env "CARGO_TARGET_${host}_RUNNER=$(hack/as-root.sh)" WEIR_TEST_ELASTICSEARCH="$url" \
    WEIR_TEST_OTELCOL_ELASTICSEARCH="$otelcol" \
    cargo test $PACKAGES --test story -- --ignored --nocapture elasticsearch
