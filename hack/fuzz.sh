#!/bin/sh
# Runs every fuzz target with these options of libFuzzer, such as -max_total_time=600. A failed
# property is an error; its input is left in fuzz/artifacts.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

# libFuzzer itself is C++: optimising it fully takes longer than a short run lasts.
export CXXFLAGS="${CXXFLAGS:--O1}"
[ $# -gt 0 ] || fail "usage: hack/fuzz.sh LIBFUZZER-OPTION..."
rustup run nightly cargo --version >/dev/null 2>&1 ||
    fail "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal"

mkdir -p .cache
targets=$(cargo +nightly fuzz list)
[ -n "$targets" ] || fail "no fuzz targets"
for target in $targets; do
    say "fuzz $target $*"
    log=.cache/fuzz-$target.log
    # No sanitizer: the fuzzed code has no unsafe. Long inputs from the start: a run is short.
    if ! cargo +nightly fuzz run "$target" -s none -- "$@" -len_control=0 \
        -rss_limit_mb=1024 >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "fuzz target $target failed; its whole output is in $log"
    fi
    grep '^Done ' "$log"
done
