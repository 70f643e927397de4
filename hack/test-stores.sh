#!/bin/sh
# Tests of `weir gather` against real stores; see e2e/stores/stores.sh for which and from where.
# A store that cannot be had here is named, and its tests are left out.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

down() {
    e2e/stores/stores.sh down
    e2e/elasticsearch/elasticsearch.sh down
}
trap down EXIT
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
# shellcheck disable=SC2086 # lists of assignments and packages
env $stores WEIR_TEST_ELASTICSEARCH="$url" \
    cargo test $PACKAGES --test gather -- --ignored "$@"
