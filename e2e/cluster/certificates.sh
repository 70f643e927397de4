#!/bin/sh
# Makes the certificates and kubeconfigs of a cluster once.
#
#   certificates.sh DIR SERVER_URL NODE NODE_ADDRESS
set -eu
dir=$1 server=$2 node=$3 node_address=$4
. "$(dirname "$0")/lib.sh"
mkdir -p "$pki"
chmod 700 "$pki"
cd "$pki"
[ ! -e complete ] || exit 0

curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

# certificate NAME SUBJECT USAGE [ALTERNATIVE_NAMES]
certificate() {
    # shellcheck disable=SC2086 # a list of options
    openssl req -new $curve -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
    {
        echo "keyUsage=critical,digitalSignature,keyEncipherment"
        echo "extendedKeyUsage=$3"
        [ -z "${4:-}" ] || echo "subjectAltName=$4"
    } >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \
        -extfile "$1.ext" -out "$1.crt" 2>/dev/null
    rm "$1.csr" "$1.ext"
}

# kubeconfig NAME SUBJECT: a client certificate and the kubeconfig that uses it.
kubeconfig() {
    certificate "$1" "$2" clientAuth
    cat >"$1.conf" <<END
apiVersion: v1
kind: Config
clusters:
- name: weir-e2e
  cluster: {server: "$server", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
contexts:
- name: weir-e2e
  context: {cluster: weir-e2e, user: $1}
current-context: weir-e2e
END
    chmod 600 "$1.conf"
}

# shellcheck disable=SC2086 # a list of options
openssl req -x509 $curve -days 365 -keyout ca.key -out ca.crt -subj /CN=weir-e2e \
    -addext keyUsage=critical,digitalSignature,keyCertSign 2>/dev/null
names=DNS:localhost,IP:127.0.0.1,IP:$services_first,IP:$node_address
for domain in kubernetes kubernetes.default kubernetes.default.svc \
    kubernetes.default.svc.cluster.local; do
    names=$names,DNS:$domain
done
certificate apiserver /CN=kube-apiserver serverAuth "$names"
certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
certificate kubelet-server "/O=system:nodes/CN=system:node:$node" serverAuth \
    "DNS:$node,IP:$node_address,IP:127.0.0.1"
kubeconfig admin /O=system:masters/CN=admin
kubeconfig controller-manager /CN=system:kube-controller-manager
kubeconfig scheduler /CN=system:kube-scheduler
kubeconfig kube-proxy /CN=system:kube-proxy
kubeconfig kubelet "/O=system:nodes/CN=system:node:$node"
openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
touch complete
