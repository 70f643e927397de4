#!/bin/sh
# `weir web` in a real Chromium. Where none can be had it says so, loudly, and is not run.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$CHROMIUM" ]; then
    say "SKIPPED: NO CHROMIUM. The page of weir web was NOT tested in a browser; install chromium."
    exit 0
fi
command -v npm >/dev/null || fail "no npm: install it with this system's packages"
programs --bin weir
(cd e2e/browser && npm ci --no-audit --no-fund --silent)
WEIR=$PWD/target/debug/weir CHROMIUM=$CHROMIUM node --test --test-concurrency=1 \
    --test-timeout=240000 e2e/browser/web.test.mjs
