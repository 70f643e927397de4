#!/bin/sh
# Everything that CI runs, and at its end how many tests passed.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

mkdir -p .cache
log=.cache/test.log
: >"$log"

# step TARGET: one make target, on the screen and in the log, with its own exit status.
step() {
    say "make $1"
    rm -f .cache/status
    {
        # Not simply `; echo $?`: with -e a failure would end this side of the pipe before it.
        if ${MAKE:-make} --no-print-directory "$1" 2>&1; then echo ok >.cache/status; fi
    } | tee -a "$log"
    [ -e .cache/status ] || { totals; fail "make $1 failed"; }
}

totals() {
    awk '/^test result: / { passed += $4; failed += $6; }
        END { printf "%d passed, %d failed\n", passed, failed }' "$log"
}

# After the tests the whole selection is built already; see `programs` of lib.sh.
export DEMO_PACKAGES="$PACKAGES --test layers"
for target in check test-unit fuzz-smoke manifests test-operator test-web test-component demo; do
    step "$target"
done
say "all steps passed"
totals
