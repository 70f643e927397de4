#!/bin/sh
# The operator against a real API server (etcd and kube-apiserver alone), which is started and
# ended here. Needs no root.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

programs --bin weir-operator
# shellcheck disable=SC2086
cargo test $PACKAGES --test control_plane --no-run
dir=$(mktemp -d)
trap 'e2e/cluster/control-plane.sh down "$dir/server"; rm -rf "$dir"' EXIT
WEIR_TEST_OTELCOL=$(e2e/otelcol/build.sh)
export WEIR_TEST_OTELCOL
WEIR_TEST_KUBECONFIG=$(e2e/cluster/control-plane.sh up "$dir/server")
export WEIR_TEST_KUBECONFIG
say "install and uninstall"
KUBECONFIG=$WEIR_TEST_KUBECONFIG hack/test-install.sh
say "the operator"
# shellcheck disable=SC2086
cargo test $PACKAGES --test control_plane -- --ignored --test-threads=1 \
    --nocapture "$@"
