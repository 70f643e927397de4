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
    status=0
    { { ${MAKE:-make} --no-print-directory "$1" 2>&1; echo $? >.cache/status; } | tee -a "$log"; }
    status=$(cat .cache/status)
    [ "$status" -eq 0 ] || { totals; fail "make $1 failed"; }
}

totals() {
    awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
        END { printf "%d passed, %d failed\n", passed, failed }' "$log"
}

for target in check test-unit test-component demo fuzz; do
    step "$target"
done
say "all steps passed"
totals
