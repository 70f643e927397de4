#!/bin/sh
# A Kubernetes cluster of one node for the tests, without Docker: every program runs in a
# network and a mount namespace of its own, so that links, sysctls and firewall rules of the
# machine stay as they are.
#
#   cluster.sh up      starts it and prints the path of a kubeconfig that works from outside
#   cluster.sh down    ends exactly what `up` started
#   cluster.sh load IMAGE.tar...    imports images into its containerd
#   cluster.sh enter COMMAND...     runs a command inside its namespaces
#
# $WEIR_CLUSTER is its folder, /var/tmp/weir-cluster unless set.
set -eu
usage="usage: cluster.sh up|down|load IMAGE.tar...|enter COMMAND..."
action=${1:?$usage}
shift
dir=$(realpath -m "${WEIR_CLUSTER:-/var/tmp/weir-cluster}")
. "$(dirname "$0")/lib.sh"

node=node-0
node_address=10.77.0.2
pods_cidr=10.244.0.0/16
node_pods_cidr=10.244.0.0/24
dns_address=10.96.0.10
secure=6443
# Sockets: their paths may have 107 bytes at most.
run=/run/weir-cluster
containerd=$run/containerd.sock
# The group by which all processes of the cluster can be ended at once.
for mount in /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e $mount/cgroup.procs ] && [ -e $mount/cgroup.controllers ] && break
done
group=$mount/weir-cluster/daemons

# Mounts of control groups, whatever the version.
hierarchies() {
    awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
}

enter() {
    nsenter -t "$(cat "$pids/holder")" -m -n -- "$@"
}

# In the background: the command gets the pid that is noted, and the cluster's group.
inside="$scripts/inside.sh $group $pids/holder"

hold_namespaces() {
    alive holder && return
    for hierarchy in $(hierarchies); do
        mkdir -p "$hierarchy/weir-cluster"
        # Version 1 alone has these, and wants them set before anything is put in.
        for each in cpuset.cpus cpuset.mems; do
            [ ! -e "$hierarchy/$each" ] || [ -s "$hierarchy/cgroup.controllers" ] ||
                cat "$hierarchy/$each" >"$hierarchy/weir-cluster/$each"
        done
    done
    mkdir -p "$group"
    setsid unshare --mount --net --propagation private sleep infinity \
        </dev/null >/dev/null 2>&1 &
    echo $! >"$pids/holder"
    # Not before unshare is done.
    wait_for "the namespaces" different_namespaces
    enter "$scripts/namespaces.sh" $node_address "$run"
}

different_namespaces() {
    [ "$(readlink "/proc/$(cat "$pids/holder")/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
        [ "$(cat "/proc/$(cat "$pids/holder")/comm")" = sleep ]
}

write_configuration() {
    mkdir -p "$conf/cni" "$log/pods" "$data/kubelet" "$data/containerd"
    for template in "$scripts"/conf/*; do
        name=$(basename "$template")
        [ "$name" != bridge.conflist ] || name=cni/$name
        sed -e "s|@CONF@|$conf|g" -e "s|@DATA@|$data|g" -e "s|@PKI@|$pki|g" \
            -e "s|@LOG@|$log|g" -e "s|@RUN@|$run|g" -e "s|@NODE@|$node|g" \
            -e "s|@PODS@|$pods_cidr|g" -e "s|@NODE_PODS@|$node_pods_cidr|g" \
            -e "s|@DNS@|$dns_address|g" "$template" >"$dir/new"
        # kube-proxy ends when its file is written, even when it says the same.
        cmp -s "$dir/new" "$conf/$name" || cp "$dir/new" "$conf/$name"
    done
    rm "$dir/new"
}

up() {
    [ "$(id -u)" -eq 0 ] || fail "a native cluster needs root"
    for program in containerd runc ctr nft conntrack socat nsenter openssl python3 go cc; do
        command -v $program >/dev/null || fail "no $program: run hack/setup.sh cluster"
    done
    kube=$("$scripts/kube/build.sh")
    mkdir -p "$log" "$data" "$pids" "$run"
    "$scripts/certificates.sh" "$dir" "https://127.0.0.1:$secure" $node $node_address
    hold_namespaces
    write_configuration

    start_etcd http://127.0.0.1:2379 http://127.0.0.1:2380
    start_apiserver http://127.0.0.1:2379 0.0.0.0 $secure --advertise-address $node_address
    # From here the API is reached from outside, too.
    start_relay
    wait_for "the API server" is_ready "$dir/kubeconfig"
    started controller-manager "$kube" controller-manager \
        --kubeconfig "$pki/controller-manager.conf" --leader-elect=false \
        --flex-volume-plugin-dir "$data/volume-plugins" \
        --use-service-account-credentials \
        --service-account-private-key-file "$pki/accounts.key" --root-ca-file "$pki/ca.crt" \
        --allocate-node-cidrs --cluster-cidr $pods_cidr --node-cidr-mask-size 24 \
        --service-cluster-ip-range $services_cidr --bind-address 127.0.0.1
    started scheduler "$kube" scheduler --kubeconfig "$pki/scheduler.conf" \
        --leader-elect=false --bind-address 127.0.0.1
    started containerd containerd --config "$conf/containerd.toml"
    wait_for containerd enter ctr -a $containerd version
    "$scripts/base-images.sh" "$dir/images"
    load "$dir"/images/*.tar
    started kubelet "$kube" kubelet --config "$conf/kubelet.yaml" \
        --kubeconfig "$pki/kubelet.conf" --hostname-override $node --node-ip $node_address \
        --root-dir "$data/kubelet" --cert-dir "$data/kubelet-pki"
    started kube-proxy "$kube" kube-proxy --config "$conf/kube-proxy.yaml"
    wait_for "the node" enter "$kube" kubectl --kubeconfig "$pki/admin.conf" \
        wait --for=condition=Ready "node/$node" --timeout=1s
    echo "$dir/kubeconfig"
}

# A port of the machine's own loopback that leads to the API server: a relay per connection.
start_relay() {
    if ! alive relay; then
        port=$(python3 -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
        holder=$(cat "$pids/holder")
        setsid socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" \
            "EXEC:nsenter -t $holder -n socat - TCP\\:127.0.0.1\\:$secure" \
            </dev/null >"$log/relay.log" 2>&1 &
        echo $! >"$pids/relay"
        sed "s|server: \"[^\"]*\"|server: \"https://127.0.0.1:$port\"|" "$pki/admin.conf" \
            >"$dir/kubeconfig"
        chmod 600 "$dir/kubeconfig"
    fi
}

load() {
    for image; do
        enter ctr -a $containerd -n k8s.io images import "$image" >/dev/null
    done
}

down() {
    [ -d "$pids" ] || return 0
    ended relay
    ended kubelet
    # The daemons and every container; the namespaces' holder is not among them.
    kill=$mount/weir-cluster/cgroup.kill
    [ ! -e "$kill" ] || echo 1 >"$kill"
    for pid in "$pids"/*; do
        [ ! -e "$pid" ] || ended "$(basename "$pid")"
    done
    for hierarchy in $(hierarchies); do
        [ ! -d "$hierarchy/weir-cluster" ] ||
            find "$hierarchy/weir-cluster" -depth -type d -exec rmdir {} \;
    done
    rm -rf $run "$data" "$conf" "$log" "$pki" "$pids" "$dir/kubeconfig" "$dir/images"
    rmdir "$dir" 2>/dev/null || true
    # Mount points that namespaces.sh may have made; only when they are empty.
    rmdir /run/containerd /run/netns /var/lib/cni /var/lib/kubelet 2>/dev/null || true
}

case $action in
up) up ;;
down) down ;;
load) load "$@" ;;
enter) enter "$@" ;;
*) fail "$usage" ;;
esac
