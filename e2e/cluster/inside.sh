#!/bin/sh
# Becomes a command inside the cluster's group and namespaces: inside.sh GROUP HOLDER COMMAND...
set -eu
group=$1 holder=$2
shift 2
echo $$ >"$group/cgroup.procs"
exec nsenter -t "$(cat "$holder")" -m -n -- "$@"
