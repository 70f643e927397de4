#!/bin/sh
# Runs the tests that are ignored by default: they need root, eBPF and other people's servers.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$(root_of_repository)"

runner=$("$(dirname "$0")/as-root.sh")
WEIR_TEST_OTELCOL=$(e2e/otelcol/build.sh)
export WEIR_TEST_OTELCOL
run() { cargo test $PACKAGES "$@"; }
# The programs that tests start by their path.
programs --bins
run --test replay_servers -- --ignored
# Cargo stays with the user; only the test programs run as root.
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${host}_RUNNER=$runner"
# The kernel side alone first: what fails there explains what fails behind it.
run --test kernel --test daemon --test probes -- --ignored --test-threads=1 --skip peer
# Delivery: kills, bad receivers, a full disk, and what leaves (about a minute).
for test in every_queued_record_arrives_through_fifty_kills \
    disk_full::a_full_disk_costs_the_oldest_and_every_other_record_arrives \
    secrets::no_planted_secret_leaves_in_any_form; do
    run --lib -- --ignored --nocapture --exact "forwarder::tests::chaos::$test"
done
# Metrics by OTLP, to a real Collector (seconds).
run --lib -- --ignored forwarder::tests::metrics::
run --no-fail-fast --test receivers --test delivery --test faults \
    --test syscalls --test tls --test newborn --test overload --test completeness -- --ignored --test-threads=1
# The whole story: capture, Collector, gather, explain, web, replay against the bug and its mend.
run --test story -- --ignored file
