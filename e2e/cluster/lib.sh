# Shared by the scripts of this folder; to be sourced after `dir` is set to the folder that
# holds everything of one cluster: pki/, log/, data/, conf/ and pids/.

scripts=$(cd "$(dirname "$0")" && pwd)
pki=$dir/pki
log=$dir/log
data=$dir/data
conf=$dir/conf
pids=$dir/pids
services_cidr=10.96.0.0/16
services_first=10.96.0.1

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# alive NAME: does the process that was started under this name still run?
alive() {
    [ -e "$pids/$1" ] && kill -0 "$(cat "$pids/$1")" 2>/dev/null
}

# started NAME COMMAND...: starts it in the background, with its output in log/NAME.log, unless
# it runs. `inside` is set to a command prefix that enters the cluster's namespaces, if any;
# it must replace itself by the command, so that the pid is the command's.
started() {
    name=$1
    shift
    alive "$name" && return
    # shellcheck disable=SC2086 # a list of words
    setsid ${inside:-} "$@" </dev/null >"$log/$name.log" 2>&1 &
    echo $! >"$pids/$name"
}

# wait_for WHAT COMMAND...: until the command succeeds, a minute at most.
wait_for() {
    what=$1
    shift
    tries=600
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "waited in vain for $what; see $log"
        sleep 0.1
    done
}

# ended NAME: ends what `started` began, and waits for its end.
ended() {
    alive "$1" || { rm -f "$pids/$1"; return 0; }
    pid=$(cat "$pids/$1")
    kill -TERM "$pid" 2>/dev/null || true
    tries=100
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.1
    done
    rm -f "$pids/$1"
}

# start_etcd CLIENT_URL PEER_URL
start_etcd() {
    # No fsync: the data lives as long as the cluster.
    started etcd "$kube" etcd --name only --data-dir "$data/etcd" --unsafe-no-fsync \
        --log-level warn --listen-client-urls "$1" --advertise-client-urls "$1" \
        --listen-peer-urls "$2" --initial-advertise-peer-urls "$2" --initial-cluster "only=$2"
}

# start_apiserver ETCD_URL ADDRESS PORT OPTION...
start_apiserver() {
    etcd=$1 address=$2 port=$3
    shift 3
    started apiserver "$kube" apiserver --etcd-servers "$etcd" --bind-address "$address" \
        --secure-port "$port" --service-cluster-ip-range $services_cidr \
        --allow-privileged=true --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction \
        --client-ca-file "$pki/ca.crt" \
        --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
        --kubelet-client-certificate "$pki/kubelet-client.crt" \
        --kubelet-client-key "$pki/kubelet-client.key" \
        --kubelet-certificate-authority "$pki/ca.crt" \
        --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-key-file "$pki/accounts.pub" \
        --service-account-signing-key-file "$pki/accounts.key" "$@"
}

is_ready() {
    "$kube" kubectl --kubeconfig "$1" get --raw /readyz
}
