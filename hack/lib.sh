# Shared by the scripts of this folder; to be sourced.

# What cargo builds and tests, from which --bin and --test choose. Always the same packages:
# with others, dependencies get other features and are compiled anew.
: "${PACKAGES:=--locked --workspace --exclude weir-capture-ebpf}"

# programs OPTION...: builds programs for tests. With a test beside them, since dependencies then have
# the features that they have for the tests; without it they would be compiled anew.
programs() {
    # shellcheck disable=SC2086 # a list
    cargo build $PACKAGES --test layers "$@"
}

root_of_repository() {
    cd "$(dirname "$0")/.." && pwd
}

say() {
    printf '\n== %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# as_root COMMAND...: runs it as root, directly or by a sudo that asks nothing.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        fail "this step needs root: run it as root or with password-less sudo: $*"
    fi
}
