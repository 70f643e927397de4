#!/usr/bin/env python3
"""What it costs to read TLS connections, and whether anything is left behind.

Needs root, openssl with its headers, cc, nginx, wrk and curl. CPU time throughout, the ways to
compare taking turns within one run; $WEIR_BIN names the program, else target/release/weir.
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import tempfile

from machine import Process, cpu_ns, kind, placed, wait_until, wait_until_idle
from rig import Nginx, Weir, free_port, listening

HERE = os.path.dirname(os.path.abspath(__file__))
TRACING = "/sys/kernel/tracing"


def weir_binary():
    return os.environ.get("WEIR_BIN", os.path.join(HERE, "../target/release/weir"))


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def certificate(folder):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem")


class Calls:
    """The program that times its own calls."""

    def __init__(self, folder):
        binary = f"{folder}/tlscost"
        run("cc", "-O1", "-o", binary, f"{HERE}/tls.c", "-lssl", "-lcrypto")
        words = placed(0, binary, f"{folder}/cert.pem", f"{folder}/key.pem")
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, length, count):
        """Nanoseconds per SSL_write and per SSL_read."""
        print(length, count, file=self.child.stdin, flush=True)
        return [int(word) for word in self.child.stdout.readline().split()]

    def end(self):
        self.child.stdin.close()
        self.child.wait()


@contextlib.contextmanager
def nothing(_folder):
    yield


def captured(tls):
    @contextlib.contextmanager
    def capture(folder):
        folder = tempfile.mkdtemp(dir=folder)
        more = f"  direction: Both\n  tls: {tls}"
        with Weir(folder, weir_binary(), 0, free_port(), "GRPC", None, "weir.dev/exe: tlscost", more):
            yield

    return capture


def tell(path, line, how=os.O_APPEND):
    """Writes one line to a file of the kernel's, which cannot seek."""
    file = os.open(path, os.O_WRONLY | how)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


@contextlib.contextmanager
def naive(_folder):
    """A uprobe at the first instruction of each function and a uretprobe, by the kernel's own
    tracing: it notes an address for each, and copies nothing."""
    library = re.search(r"libssl\S* => (\S+)", run("ldd", "/usr/bin/openssl")).group(1)
    symbols = run("nm", "-D", "--defined-only", os.path.realpath(library))
    events = f"{TRACING}/uprobe_events"
    for name in ("SSL_read", "SSL_write"):
        offset = int(re.search(rf"^(\w+) T {name}(@|$)", symbols, re.MULTILINE).group(1), 16)
        for probe in ("p", "r"):
            tell(events, f"{probe}:weirbench/{probe}_{name} {os.path.realpath(library)}:{offset:#x}")
    switch = f"{TRACING}/events/weirbench/enable"
    try:
        tell(switch, "1", 0)
        yield
    finally:
        tell(switch, "0", 0)
        for name in ("SSL_read", "SSL_write"):
            for probe in ("p", "r"):
                tell(events, f"-:weirbench/{probe}_{name}")


WAYS = {"nothing": nothing, "ignored": captured("Ignore"), "read": captured("Decrypt"), "naive": naive}


def probes(folder, rounds):
    """Extra time of each call."""
    certificate(folder)
    calls = Calls(folder)
    print("| Bytes | Call | Alone | Sockets watched | TLS read | Probes of Weir | Naive probes | Ratio |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    times = {}
    for _ in range(rounds):
        for way, context in WAYS.items():
            with context(folder):
                for length in (64, 1024, 16_384):
                    times.setdefault((length, way), []).append(calls.measure(length, 2000))
    for length in (64, 1024, 16_384):
        for at, call in enumerate(("SSL_write", "SSL_read")):
            alone, ignored, read, bare = (
                statistics.median(pair[at] for pair in times[length, way]) / 1000 for way in WAYS
            )
            ours, theirs = read - ignored, bare - alone
            print(f"| {length} | {call} | {alone:.2f} | {ignored:.2f} | {read:.2f} "
                  f"| +{ours:.2f} | +{theirs:.2f} | {ours / theirs:.2f} |")
    calls.end()


def nginx(folder, rounds):
    """CPU of an HTTPS server per request."""
    certificate(folder)
    with Nginx(folder) as server:
        print("| Body | nginx alone | captured | more |\n| --- | ---: | ---: | ---: |")
        for name, path in (("headers only", "/small"), ("1 KiB", "/1k"), ("16 KiB", "/16k")):
            alone, watched = [], []
            for _ in range(rounds):
                alone.append(request_ns(server, path))
                own = tempfile.mkdtemp(dir=folder)
                with Weir(own, weir_binary(), server.port, free_port(), "GRPC", None) as weir:
                    request_ns(server, path, seconds=1)
                    watched.append(request_ns(server, path))
                    wait_until_idle(weir.pid)
                    lost = weir.ledger()["lost"]
                    if lost:
                        print(f"(lost exchanges: {lost})")
            alone, watched = statistics.median(alone) / 1000, statistics.median(watched) / 1000
            print(f"| {name} | {alone:.1f} µs | {watched:.1f} µs | +{watched - alone:.1f} µs, "
                  f"+{100 * (watched / alone - 1):.0f} % |")


def request_ns(server, path, seconds=5):
    """CPU of the worker per request, 16 connections that stay."""
    before = cpu_ns(server.worker)
    url = f"https://127.0.0.1:{server.port}{path}"
    script = f"{HERE}/pace.lua"
    said = run(*placed(1, "wrk", "-t1", "-c16", f"-d{seconds}", "-s", script, url, "--", "2000"))
    count = int(re.search(r"(\d+) requests in", said).group(1))
    return (cpu_ns(server.worker) - before) / count


def held(pid):
    """What a process holds, by kind, and its resident memory."""
    kinds = {"descriptors": 0, "links": 0, "events": 0}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue
        kinds["descriptors"] += 1
        kinds["links"] += "bpf_link" in target or "bpf-link" in target
        kinds["events"] += "perf_event" in target
    with open(f"/proc/{pid}/status") as status:
        rss = int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
    return {**kinds, "KiB": rss}


def curls(folder, count):
    """So many short-lived clients, one request each."""
    certificate(folder)
    with Nginx(folder) as server:
        collect = Process("collect", folder, [
            weir_binary(), "collect", "--quiet", "--out-dir", f"{folder}/out",
            "--listen-grpc", f"127.0.0.1:{(port := free_port())}", "--listen-http", f"127.0.0.1:{free_port()}",
        ])
        wait_until("the collector", lambda: listening(port))
        selector, more = "weir.dev/exe: curl", f"  direction: Outbound\n  ports: [{server.port}]"
        with collect, Weir(folder, weir_binary(), 0, port, "GRPC", None, selector, more) as weir:
            start(server.port, 200)
            print("| curl processes | captured | descriptors | links | perf events | resident |")
            print("| ---: | ---: | ---: | ---: | ---: | ---: |")
            done, before = 200, None
            for upto in (200, count // 2, count):
                start(server.port, upto - done)
                done = max(done, upto)
                wait_until_idle(weir.pid)
                ledger, now = weir.ledger(), held(weir.pid)
                print(f"| {done} | {ledger['pairs']} ({100 * ledger['pairs'] / done:.2f} %) | {now['descriptors']} "
                      f"| {now['links']} | {now['events']} | {now['KiB']} KiB |", flush=True)
                before = before or now
            grown = [key for key in ("descriptors", "links", "events") if now[key] > before[key]]
            if grown:
                raise SystemExit(f"these grew: {', '.join(grown)}")


def start(port, count):
    script = f"seq {count} | xargs -P4 -I% curl -sSfk --noproxy '*' -o /dev/null https://127.0.0.1:{port}/small?%"
    subprocess.run(["sh", "-c", script], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["probes", "nginx", "curls"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    print(kind())
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        if options.what == "curls":
            curls(folder, options.count)
        else:
            {"probes": probes, "nginx": nginx}[options.what](folder, options.rounds)


if __name__ == "__main__":
    main()
