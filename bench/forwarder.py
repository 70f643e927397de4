"""Measures the forwarder (all of it but the kernel side, which is played) and writes bench/QUEUE.md
from the results of its parts: `compare` beside the OpenTelemetry Collector, `outage` with a
collector that is down for ten minutes, `backlog` after a restart with ten gibibytes waiting.
Run by bench/queue.sh, which builds what is run."""

import argparse
import contextlib
import datetime
import http.client
import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import dlp
import machine

HERE = pathlib.Path(__file__).resolve().parent
TEST = "forwarder::tests::load::forwarder_under_load"
AIM = 3.0
ROUNDS = 3
BODY_BYTES = (900, 1200)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def bodies(path, total):
    """JSON of an API, about 1 KiB each, a secret in 50 objects."""
    rng = random.Random(5)
    def fitting():
        while True:
            items = []
            while len(json.dumps(items)) < BODY_BYTES[0]:
                items.append(dlp.item(rng, 0.02))
            yield json.dumps({"items": items}, separators=(",", ":"))
    dlp.write(path, fitting(), total)


class Forwarder:
    """The program, and the lines that it writes."""

    def __init__(self, program, **settings):
        env = os.environ | {f"WEIR_LOAD_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen([program, "--exact", TEST, "--ignored", "--nocapture"], env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines = []

    def follow(self, until):
        """Lines up to one for which `until` holds, which is given back."""
        for text in self.process.stdout:
            if text.startswith("{"):
                line = json.loads(text)
                self.lines.append(line)
                if until(line):
                    return line
        raise SystemExit(f"the forwarder ended early: {self.process.wait()}, {self.lines[-1:]}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def collector(program, config):
    """Runs a collector with that configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        log = open(file.name + ".log", "w")
        process = subprocess.Popen([program, "--config", file.name], stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
            os.unlink(file.name + ".log")


def wait_for_port(port):
    def is_up():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False
    machine.wait_until(f"port {port}", is_up)


def metrics(port):
    return {"level": "normal", "readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}]}


def accepted(port):
    """Log records that a collector's receiver took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith("otelcol_receiver_accepted_log_records"))


def nop_sink(port, telemetry):
    return {"receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {"nop": {}},
            "service": {"telemetry": {"metrics": metrics(telemetry)},
                        "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["nop"]}}}}


def redacting(processor, http_port, sink, telemetry, folder):
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{http_port}"}}}},
        "extensions": {"file_storage": {"directory": folder, "fsync": True, "create_directory": True}},
        "processors": processor,
        "exporters": {"otlp": {"endpoint": f"127.0.0.1:{sink}", "tls": {"insecure": True}, "compression": "none",
                               "retry_on_failure": {"max_elapsed_time": "0s"},
                               "sending_queue": {"storage": "file_storage", "queue_size": 100000}}},
        "service": {"telemetry": {"metrics": metrics(telemetry)}, "extensions": ["file_storage"],
                    "pipelines": {"logs": {"receivers": ["otlp"], "processors": list(processor), "exporters": ["otlp"]}}}}


def rules():
    lines = (HERE / "dlp" / "rules.txt").read_text().splitlines()
    fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [("(?i)" if flags == "i" else "") + regex for _, flags, regex in fields]


def processors():
    """What the Collector does, from little to much."""
    three = [regex for regex in rules() if regex.startswith((r"\beyJ", r"\b[2-6]", "[A-Za-z0-9._+"))]
    assert len(three) == 3
    def redaction(values):
        return {"redaction": {"allow_all_keys": True, "blocked_values": [value.replace("$", "$$") for value in values]}}
    return {"redaction, 3 rules": redaction(three), "redaction, all rules": redaction(rules())}


def record_requests(options, folder, total):
    """The same records, not redacted, as the forwarder sends them: bodies of OTLP/HTTP requests."""
    requests = []

    class Sink(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    forwarder = Forwarder(options.forwarder, port=server.server_port, transport="http", records=total,
                          bodies=folder / "bodies", folder=folder / "recorded")
    done = forwarder.follow(lambda line: line["event"] == "done")
    server.shutdown()
    assert done["exported"] == total, done
    return requests


def measure_ours(options, folder, total, number):
    sink, telemetry = free_port(), free_port()
    with collector(options.collector, nop_sink(sink, telemetry)):
        wait_for_port(sink)
        wait_for_port(telemetry)
        forwarder = Forwarder(options.forwarder, port=sink, records=total, redact=1, bodies=folder / "bodies",
                              folder=folder / f"ours-{number}")
        begun = forwarder.follow(lambda line: line["event"] == "started")
        done = forwarder.follow(lambda line: line["event"] == "done")
        assert done["exported"] == accepted(telemetry) == total and done["balances"], done
    return (done["cpu_ns"] - begun["cpu_ns"]) / 1e9


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_peer(options, folder, requests, total, processor, number):
    sink, sink_telemetry, receive, telemetry = (free_port() for _ in range(4))
    config = redacting(processor, receive, sink, telemetry, str(folder / f"peer-{number}"))
    with collector(options.collector, nop_sink(sink, sink_telemetry)), collector(options.collector, config) as peer:
        for port in (sink, sink_telemetry, receive):
            wait_for_port(port)
        before = cpu_seconds(peer.pid)
        connection = http.client.HTTPConnection("127.0.0.1", receive, timeout=120)
        for body in requests:
            connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            assert (answer.status, len(answer.read())) [0] == 200, answer.status
        machine.wait_until("the sink to have everything", lambda: accepted(sink_telemetry) >= total, 300)
        used = cpu_seconds(peer.pid) - before
        assert accepted(sink_telemetry) == total
    return used


def compare(options, folder):
    total = 4000 if options.quick else 40000
    bodies(folder / "bodies", 2_000_000)
    requests = record_requests(options, folder, total)
    size = sum(map(len, requests)) / total
    print(f"{total} records in {len(requests)} requests, {size:.0f} bytes each", flush=True)
    used = {}
    for number in range(1 if options.quick else ROUNDS):
        used.setdefault("weir", []).append(measure_ours(options, folder, total, number))
        for name, processor in processors().items():
            used.setdefault(name, []).append(
                measure_peer(options, folder, requests, total, processor, f"{number}-{len(name)}"))
        print({name: [f"{total / one:.0f}/s" for one in times] for name, times in used.items()}, flush=True)
    rates = {name: total / sorted(times)[len(times) // 2] for name, times in used.items()}
    return {"total": total, "bytes": size, "requests": len(requests), "rates": rates}


def outage(options, folder):
    seconds, rate = (20 if options.quick else 600), options.rate
    bodies(folder / "bodies", 2_000_000)
    total, (grpc, http_port) = seconds * rate, (free_port(), free_port())
    forwarder = Forwarder(options.forwarder, port=grpc, records=total, rate=rate, redact=1,
                          bodies=folder / "bodies", folder=folder / "outage")
    sent = forwarder.follow(lambda line: line["event"] == "sent")
    down = [line for line in forwarder.lines if line["event"] == "load"]
    output = folder / "out.jsonl"
    env = os.environ | {"OTLP_GRPC_PORT": str(grpc), "OTLP_HTTP_PORT": str(http_port), "OTLP_OUTPUT": str(output)}
    config = HERE.parent / "e2e" / "otelcol" / "config.yaml"
    started = time.monotonic()
    peer = subprocess.Popen([options.file_collector, "--config", config], env=env, stderr=subprocess.DEVNULL)
    done = forwarder.follow(lambda line: line["event"] == "done")
    delivered = time.monotonic() - started
    peer.terminate()
    peer.wait()
    uuids, records = set(), 0
    with open(output) as file:
        for line in file:
            for resource in json.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    for log in scope["logRecords"]:
                        fields = {field["key"]: field["value"] for field in log["body"]["kvlistValue"]["values"]}
                        uuids.add(fields["uuid"]["stringValue"])
                        records += 1
    resident = [line["resident_kib"] for line in down]
    # The first seconds fill the caches.
    settled = resident[len(resident) // 10:]
    return {"seconds": sent["seconds"], "rate": rate, "sent": total, "queued": sent["queued"],
            "queued_bytes": sent["queued_bytes"], "shed": sent["shed"], "balanced": all(line["balances"] for line in forwarder.lines),
            "resident": [resident[0], min(settled), max(settled), settled[-1]],
            "exported": done["exported"], "arrived": len(uuids), "copies": records - len(uuids), "delivered": delivered}


def backlog(options, folder):
    gib = 1 if options.quick else 10
    rng = random.Random(7)
    # Large records, so that the disk and not the capture sets the pace.
    def large():
        while True:
            yield json.dumps([dlp.item(rng, 0.02) for _ in range(100)])
    dlp.write(folder / "bodies", large(), 8_000_000)
    queue = folder / "backlog"
    common = {"bodies": folder / "bodies", "folder": queue, "queue_bytes": 64 << 30}
    filling = Forwarder(options.forwarder, port=free_port(), records=10**9, until_bytes=gib << 30, **common)
    full = filling.follow(lambda line: line["event"] == "sent")
    filling.kill()
    on_disk = sum(file.stat().st_size for file in queue.rglob("*") if file.is_file())
    # As after a reboot: nothing of it is in memory.
    subprocess.run(["sync"], check=True)
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    sink, telemetry = free_port(), free_port()
    with collector(options.collector, nop_sink(sink, telemetry)):
        wait_for_port(sink)
        wait_for_port(telemetry)
        begun = time.monotonic()
        again = Forwarder(options.forwarder, port=sink, records=0, **common)
        recovered = again.follow(lambda line: line["event"] == "started")
        started = time.monotonic() - begun
        first = None
        while first is None:
            if accepted(telemetry) > 0:
                first = time.monotonic() - begun
            time.sleep(0.02)
        done = again.follow(lambda line: line["event"] == "done")
        drained = time.monotonic() - begun
        arrived = accepted(telemetry)
    resident = [line["resident_kib"] for line in again.lines]
    return {"records": full["queued"], "disk": on_disk, "recovered": recovered["recovered"], "started": started, "first": first,
            "drained": drained, "arrived": arrived, "exported": done["exported"], "resident": [resident[0], max(resident)],
            "filling_resident": max(line["resident_kib"] for line in filling.lines)}


def text(results):
    parts = [f"# What the forwarder and its queue cost\n\nWritten by `bench/queue.sh`, {machine.kind()}.\n\n"
             "All of the forwarder but the kernel side, which is played: exchanges of HTTP are written to the ring, and\n"
             "reassembled, dissected, paired, redacted, queued on disk and sent over OTLP/gRPC.\n"]
    if "compare" in results:
        date, r = results["compare"]["date"], results["compare"]
        ours = r["rates"]["weir"]
        rows = "\n".join(f"| {name} | {rate:.0f} | {ours / rate:.1f} |" for name, rate in r["rates"].items())
        parts.append(f"""
## Beside the OpenTelemetry Collector ({date})

{r['total']} records of {r['bytes']:.0f} bytes as OTLP in requests of {r['total'] // r['requests']}; median of {ROUNDS} rounds in turn; CPU time of the whole
process (of ours without the thread that plays the kernel). The Collector 0.161 gets the very same records by OTLP/HTTP, redacts,
keeps them in `file_storage` with `fsync: true`, and sends them to the same sink (a Collector with the `nop`
exporter). Weir syncs every 200 ms at most, the Collector each request. Weir makes the records from bytes of HTTP, redacts with all
detectors and names of bench/dlp/rules.txt also inside the bodies' base64, checks what it finds, and redacts every copy; the
Collector looks for the regular expressions in the record's strings, of which the body is base64.

| | records per CPU-second | weir ÷ this |
|---|---|---|
{rows}

Aim: at least {AIM:.0f} times the Collector.
""")
    if "outage" in results:
        r = results["outage"]
        first, low, high, last = (f"{kib / 1024:.1f}" for kib in r["resident"])
        parts.append(f"""
## A collector that is down for ten minutes ({r['date']})

Nobody listens on the exporter's port for {r['seconds']:.0f} s of real time, at {r['rate']} records/s with redaction; then a real Collector starts there.

* sent {r['sent']}, queued at the end {r['queued']} ({r['queued_bytes'] / 2**20:.0f} MiB), shed {r['shed']};
  the ledger added up at every second: {'yes' if r['balanced'] else '**no**'}
* arrived {r['arrived']} different records ({r['copies']} further copies), exported by the ledger {r['exported']}; lost {r['sent'] - r['arrived']}
* all delivered {r['delivered']:.1f} s after the Collector was started
* resident memory: {first} MiB in the first second, then from {low} to {high} MiB, {last} MiB at the end
""")
    if "backlog" in results:
        r = results["backlog"]
        parts.append(f"""
## A restart with a large backlog ({r['date']})

{r['disk'] / 2**30:.1f} GiB on disk ({r['records']} records) when the forwarder was killed (SIGKILL); the page cache was dropped.

* after its start, {r['started']:.2f} s until the queue was open, {r['first']:.2f} s until the first records had arrived
* recovered {r['recovered']}, exported {r['exported']}, arrived {r['arrived']:.0f}; everything delivered after {r['drained']:.0f} s
* resident memory: {r['resident'][0] / 1024:.1f} MiB with the queue open, at most {r['resident'][1] / 1024:.1f} MiB while it was delivered,
  {r['filling_resident'] / 1024:.1f} MiB while it was filled
""")
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forwarder", required=True, help="the tests of weir-forwarder, as a program")
    parser.add_argument("--collector", required=True, help="with redaction and file_storage")
    parser.add_argument("--file-collector", required=True, help="with the file exporter")
    parser.add_argument("--quick", action="store_true", help="less of everything, nothing written")
    parser.add_argument("--rate", type=int, default=200, help="records per second of the outage")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "queue.json", help="of all parts")
    parser.add_argument("--folder", help="where the queues are; deleted afterwards")
    parser.add_argument("part", choices=["compare", "outage", "backlog"])
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(dir=options.folder))
    try:
        result = {"compare": compare, "outage": outage, "backlog": backlog}[options.part](options, folder)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(result, indent=1))
    if options.quick:
        return
    # Parts take their time: each run replaces its own result.
    stored = options.results
    results = json.loads(stored.read_text()) if stored.exists() else {}
    build = "release" if "/release/" in os.path.realpath(options.forwarder) else "debug"
    results[options.part] = result | {"date": f"{datetime.date.today()}, {build} build"}
    stored.write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "QUEUE.md").write_text(text(results))


if __name__ == "__main__":
    main()
