#!/bin/sh
# Measures the forwarder beside the OpenTelemetry Collector, through an outage, and with a large
# backlog; options are those of forwarder.py, e.g. compare.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
program=$(cargo test --locked --release -p weir-forwarder --lib --no-default-features --no-run \
    --message-format=json | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "weir_forwarder":
        print(message["executable"])')
exec python3 -B "$here/forwarder.py" --forwarder "$program" \
    --collector "$(e2e/otelcol/build.sh bench/otelcol)" --file-collector "$(e2e/otelcol/build.sh)" "$@"
