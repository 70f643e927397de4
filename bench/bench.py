#!/usr/bin/env python3
"""What a capture costs, as ratios from one run on one machine.

Runs with and without the capture alternate, so that a noisy neighbour hits both. Costs are CPU
time as the scheduler counts it, not wall time. Needs root, nginx, wrk, a C compiler, a release
build of `weir` and an OpenTelemetry Collector (`e2e/otelcol/build.sh`).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import load
import report
from machine import bpf_ns, bpf_statistics, cpu_ns, memory_kib, placed, wait_until_idle
from rig import BODIES, Collector, Nginx, Weir, build_micro

# Connections of wrk at a fixed rate, see pace.lua, and as fast as it goes.
PACED, FAST = 64, 16
HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weir", default=f"{HERE}/../target/release/weir", help="release binary")
    parser.add_argument("--otelcol", help="collector binary; absent: the one that build.sh builds")
    parser.add_argument("--transport", choices=["GRPC", "HTTP"], default="GRPC")
    parser.add_argument("--quick", action="store_true", help="one short round: a smoke test")
    parser.add_argument("--out", help="file for the report, e.g. bench/RESULTS.md; absent: only print")
    options = parser.parse_args()
    if not options.otelcol:
        build = subprocess.run([f"{HERE}/../e2e/otelcol/build.sh"], stdout=subprocess.PIPE, text=True, check=True)
        options.otelcol = build.stdout.strip()
    return options


class Bench:
    def __init__(self, options, folder, nginx, collector):
        self.options, self.folder, self.nginx, self.collector = options, folder, nginx, collector
        self.rounds, self.seconds = (1, 1) if options.quick else (5, 3)

    def weir(self, hook=None):
        transport = self.options.transport
        port = self.collector.ports[transport]
        return Weir(self.folder, self.options.weir, self.nginx.port, port, transport, hook)

    def one_run(self, path, captured):
        """CPU in microseconds per request at a fixed rate, then wrk as fast as it goes."""
        if not captured:
            return {**self._paced(path), "fast": self._wrk(path, FAST)}
        with self.weir() as weir:
            load.wrk(1, self.nginx.port, path, 1, PACED)  # connections and buffers are made
            wait_until_idle(weir.pid)
            before, counted = weir.cpu(), weir.ledger()
            run = self._paced(path)
            wait_until_idle(weir.pid)
            run["threads"] = {
                name: (used - before.get(name, 0)) / run["requests"] / 1e3
                for name, used in weir.cpu().items()
            }
            after = weir.ledger()
            run.update({key: after[key] - counted[key] for key in after})
            run["weir_us"] = sum(run["threads"].values())
            with bpf_statistics():
                ran = bpf_ns(weir.pid)
                timed = self._paced(path)
                # wrk's own calls meet the programs too, but end at once: it is no target.
                run["programs_us"] = (bpf_ns(weir.pid) - ran) / timed["requests"] / 1e3
            wait_until_idle(weir.pid)
            after = weir.ledger()
            run["fast"] = self._wrk(path, FAST)
            wait_until_idle(weir.pid)
            last = weir.ledger()
            run["fast"].update({key: last[key] - after[key] for key in last})
        return run

    def _paced(self, path):
        return self._wrk(path, PACED, load.PACE)

    def _wrk(self, path, connections, script=None):
        before = cpu_ns(self.nginx.worker)
        run = load.wrk(1, self.nginx.port, path, self.seconds, connections, script)
        run["server_us"] = (cpu_ns(self.nginx.worker) - before) / run["requests"] / 1e3
        return run

    def requests(self):
        """Rows of server and capture cost by body size."""
        runs = {(body, captured): [] for body in BODIES for captured in (False, True)}
        for number in range(self.rounds):
            for body, path in BODIES.items():
                for captured in (False, True) if number % 2 == 0 else (True, False):
                    runs[body, captured].append(self.one_run(path, captured))
        return [self._row(body, runs[body, False], runs[body, True]) for body in BODIES]

    @staticmethod
    def _row(body, plain, captured):
        def median(rows, key):
            return statistics.median(row[key] for row in rows)

        pairs = list(zip(captured, plain))
        fast = [row["fast"] for row in captured]
        # wrk does not count what is under way on its connections when it stops.
        accounted = [(row, PACED) for row in captured] + [(row, FAST) for row in fast]
        return {
            "body": body,
            "rate": statistics.median(row["per_second"] for row in plain),
            "server_us": median(plain, "server_us"),
            "server_fast_us": statistics.median(row["fast"]["server_us"] for row in plain),
            "server_more_us": statistics.median(c["server_us"] - p["server_us"] for c, p in pairs),
            "server_growth": statistics.median(c["server_us"] / p["server_us"] - 1 for c, p in pairs),
            "weir_us": median(captured, "weir_us"),
            "programs_us": median(captured, "programs_us"),
            "throughput": statistics.median(c["fast"]["per_second"] / p["fast"]["per_second"] for c, p in pairs),
            "p50": statistics.median(c["fast"]["p50_ms"] / p["fast"]["p50_ms"] for c, p in pairs),
            "complete": statistics.median(min(row["exported"] / row["requests"], 1) for row in captured),
            "fast_complete": statistics.median(min(row["pairs"] / row["requests"], 1) for row in fast),
            "accounted": all(
                0 <= row["pairs"] + row["lost"] - row["requests"] <= open_ for row, open_ in accounted
            ),
            "threads": {
                name: median([row["threads"] for row in captured], name)
                for name in captured[0]["threads"]
            },
        }

    def steady(self):
        """CPU and memory idle, at 1,000 requests per second, and with 10,000 open connections."""
        seconds, connections = (2, 500) if self.options.quick else (20, 10_000)
        with self.weir() as weir:
            wait_until_idle(weir.pid)
            idle = memory_kib(weir.pid)
            peak = dict(idle)

            def sample():
                for key, value in memory_kib(weir.pid).items():
                    peak[key] = max(peak[key], value)

            before, server = cpu_ns(weir.pid), cpu_ns(self.nginx.worker)
            sent = load.paced(self.nginx.port, "/1k", 1000, seconds, tick=sample)
            wait_until_idle(weir.pid)
            used, server = cpu_ns(weir.pid) - before, cpu_ns(self.nginx.worker) - server
            busy = dict(peak)
            clients = load.open_many(self.nginx.port, "/1k", connections)
            load.answer_all(clients)
            wait_until_idle(weir.pid)
            many = memory_kib(weir.pid)
            for client in clients:
                client.close()
        return {
            "idle": idle, "busy": busy, "many": many, "connections": connections,
            "rate": sent / seconds,
            "millicores": used / seconds / 1e6,
            "weir_us": used / sent / 1e3,
            "share": used / server,
        }

    def untargeted(self):
        """Nanoseconds per operation of a process that nobody captures."""
        micro = build_micro(self.folder, f"{HERE}/micro.c")
        hooks = [None, "sock-length", "syscall-exit"]
        best = {hook: {} for hook in hooks}
        for _ in range(1 if self.options.quick else 3):
            for hook in hooks:
                for name, cost in self._micro(micro, hook).items():
                    best[hook][name] = min(cost, best[hook].get(name, cost))
        return best

    def _micro(self, micro, hook):
        def run():
            text = subprocess.run(placed(0, micro), capture_output=True, text=True, check=True).stdout
            return {name: float(cost) for name, cost in map(str.split, text.splitlines())}

        if hook is None:
            return run()
        with self.weir(hook):
            return run()


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("bench needs root: it loads eBPF programs and pins processes")
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with Nginx(folder) as nginx, Collector(folder, options.otelcol) as collector:
            bench = Bench(options, folder, nginx, collector)
            text = report.write(options, bench.requests(), bench.steady(), bench.untargeted())
    print(text)
    if options.out:
        with open(options.out, "w") as out:
            out.write(text)


if __name__ == "__main__":
    main()
