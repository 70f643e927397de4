#!/bin/sh
# Weir in a real Kubernetes cluster (root): brings a native one up, builds Weir and installs it with
# the real helm, runs the tests, uninstalls and takes the cluster down.
#
#   hack/test-cluster.sh          all of that
#   hack/test-cluster.sh install  only brings it up and installs; prints how to reach it
#   hack/test-cluster.sh bench    the same, and measures there: bench/first_record.py, many_captures.py
#
# With $KUBECONFIG set, that cluster is used and left as it was; it needs the images of
# e2e/cluster/images.sh, and its node has to be this machine.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"
action=${1:-all}
case $action in all | install | bench) ;; *) fail "usage: hack/test-cluster.sh [install|bench]" ;; esac

programs --bin weir-capture-agent --bin weir-forwarder --bin weir-operator
if [ "$action" = all ]; then
    # shellcheck disable=SC2086
    cargo test $PACKAGES --test cluster --test cluster_uninstall --no-run
fi
# Everything else as root, with what cargo has built and the tools of this user.
if [ "$(id -u)" -ne 0 ]; then
    as_root env "PATH=$PATH" "HOME=$HOME" "PACKAGES=$PACKAGES" "KUBECONFIG=${KUBECONFIG:-}" \
        "$0" "$action"
    exit
fi

helm=$(hack/helm.sh)
kube=$(e2e/cluster/kube/build.sh)
KUBECTL="$kube kubectl"
HELM=$helm
export KUBECTL HELM
ours=
images=
ended=
# Whatever fails, the cluster that was started here ends; what Weir said is shown before.
end() {
    [ -z "$images" ] || rm -rf "$images"
    [ -n "$ours" ] || return 0
    if [ -z "$ended" ]; then
        for component in node operator; do
            $KUBECTL logs -n weir-system -l "app.kubernetes.io/component=$component" \
                --all-containers --prefix --tail 40 || true
        done
        $KUBECTL get pods,trafficcaptures,exporters -A || true
    fi
    e2e/cluster/cluster.sh down
}
if [ -z "${KUBECONFIG:-}" ]; then
    ours=1
    KUBECONFIG=$(e2e/cluster/cluster.sh up)
    export KUBECONFIG
    trap end EXIT
    images=$(mktemp -d)
    e2e/cluster/images.sh "$images"
    e2e/cluster/cluster.sh load "$images"/*.tar
fi
export KUBECONFIG

$helm upgrade --install weir-crds charts/weir-crds -n weir-system --create-namespace --wait >/dev/null
$helm upgrade --install weir charts/weir -n weir-system -f e2e/manifests/values.yaml --wait \
    --timeout 120s >/dev/null
case $action in
install)
    echo "export KUBECONFIG=$KUBECONFIG KUBECTL='$KUBECTL' HELM=$HELM"
    ours=
    ;;
bench)
    python3 bench/first_record.py
    python3 bench/many_captures.py
    ;;
all)
    # One after the other: they kill parts of the same installation.
    # An API server that cluster.sh did not start cannot be killed by the tests.
    skip=
    [ -n "$ours" ] || skip="--skip the_api_server_may_die"
    # shellcheck disable=SC2086 # lists
    cargo test $PACKAGES --test cluster -- --ignored --test-threads=1 $skip
    # shellcheck disable=SC2086
    cargo test $PACKAGES --test cluster_uninstall -- --ignored
    ;;
esac
ended=1
