#!/bin/sh
# etcd and an API server alone, for tests of what needs no node: no root, no namespaces, free
# ports of 127.0.0.1. Several may run beside each other, each in its own folder.
#
#   control-plane.sh up DIR      starts them and prints the path of a kubeconfig
#   control-plane.sh down DIR    ends them and removes the folder
set -eu
usage="usage: control-plane.sh up|down DIR"
action=${1:?$usage}
dir=$(realpath -m "${2:?$usage}")
. "$(dirname "$0")/lib.sh"

free_ports() {
    python3 - <<'END'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in sockets))
END
}

case $action in
up)
    kube=$("$scripts/kube/build.sh")
    mkdir -p "$log" "$data" "$pids"
    [ -e "$dir/ports" ] || free_ports >"$dir/ports"
    read -r client peer secure <"$dir/ports"
    "$scripts/certificates.sh" "$dir" "https://127.0.0.1:$secure" none 127.0.0.1
    start_etcd "http://127.0.0.1:$client" "http://127.0.0.1:$peer"
    start_apiserver "http://127.0.0.1:$client" 127.0.0.1 "$secure"
    wait_for "the API server" is_ready "$pki/admin.conf"
    echo "$pki/admin.conf"
    ;;
down)
    [ -e "$dir/ports" ] || exit 0
    ended apiserver
    ended etcd
    # Only what this script made.
    rm -rf "$pki" "$log" "$data" "$pids" "$dir/ports"
    rmdir "$dir" 2>/dev/null || true
    ;;
*)
    fail "$usage"
    ;;
esac
