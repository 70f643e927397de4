#!/bin/sh
# Runs every fuzz target for some seconds: hack/fuzz.sh SECONDS. A crash is an error; its input
# is left in fuzz/artifacts.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

# libFuzzer itself is C++: optimising it fully takes longer than a short run lasts.
export CXXFLAGS="${CXXFLAGS:--O1}"
seconds=${1:?usage: hack/fuzz.sh SECONDS}
rustup run nightly cargo --version >/dev/null 2>&1 ||
    fail "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal"

mkdir -p .cache
targets=$(cargo +nightly fuzz list)
[ -n "$targets" ] || fail "no fuzz targets"
for target in $targets; do
    say "fuzz $target for $seconds s"
    log=.cache/fuzz-$target.log
    # No sanitizer: the fuzzed code has no unsafe. Long inputs from the start: a run is short.
    if ! cargo +nightly fuzz run "$target" -s none -- -max_total_time="$seconds" -len_control=0 \
        -rss_limit_mb=1024 >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "fuzz target $target failed; its whole output is in $log"
    fi
    grep '^Done ' "$log"
done
