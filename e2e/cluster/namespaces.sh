#!/bin/sh
# Furnishes the cluster's fresh namespaces: namespaces.sh NODE_ADDRESS RUN_DIR
set -eu
address=$1 run=$2

mount --make-rshared /
# Places that containerd, the network plugins and the kubelet have built in. What they leave
# there goes with the namespace.
for place in /run/netns /run/containerd /var/lib/cni /var/lib/kubelet; do
    mkdir -p $place
    mount -t tmpfs weir-cluster $place
done
mount --make-rshared /

ip link set lo up
ip link add node type veth peer name outside
ip address add "$address/24" dev node
ip link set node up
ip link set outside up
ip route add default dev node
sysctl -qw net.ipv4.ip_forward=1
bridge=net.bridge.bridge-nf-call-iptables
! sysctl -q $bridge >/dev/null 2>&1 || sysctl -qw $bridge=1

# The kubelet wants three sysctls of the whole machine: it is shown files that say so.
mkdir -p "$run/sysctl"
for each in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    name=${each%=*}
    shown=$run/sysctl/$(basename "$name")
    echo "${each#*=}" >"$shown"
    mount --bind "$shown" "/proc/sys/$name"
done
