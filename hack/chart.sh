#!/bin/sh
# Checks the charts without a cluster: lint, every set of values in charts/weir/ci, values that
# must be refused, what kube-score says beyond charts/weir/ci/kube-score.txt, and the kustomize base,
# which is rendered from the chart. UPDATE=1 writes it.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"
export LC_ALL=C
helm=$(hack/helm.sh)
kube_score=$(hack/go-tool.sh kube-score github.com/zegl/kube-score/cmd/kube-score)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$helm" lint --strict --quiet charts/weir-crds
for values in charts/weir/ci/*.yaml; do
    "$helm" lint --strict --quiet --values "$values" charts/weir
    "$helm" template weir charts/weir --namespace weir-system --values "$values" >"$work/all.yaml"
    ! grep -nE '^ *(annotations|labels|tolerations):? *$' -A1 "$work/all.yaml" | grep -E '^[0-9]+-(---|$)' ||
        fail "$values renders an empty map"
    # Nothing that Argo CD or Flux would have to be told of.
    ! grep -n 'helm.sh/hook\|finalizers:' "$work/all.yaml" || fail "$values renders a hook or finalizer"
    # With the DaemonSet that the operator will make of it.
    sed -n '/^  node.yaml: |/,/^---/s/^    //p' "$work/all.yaml" >"$work/node.yaml"
    echo --- >>"$work/all.yaml"
    target/debug/weir-operator daemon-set "$work/node.yaml" >>"$work/all.yaml"
    # Its exit status says only that something was found.
    "$kube_score" score --output-format ci "$work/all.yaml" >"$work/score" || true
    grep -q '^\[OK\] weir-node/.*DaemonSet' "$work/score" || fail "$values: no score of the DaemonSet"
    grep -vE '^\[(OK|SKIPPED)\]' "$work/score" | sort -u >"$work/found" || true
    cat "$work/found" >>"$work/found-at-all"
    new=$(comm -13 charts/weir/ci/kube-score.txt "$work/found")
    [ -z "$new" ] || fail "$values: kube-score found what the chart does not argue: $new"
    echo "$values: $(grep -c '^kind:' "$work/all.yaml") objects"
done

sort -u "$work/found-at-all" | cmp -s - charts/weir/ci/kube-score.txt ||
    fail "charts/weir/ci/kube-score.txt names what kube-score no longer finds"

# refused TEXT OPTION...: these values are refused with this text.
refused() {
    text=$1
    shift
    if "$helm" template weir charts/weir "$@" >/dev/null 2>"$work/error"; then
        fail "not refused: $*"
    fi
    grep -qF "$text" "$work/error" || { cat "$work/error"; fail "refused without \"$text\": $*"; }
}
refused "additional properties 'privileged' not allowed" --set node.privileged=true
refused "missing property 'otel_endpoint'" --set forwarder.exporters.a.filter_rule=standard
refused "/operator/replicas" --set operator.replicas=0
refused "/operator/traces/protocol" --set operator.traces.protocol=http
refused "/operator/traces/endpoint" --set operator.traces.endpoint=collector:4318
refused "/node/metrics/endpoint" --set node.metrics.endpoint=collector:4318
refused "/node/metrics/intervalSeconds" --set node.metrics.intervalSeconds=0

refused "/redaction/floor/spec" --set redaction.floor.spec.enforce.namespaceSelector=null

# kustomized FILE OPTION...: what the chart renders is what kustomize/FILE has.
kustomized() {
    file=$1
    shift
    "$helm" template weir charts/weir --namespace weir-system --skip-tests "$@" |
        sed '/^ *helm.sh\/chart:/d; /^# Source:/d; s/managed-by: Helm/managed-by: kustomize/' \
            >"$work/$file"
    if [ -n "${UPDATE:-}" ]; then
        cp "$work/$file" "kustomize/$file"
    fi
    cmp -s "$work/$file" "kustomize/$file" ||
        fail "kustomize/$file is stale: run UPDATE=1 hack/chart.sh"
}
# kubectl knows the kind of the floor only after the definitions are there.
kustomized weir.yaml --set redaction.floor.enabled=false
kustomized floor.yaml --show-only templates/floor.yaml

(cd hack/health && go run . ../../examples/gitops/argocd-health)
echo "charts: fine"
