#!/bin/sh
# Prints what to put before a command so that it runs as root: nothing, or sudo. Fails with a
# clear message when neither is possible.
set -eu
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -eq 0 ]; then
    # A command has to come first on its line, so not simply nothing.
    echo env
elif sudo -n true 2>/dev/null; then
    echo "sudo -n -E env PATH=$PATH"
else
    fail "capturing needs root: run this as root or with password-less sudo (or the capabilities
BPF, PERFMON, NET_ADMIN, SYS_ADMIN, SYS_PTRACE and SYS_RESOURCE)"
fi
