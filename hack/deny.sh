#!/bin/sh
# Checks the dependencies with cargo-deny. Advisories need RustSec's database, which is a git
# repository: where that cannot be fetched they are skipped, and this says so, loudly.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

cargo deny --log-level error check licenses bans sources

if log=$(timeout 60 cargo deny --log-level error fetch db 2>&1); then
    cargo deny --log-level error check --disable-fetch advisories
else
    cat <<EOF
============================================================================
SKIPPED: security advisories were NOT checked.
RustSec's advisory database could not be fetched:
$(printf '%s\n' "$log" | tail -n 3 | cut -c1-200)
Run 'make deny' where the database can be reached.
============================================================================
EOF
fi
