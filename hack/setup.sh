#!/bin/sh
# Installs what building and testing need, and nothing that is there already.
#
#   hack/setup.sh build    to build Weir: a compiler for the kernel side, and its linker
#   hack/setup.sh demo     the same and a PostgreSQL server
#   hack/setup.sh test     the same and the servers, load generators and tools of the tests
#   hack/setup.sh cluster  only what a native Kubernetes cluster runs on (make cluster)
#
# On Debian and its kin missing packages come from apt; no service of theirs is started.
# Elsewhere the script names what is missing.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

BPF_LINKER=0.13.0
CARGO_DENY=0.20.2
CARGO_FUZZ=0.13.2
LLVM=/usr/lib/llvm-22

level=${1:-test}
case $level in build | demo | test | cluster) ;; *) fail "usage: hack/setup.sh build|demo|test|cluster" ;; esac

command -v cargo >/dev/null || fail "no cargo: install Rust by rustup, https://rustup.rs"
command -v rustup >/dev/null || fail "no rustup: a second toolchain is needed for the kernel side"

# packages NAME...: Debian packages, installed if they are not.
updated=
packages() {
    missing=
    for package; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    if [ -z "$updated" ]; then
        as_root apt-get update -qq
        updated=1
    fi
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends $missing >/dev/null
}

# need COMMAND PACKAGE: a command, by its Debian package if there is apt.
need() {
    command -v "$1" >/dev/null && return 0
    command -v apt-get >/dev/null || fail "no $1: install it with this system's packages"
    packages "$2"
}

# Debian starts a server when its package is installed. Ours are started by the tests alone.
without_services() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
    "$@"
    as_root rm -f "$policy"
    trap - EXIT
}

has_core_sources() {
    sysroot=$(rustup run "$1" rustc --print sysroot 2>/dev/null) &&
        [ -e "$sysroot/lib/rustlib/src/rust/library/core/src/lib.rs" ]
}

# The kernel side is built for a target without a ready-made core: the sources of core are needed.
ebpf_toolchain() {
    for toolchain in ${EBPF_TOOLCHAIN:-} nightly debian-web; do
        if has_core_sources "$toolchain"; then
            echo "eBPF toolchain: $toolchain"
            return 0
        fi
    done
    if command -v apt-cache >/dev/null && apt-cache show rustc-web >/dev/null 2>&1; then
        packages rustc-web cargo-web rust-web-src
        rustup toolchain link debian-web /usr
    else
        say "installing the nightly toolchain with the sources of core"
        rustup toolchain install nightly --profile minimal --component rust-src
    fi
}

bpf_linker() {
    if command -v bpf-linker >/dev/null; then
        echo "$(bpf-linker --version), found"
        return 0
    fi
    if [ -z "${EBPF_TOOLCHAIN:-}" ] && has_core_sources nightly; then
        say "building bpf-linker $BPF_LINKER with the LLVM that it brings"
        cargo install bpf-linker --locked --version "$BPF_LINKER"
    else
        # Debian's compiler is built with Debian's LLVM: the linker has to be of the same kind.
        packages llvm-22-dev libpolly-22-dev libzstd-dev zlib1g-dev build-essential
        say "building bpf-linker $BPF_LINKER with Debian's LLVM 22"
        LLVM_PREFIX=$LLVM RUSTFLAGS="-L$LLVM/lib" \
            cargo install bpf-linker --locked --version "$BPF_LINKER" \
            --no-default-features --features llvm-22
    fi
}

postgresql() {
    for server in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$server" ] && return 0
    done
    command -v initdb >/dev/null && return 0
    command -v apt-get >/dev/null || fail "no PostgreSQL server: install it with this system's packages"
    # Debian would also create and start a database of its own.
    packages postgresql-common
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' |
        as_root tee /etc/postgresql-common/createcluster.d/weir.conf >/dev/null
    without_services packages postgresql
}

servers_and_load() {
    need nginx nginx-light
    need wrk wrk
    need curl curl
    need wget wget
    need openssl openssl
    need java default-jdk-headless
    need psql postgresql-client
    packages libssl-dev
    need cc build-essential
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv python3-venv
    need node nodejs
    need npm npm
    command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || {
        ! command -v apt-get >/dev/null || need chromium chromium || say "no chromium to be had"
    }
    command -v go >/dev/null ||
        fail "no go: the OpenTelemetry Collector is built from Go modules; install Go 1.25 or newer"
}

# cargo_tool NAME VERSION: a cargo subcommand. Without optimisation it builds in half the time,
# and still does its work in seconds.
cargo_tool() {
    cargo "$1" --version 2>/dev/null | grep -qxF "cargo-$1 $2" && return 0
    say "building cargo-$1 $2"
    CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install "cargo-$1" --locked --version "$2" --debug --force
}

tools() {
    cargo_tool deny "$CARGO_DENY"
    cargo_tool fuzz "$CARGO_FUZZ"
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}

cluster() {
    need containerd containerd
    need runc runc
    need nft nftables
    need conntrack conntrack
    need socat socat
    need openssl openssl
    need python3 python3
    need busybox busybox
    need cc build-essential
    [ -x /usr/lib/cni/bridge ] || packages containernetworking-plugins
    command -v go >/dev/null ||
        fail "no go: Kubernetes is built from Go modules; install Go 1.25 or newer"
}

if [ "$level" = cluster ]; then
    without_services cluster
    echo "ready: $level"
    exit 0
fi
ebpf_toolchain
bpf_linker
[ "$level" = build ] || postgresql
if [ "$level" = test ]; then
    without_services servers_and_load
    tools
fi
echo "ready: $level"
