#!/bin/sh
# Installs the charts by helm on the API server of $KUBECONFIG, runs the operator with exactly the
# rights that the chart gives it, uninstalls, and looks for what is left.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"
helm=$(hack/helm.sh)
kube=$(e2e/cluster/kube/build.sh)
operator=target/debug/weir-operator
work=$(mktemp -d)
pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT

kubectl() { "$kube" kubectl "$@"; }

# eventually WHAT COMMAND...: within a minute and a half.
eventually() {
    what=$1
    shift
    tries=180
    until "$@" >"$work/said" 2>&1; do
        tries=$((tries - 1))
        if [ $tries -le 0 ]; then
            tail -n 20 "$work/said" "$work"/*.log >&2
            fail "waited in vain until $what"
        fi
        sleep 0.5
    done
}
gone() { ! kubectl get "$@"; }
none() { [ -z "$(kubectl get "$@" -o name)" ]; }
condition() { [ "$(kubectl -n shop get tc c -o "jsonpath={.status.conditions[?(@.type=='$1')].reason}")" = "$2" ]; }

kubectl create namespace weir-system >/dev/null
kubectl create namespace shop >/dev/null
"$helm" upgrade --install weir-crds charts/weir-crds -n weir-system --wait >/dev/null
kubectl wait --for condition=Established crd --all >/dev/null
"$helm" upgrade --install weir charts/weir -n weir-system \
    --set 'forwarder.exporters.byoc_es.otel_endpoint=http://collector.example.net:4318' \
    --set 'forwarder.exporters.byoc_es.filter_rule=standard' >/dev/null
echo "installed"

# The garbage collector of a cluster; nothing else of it is needed.
"$kube" controller-manager --kubeconfig "$KUBECONFIG" --controllers garbagecollector \
    --leader-elect=false --secure-port 0 >"$work/collector.log" 2>&1 &
pids="$pids $!"

# As the Deployment would run it.
server=$(kubectl config view --raw --minify -o 'jsonpath={.clusters[0].cluster.server}')
token=$(kubectl -n weir-system create token weir-operator)
cp "$KUBECONFIG" "$work/kubeconfig"
kubectl --kubeconfig "$work/kubeconfig" config set-credentials weir --token "$token" >/dev/null
cluster=$(kubectl config view --raw --minify -o 'jsonpath={.contexts[0].context.cluster}')
kubectl --kubeconfig "$work/kubeconfig" config set-context weir --cluster "$cluster" --user weir >/dev/null
kubectl --kubeconfig "$work/kubeconfig" config use-context weir >/dev/null
kubectl -n weir-system get configmap weir-node -o 'jsonpath={.data.node\.yaml}' >"$work/node.yaml"
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
KUBECONFIG=$work/kubeconfig "$operator" run --namespace weir-system --identity pod-1 \
    --listen "127.0.0.1:$port" --deployment weir-operator --lease-duration 120 \
    --node-config "$work/node.yaml" >"$work/operator.log" 2>&1 &
pid=$!
pids="$pids $pid"

kubectl -n shop create secret generic token --from-literal token=abc >/dev/null
kubectl apply -f - >/dev/null <<'END'
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {name: own, namespace: shop}
spec:
  otlp:
    endpoint: http://collector.example.net:4318
    headers: [{name: Authorization, valueFrom: {secretKeyRef: {name: token, key: token}}}]
---
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {name: c, namespace: shop}
spec:
  selector: {}
  exporters: [{name: own}, {name: missing}]
END
eventually "the operator refuses a name that is not there" condition ResolvedRefs RefNotFound
kubectl -n shop patch tc c --type json -p '[{"op":"replace","path":"/spec/exporters","value":[{"name":"own"},{"name":"byoc-es","namespace":"weir-system"}]}]' >/dev/null
eventually "the capture is accepted" condition ResolvedRefs Resolved
eventually "the plan is there" kubectl -n weir-system get secret weir-plan
eventually "the DaemonSet is there" kubectl -n weir-system get daemonset weir-node
eventually "an Event tells a person" sh -c "$kube kubectl -n shop get events | grep RefNotFound"
curl -sf "http://127.0.0.1:$port/readyz" >/dev/null || fail "the operator is not ready"
! grep -q '"level":"\(WARN\|ERROR\)"' "$work/operator.log" ||
    { cat "$work/operator.log"; fail "the operator complains"; }
echo "the operator does its work with the chart's rights"

# Whoever may edit a namespace may edit its captures; whoever may view it may not.
for role in view edit; do
    kubectl -n shop create rolebinding "$role" --clusterrole "weir-$role" --user "$role" >/dev/null
done
may() { kubectl -n shop auth can-i --as "$1" "$2" trafficcaptures >/dev/null; }
may view list || fail "view may not list captures"
! may view create || fail "view may create captures"
may edit create || fail "edit may not create captures"

kill -TERM "$pid"
wait "$pid" || fail "the operator did not end well"
"$helm" uninstall weir -n weir-system >/dev/null
eventually "the plan is gone" gone -n weir-system secret weir-plan
eventually "the DaemonSet is gone" gone -n weir-system daemonset weir-node
for kind in deployments,serviceaccounts,roles,rolebindings,networkpolicies,exporters,leases; do
    eventually "no $kind of Weir are left" none -n weir-system "$kind"
done
eventually "no ClusterRoles are left" none clusterroles,clusterrolebindings -l app.kubernetes.io/part-of=weir
[ -z "$(kubectl -n shop get tc,exporters -o 'jsonpath={.items[*].metadata.finalizers}')" ] || fail "finalizers"
"$helm" uninstall weir-crds -n weir-system >/dev/null
eventually "the CRDs are gone" none crds
echo "uninstalled; nothing is left"
