#!/usr/bin/env python3
"""How fast `weir replay` sends, beside wrk against the same server in the same run.

The two alternate, each on CPU 1 with the same number of connections, against one nginx worker on
CPU 0. wrk reads a status line and a length; replay also compares status and body of every answer
with the recorded ones and keeps every latency. Needs root, nginx, wrk and a release build of
`weir`.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import tempfile
import urllib.request
import uuid

import load
from machine import kind, placed
from rig import BODIES, Nginx

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS, RECORDS = 16, 1000


def record(folder, port, path):
    """A recording of requests like those of wrk, with the server's answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        body = answer.read()
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    place = f"{folder}{path}"
    os.makedirs(place)
    with open(f"{place}/all.jsonl", "w") as out:
        for number in range(RECORDS):
            out.write(json.dumps({
                "msgType": "rrpair", "direction": "IN", "service": "nginx", "l7protocol": "http",
                "ts": f"2026-09-01T10:{number // 60:02}:{number % 60:02}Z",
                "uuid": base64.b64encode(uuid.UUID(int=number + 1).bytes).decode(),
                "command": "GET", "location": path, "status": "200", "netinfo": {"id": "1"},
                "http": {
                    "req": {"method": "GET", "url": path, "uri": path, "version": "1.1",
                            "headBase64": base64.b64encode(head).decode()},
                    "res": {"statusCode": 200, "statusMessage": "200 OK",
                            "bodyBase64": base64.b64encode(body).decode()},
                },
            }) + "\n")
    return place


def cpu_of_children():
    times = os.times()
    return times.children_user + times.children_system


def replay(weir, place, port, seconds):
    words = placed(1, weir, "replay", "--in", place, "--test-against", f"127.0.0.1:{port}",
                   "--no-out", "-o", "json", "--vus", CONNECTIONS, "--for", f"{seconds}s")
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    metrics = next(one for one in json.loads(text)["endpoints"] if one["url"] == "-ALL-")["metrics"]
    if metrics["requests"]["result-match-pct"] != 100:
        raise RuntimeError(f"not every answer is the recorded one: {metrics['requests']}")
    return {"requests": metrics["requests"]["total"], "per_second": metrics["requests"]["per-second"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weir", default=f"{HERE}/../target/release/weir", help="release binary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    print(f"{kind()}; {options.rounds} rounds of {options.seconds} s, {CONNECTIONS} connections")
    print(f"{'':14} {'wrk/s':>9} {'replay/s':>9} {'ratio':>6}  {'wrk µs':>7} {'replay µs':>9}   CPU per request")
    with tempfile.TemporaryDirectory() as folder, Nginx(folder) as nginx:
        for body, path in BODIES.items():
            place = record(folder, nginx.port, path)
            tools = {
                "wrk": lambda: load.wrk(1, nginx.port, path, options.seconds, CONNECTIONS),
                "replay": lambda: replay(options.weir, place, nginx.port, options.seconds),
            }
            rates, costs = ({name: [] for name in tools} for _ in range(2))
            for number in range(options.rounds):
                for name in list(tools)[::1 if number % 2 == 0 else -1]:
                    before = cpu_of_children()
                    run = tools[name]()
                    costs[name].append((cpu_of_children() - before) / run["requests"] * 1e6)
                    rates[name].append(run["per_second"])
            ratio = statistics.median(b / a for a, b in zip(rates["wrk"], rates["replay"]))
            median = {name: statistics.median(rates[name]) for name in tools}
            cost = {name: statistics.median(costs[name]) for name in tools}
            print(f"{body:14} {median['wrk']:9,.0f} {median['replay']:9,.0f} {ratio:6.2f}  "
                  f"{cost['wrk']:7.1f} {cost['replay']:9.1f}", flush=True)


main()
