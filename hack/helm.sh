#!/bin/sh
# Builds helm once, and prints its path.
set -eu
# The version of Kubernetes that `helm template` renders for when it has no cluster.
version=helm.sh/helm/v3/pkg/chartutil.k8sVersion
exec "$(dirname "$0")/go-tool.sh" chart-tools helm.sh/helm/v3/cmd/helm \
    "-X ${version}Major=1 -X ${version}Minor=34"
